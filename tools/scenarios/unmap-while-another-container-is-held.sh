# SPDX-License-Identifier: GPL-2.0
# A user that holds the lock of its container does not keep pages of other users pinned.
#
# Resets of queues of both guests end at the same time, and their pages are unpinned. For A that
# takes the lock of A's container, which A holds. B takes memory away, and succeeds at once. The C
# driver waits for resets that never end.
# drivers: rust

mdev_with A 1 2
mdev B
assign B adapter 1 domain 1
vm_open A group --run 1 --look 0,0
vm_open B group --run 1 --look 0,0
machine "queue *.* irq-polls 0"
expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable 01.0002
expect "enable" "rc=00 cc=0 status=81000000" vm B guest enable 01.0001
# Their users do not wait for them any more.
machine "queue 01.* reset-polls forever"
vm A reset &
vm B reset || :
wait $! || :
vm A hold container
machine "queue 01.* reset-polls 1"
usleep 200000
began=$(seconds)
vm B unmap
[ $(($(seconds) - began)) -le 3 ] || fail "B has waited for A"
expect "pages of B" 1 pins
vm A release
wait_until "A's page is given back, too" nothing_pinned
