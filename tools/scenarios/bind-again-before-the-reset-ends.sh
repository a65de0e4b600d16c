# SPDX-License-Identifier: GPL-2.0
# A queue that is unbound and bound again during a slow reset loses the interruptions of its guest.
#
# Their page is unpinned once. Interruptions that the guest enables after that stay enabled. The C
# driver waits for the reset in between.
# timeout: 90

mdev_with A "1 2" 1
has_both() { [ "$(vm A guest queues)" = "01.0001 02.0001" ]; }
for polls in 20 90; do
	vm_open A group --run 1 --look 2,1
	enable_at_once A 01.0001
	machine "queue 01.0001 reset-polls $polls"
	unbind 01.0001
	[ "$(enabled_for_guests)" = 0 ] || expect "pinned" 1 pins
	bind 01.0001
	wait_until "the guest has it again" has_both
	machine "queue 01.0001 reset-polls 1"
	expect "nothing is enabled" 0 enabled_for_guests
	expect "enable" rc=00 response A enable 01.0001 0x1d0000
	usleep 100000
	expect "enabled" 1 enabled_for_guests
	expect "pinned" 1 pins
	vm A guest disable 01.0001
	wait_until "the page is given back" nothing_pinned
	vm_close A
done
