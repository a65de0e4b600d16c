# SPDX-License-Identifier: GPL-2.0
# A queue with a slow reset reaches its next owner after the end of the reset.

mdev_with A "1 2" "1 2"
vm_open A
count_from_zero
machine "queue 01.0001 reset-polls 5"
expect_commits 1 A unassign A adapter 1
expect "masks" "apm=2 aqm=1-2 adm=none" masks A
polls=$(machine counters 01.0001 tapq)
[ "$polls" -ge 5 ] || fail "only $polls looks at a queue whose reset takes 5"
mdev B
assign B adapter 1 domain 1 2
vm_open B
expect "masks of B" "apm=1 aqm=1-2 adm=none" masks B
expect "resets of 01.0001" 1 zapqs 01.0001
