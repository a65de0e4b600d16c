# SPDX-License-Identifier: GPL-2.0
# Closing a device leaves no interruptions enabled, even if the machine is still enabling them.
#
# The same is true of a user that is killed. The next guest gets the queue after a reset.
# timeout: 90
# drivers: rust

none_enabled() { [ "$(enabled_for_guests)" = 0 ]; }

mdev_with A 1 1
for end in vm_close vm_kill; do
	for polls in 4 300; do
		vm_open A group --run 1 --look 0,0
		count_from_zero
		machine "queue 01.0001 irq-polls $polls"
		expect "enable" rc=00 response A enable 01.0001
		$end A
		expect "pinned" 0 pins
		machine "queue 01.0001 irq-polls 1"
		vm_open A group --run 1
		expect "the next guest has it" "01.0001" vm A guest queues
		expect "nothing is enabled" 0 enabled_for_guests
		vm_close A
	done
done
