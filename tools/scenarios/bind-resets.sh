# SPDX-License-Identifier: GPL-2.0
# A bound queue is reset before a guest gets it.
#
# The C driver passes the queue on without a reset.

mdev_with A 1 1
vm_open A
unbind 01.0001
expect "without it" "apm=none aqm=1 adm=none" masks A
count_from_zero
machine "queue 01.0001 reset-polls 3"
expect_commits 1 A bind 01.0001
if_rust expect "resets" 1 zapqs 01.0001
if_c expect "resets" 0 zapqs 01.0001
expect "with it" "apm=1 aqm=1 adm=none" masks A
