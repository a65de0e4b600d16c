# SPDX-License-Identifier: GPL-2.0
# An adapter that comes to the host configuration stays filtered until its last queue is bound.
#
# The queue belongs to the host before that.
# machine: apm = 0,1

mdev_with A "1 2" "1 2"
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
