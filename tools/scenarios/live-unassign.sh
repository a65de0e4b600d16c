# SPDX-License-Identifier: GPL-2.0
# Unassigned queues leave a running guest by one commit and are reset.

# resets: of each queue, since the last time.
resets() {
	for _q in 01.0001 01.0002 02.0001 02.0002; do printf '%s ' "$(zapqs $_q)"; done
	count_from_zero
}

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 2 domain 1 2 control_domain 3
vm_open A group --vcpus 1
count_from_zero
expect_commits 1 A unassign A adapter 1
expect "masks without adapter 1" "apm=2 aqm=1-2 adm=3" masks A
expect "guest matrix" "02.0001 02.0002" guest_matrix A
expect "resets" "1 1 0 0 " resets
expect "status of 01.0001" unassigned cat $ap/devices/01.0001/status
expect_commits 1 A unassign A domain 2
expect "masks without domain 2" "apm=2 aqm=1 adm=3" masks A
expect "resets" "0 0 0 1 " resets
expect_commits 1 A unassign A control_domain 3
expect "masks without control domain 3" "apm=2 aqm=1 adm=none" masks A
expect "resets" "0 0 0 0 " resets
expect_commits 1 A unassign A domain 1
expect "masks without a domain" "apm=2 aqm=none adm=none" masks A
# What was taken away is free for another guest.
mdev B
assign B adapter 1 domain 1 2
vm_open B
expect "masks of B" "apm=1 aqm=1-2 adm=none" masks B
