# SPDX-License-Identifier: GPL-2.0
# Closing a device waits until all pages of its user are unpinned, including those that another
# thread is unpinning.
#
# Queues are taken from a guest that has interruptions enabled. The thread that takes them, or the
# driver's work for resets, unpins their pages, and waits for the lock of the container for that.
# The user closes the device before the lock is free.
#
# The kernel warns of a page that is still pinned and of a page that is unpinned later. All queues
# have their indicators in one page.
# machine: aqm = 0-15
# machine: adm = 0-15

mdev_with A 1 "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15"
vm_open A group --run 1
machine "queue *.* irq-polls 0"
for queue in $(matrix A); do
	expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable "$queue"
done
expect "pinned" 1 pins
vm A hold container
echo 1 >"$mdevs/$(uuid A)/unassign_adapter" &
unassign=$!
waits_or_ended() { [ ! -e /proc/$unassign ] || asleep $unassign; }
wait_until "who unassigns waits" waits_or_ended
vm A release after 1
vm A close
expect "pinned after that" 0 pins
wait $unassign
