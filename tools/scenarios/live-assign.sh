# SPDX-License-Identifier: GPL-2.0
# Each assignment reaches a running guest by one commit.

give_to_vfio_ap "1 2" ""
load_driver
mdev A
vm_open A group --vcpus 1
# With nothing to pass there is nothing to commit: the CRYCB of a new guest is empty.
# The C driver commits it all the same.
if_rust expect "masks of nothing" "never set" masks A
if_c expect "masks of nothing" "apm=none aqm=none adm=none" masks A
assign A adapter 1
expect_commits 1 A assign A domain 1
expect "masks" "apm=1 aqm=1 adm=none" masks A
expect_commits 1 A assign A adapter 2
expect "masks with adapter 2" "apm=1-2 aqm=1 adm=none" masks A
expect_commits 1 A assign A domain 2
expect "masks with domain 2" "apm=1-2 aqm=1-2 adm=none" masks A
expect_commits 1 A assign A control_domain 3
expect "masks with control domain 3" "apm=1-2 aqm=1-2 adm=3" masks A
expect "status of 02.0002" "in use" cat $ap/devices/02.0002/status
