# SPDX-License-Identifier: GPL-2.0
# Control domains can be assigned and unassigned without any queue.

give_to_vfio_ap "1" ""
load_driver
mdev A
mdev B
assign A control_domain 1 3 200
expect "control domains" "0001 0003 00c8" control_domains A
expect "matrix" "" matrix A
# They can be shared.
assign B control_domain 3
expect "control domains of B" "0003" control_domains B
vm_open A
expect "masks" "apm=none aqm=none adm=1,3" masks A
expect_commits 1 A unassign A control_domain 3
expect "masks without control domain 3" "apm=none aqm=none adm=1" masks A
expect_commits 0 A unassign A control_domain 200
expect "control domains then" "0001" control_domains A
