# SPDX-License-Identifier: GPL-2.0
# An adapter that comes to or leaves the host configuration takes one commit, for any number of
# queues.
# machine: apm = 0,1

mdev_with A "1 2" "0 1 2 3"
vm_open A group --vcpus 1
expect "masks" "apm=1 aqm=0-3 adm=none" masks A
machine "apm + 2"
expect_commits 1 A scan
expect "masks with adapter 2" "apm=1-2 aqm=0-3 adm=none" masks A
expect "queues" "02.0000 02.0001 02.0002 02.0003" \
	sh -c "cat $mdevs/$(uuid A)/guest_matrix | grep ^02 | xargs"
machine "apm - 2"
expect_commits 1 A scan
expect "masks without" "apm=1 aqm=0-3 adm=none" masks A
expect "matrix is as it was" 8 sh -c "grep -c . $mdevs/$(uuid A)/matrix"
machine "apm + 2"
expect_commits 1 A scan
expect "masks with it again" "apm=1-2 aqm=0-3 adm=none" masks A
