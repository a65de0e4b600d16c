# SPDX-License-Identifier: GPL-2.0
# The page of a queue that is unbound stays pinned while the machine may still write to it.
#
# Unbinding does not wait forever for a reset. The page stays pinned until the machine has disabled
# interruptions or the user takes the page away. Nothing is left in the end. The C driver waits for
# the reset with all locks held.
# drivers: rust

# safe WHEN: what the machine may write to is pinned.
safe() {
	[ "$(enabled_for_guests)" = 0 ] || expect "pinned $1" 1 pins
}
nothing_left() { [ "$(pins)" = 0 ] && [ "$(enabled_for_guests)" = 0 ]; }

mdev_with A "1 2" 1
for end in disables unmap close; do
	vm_open A group --run 1 --look 2,1
	machine "queue *.* irq-polls 0"
	expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable 01.0001
	machine "queue 01.0001 reset-polls forever"
	unbind 01.0001
	safe "after unbind"
	expect "the machine has them enabled still" 1 enabled_for_guests
	expect "its guest has it no more" "02.0001" vm A guest queues
	case $end in
	disables)
		machine "queue 01.0001 reset-polls 1"
		wait_until "nothing is left when the reset ends after all" nothing_left
		;;
	unmap)
		machine "queue 01.0001 reset-polls 5"
		vm A unmap
		wait_until "nothing is left after unmap" nothing_left
		;;
	close) ;;
	esac
	machine "queue 01.0001 reset-polls 5"
	vm_close A
	wait_until "nothing is left after close" nothing_left
	bind 01.0001
done
