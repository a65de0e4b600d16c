# SPDX-License-Identifier: GPL-2.0
# A scan in which one adapter goes and another comes takes one commit.
#
# One commit per scan is requirement F2. The C driver commits twice.
# machine: apm = 0-2

mdev_with A "1 2 3" "1 2"
vm_open A
expect "masks" "apm=1-2 aqm=1-2 adm=none" masks A
machine "apm - 1 ; apm + 3"
if_rust expect_commits 1 A scan
if_c expect_commits 2 A scan
expect "masks then" "apm=2-3 aqm=1-2 adm=none" masks A
