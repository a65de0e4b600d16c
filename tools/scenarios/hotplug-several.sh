# SPDX-License-Identifier: GPL-2.0
# Adapters, domains and control domains that come or go in one scan take one commit.
# machine: apm = 0,1 ; aqm = 0,1 ; adm = 0,1

give_to_vfio_ap "1 2 3" ""
load_driver
mdev A
assign A adapter 1 2 3 domain 1 2 3 control_domain 1 2 3
vm_open A
expect "masks" "apm=1 aqm=1 adm=1" masks A
machine "apm + 2-3 ; aqm + 2-3 ; adm + 2-3"
expect_commits 1 A scan
expect "masks with all" "apm=1-3 aqm=1-3 adm=1-3" masks A
machine "apm - 2-3 ; aqm - 2-3 ; adm - 2-3"
expect_commits 1 A scan
expect "masks as before" "apm=1 aqm=1 adm=1" masks A
