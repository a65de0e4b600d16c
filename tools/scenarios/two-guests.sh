# SPDX-License-Identifier: GPL-2.0
# Events of one guest do not affect another guest.
# cpus: 2
# needs: iommufd

give_to_vfio_ap "0 1 2 3" ""
load_driver
mdev A
mdev B
assign A adapter 0 1 domain 1
assign B adapter 2 3 domain 1
vm_open A
vm_open B iommufd
expect "masks of A" "apm=0-1 aqm=1 adm=none" masks A
expect "masks of B" "apm=2-3 aqm=1 adm=none" masks B

# one N-FOR-A N-FOR-B COMMAND...: require so many commits for each guest.
one() {
	_a=$1 _b=$2
	shift 2
	_before_b=$(commits B)
	expect_commits "$_a" A "$@"
	_after_b=$(commits B)
	expect "commits for B" "$_b" echo $((_after_b - _before_b))
}

machine "apm - 3"
one 0 1 scan
machine "apm - 0 ; apm + 3"
one 1 1 scan
one 1 0 unassign A adapter 1
one 0 1 unbind 02.0001
one 1 0 assign A domain 2
expect "masks of A then" "apm=none aqm=1-2 adm=none" masks A
expect "masks of B then" "apm=3 aqm=1 adm=none" masks B
vm_close A
expect "masks of B alone" "apm=3 aqm=1 adm=none" masks B
