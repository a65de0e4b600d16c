# SPDX-License-Identifier: GPL-2.0
# A write that changes nothing for the guest makes no commit.
#
# Each commit stops the guest's CPUs.

give_to_vfio_ap "1 2 200" ""
load_driver
mdev A
assign A adapter 1 domain 1 control_domain 1
vm_open A
count_from_zero
expect_commits 0 A assign A adapter 1
expect_commits 0 A assign A domain 1
expect_commits 0 A assign A control_domain 1
expect_commits 0 A unassign A adapter 2
expect_commits 0 A unassign A domain 2
expect_commits 0 A unassign A control_domain 2
# Not in the host configuration: nothing for the guest.
expect_commits 0 A assign A adapter 200
expect_commits 0 A assign A domain 200
expect_commits 0 A assign A control_domain 200
expect_commits 0 A unassign A adapter 200
expect_commits 0 A unassign A domain 200
expect_commits 0 A unassign A control_domain 200
expect_commits 0 A scan
expect "masks" "apm=1 aqm=1 adm=1" masks A
expect "resets of 01.0001" 0 zapqs 01.0001
