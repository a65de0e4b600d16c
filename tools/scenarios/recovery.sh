# SPDX-License-Identifier: GPL-2.0
# A filtered adapter comes back when the last missing queue is bound, or its domain is unassigned or
# leaves the host configuration.
#
# Each takes one commit. The C driver does not filter again after the latter two.

# shown WHAT GUEST-MATRIX MASKS
shown() {
	expect "guest matrix $1" "$2" guest_matrix A
	expect "masks $1" "$3" masks A
}
with_a_hole() { shown "with a hole" "00.0000 00.0001" "apm=0 aqm=0-1 adm=none"; }
without_domain_1() {
	if_rust shown "without domain 1" "00.0000 01.0000" "apm=0-1 aqm=0 adm=none"
	if_c shown "without domain 1" "00.0000" "apm=0 aqm=0 adm=none"
}

give_to_vfio_ap "0 1" ""
load_driver
unbind 01.0000
unbind 01.0001
mdev A
assign A adapter 0 1 domain 0 1
vm_open A
with_a_hole
expect_commits 0 A bind 01.0000
with_a_hole
expect_commits 1 A bind 01.0001
shown "when all is bound" "00.0000 00.0001 01.0000 01.0001" "apm=0-1 aqm=0-1 adm=none"

unbind 01.0001
with_a_hole
expect_commits 1 A unassign A domain 1
without_domain_1
assign A domain 1
with_a_hole
machine "aqm - 1"
expect_commits 1 A scan
without_domain_1
