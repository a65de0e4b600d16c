# SPDX-License-Identifier: GPL-2.0
# A device is closed when all pages of its user are unpinned, also those that somebody else unpins
# just now.
#
# Queues are taken from a guest that has interruptions enabled. Whoever does that gives back what
# they needed, and waits for the lock of the container for that; or our work that looks at resets
# does, if it is faster. The user closes the device meanwhile; the lock comes free only then.
#
# A page that is pinned still, or that is unpinned later, is a warning of the kernel. (All queues have
# their indicators in one page.)
# machine: aqm = 0-15
# machine: adm = 0-15

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
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
