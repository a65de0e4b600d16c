# SPDX-License-Identifier: GPL-2.0
# An adapter that comes to the host configuration with a queue that belongs to the
# host is not plugged; it is when the queue is bound.
# machine: apm = 0,1

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 2 domain 1 2
vm_open A
machine "apm + 2 ; queue 02.0001 state deconfigured"
expect_commits 1 A scan
expect "a deconfigured queue is good enough" "apm=1-2 aqm=1-2 adm=none" masks A
expect_commits 1 A unbind 02.0002
expect "masks without" "apm=1 aqm=1-2 adm=none" masks A
machine "apm - 2"
expect_commits 0 A scan
machine "apm + 2 ; queue 02.0001 state online"
expect_commits 1 A scan
expect "masks with all queues anew" "apm=1-2 aqm=1-2 adm=none" masks A
