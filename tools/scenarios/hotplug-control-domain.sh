# SPDX-License-Identifier: GPL-2.0
# Control domains follow the host configuration.
# machine: adm = 0,1

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 1 control_domain 1 2
vm_open A
expect "masks" "apm=1 aqm=1 adm=1" masks A
expect "control domains" "0001 0002" control_domains A
machine "adm + 2"
expect_commits 1 A scan
expect "masks with control domain 2" "apm=1 aqm=1 adm=1-2" masks A
machine "adm - 1"
expect_commits 1 A scan
expect "masks without control domain 1" "apm=1 aqm=1 adm=2" masks A
expect "control domains are as they were" "0001 0002" control_domains A
