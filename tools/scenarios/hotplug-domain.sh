# SPDX-License-Identifier: GPL-2.0
# A domain that comes to or leaves the host configuration takes one commit.
# machine: aqm = 0,1

mdev_with A "1 2 3" "1 2"
vm_open A group --vcpus 1
expect "masks" "apm=1-3 aqm=1 adm=none" masks A
machine "aqm + 2"
expect_commits 1 A scan
expect "masks with domain 2" "apm=1-3 aqm=1-2 adm=none" masks A
machine "aqm - 2"
expect_commits 1 A scan
expect "masks without" "apm=1-3 aqm=1 adm=none" masks A
