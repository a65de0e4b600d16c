# SPDX-License-Identifier: GPL-2.0
# The page of an indicator in a removed KVM memslot stays pinned for as long as the machine may set
# the indicator.
#
# KVM announces the removal of a slot to no device, and the device can still access the memory. The
# interruptions therefore stay enabled until the device loses the memory, the guest disables them,
# or the device is closed. New ones are refused because the address is in no slot. `aqic-answers`
# has an address that the device cannot access either, and `unmap` has one that only the device
# cannot access.
#
# The kernel warns of a page or a subclass that is left when the virtual machine ends.
# timeout: 180

# enabled: print the number of queues with interruptions for guests enabled.
enabled() { machine show | grep -c 'enabled: nib=.* gisa=' || :; }
no_machine() { [ "$(machines)" = 0 ]; }
# interrupted N: succeed if the guest has had N interruptions.
interrupted() {
	case $(vm A guest interruptions) in "$1 "*) return 0 ;; *) return 1 ;; esac
}
# reply QUEUE: let the guest get a reply from QUEUE.
reply() {
	vm A guest send "$1" >/dev/null
	vm A guest receive "$1" >/dev/null
}
# left WHAT N: require N enabled queues and N pinned pages after WHAT.
left() {
	expect "pinned after $1" "$2" pins
	expect "enabled after $1" "$2" enabled
}

mdev_with A 1 "1 2"
for backend in $backends; do
	for end in unmap disable close; do
		vm_open A $backend --run 1
		machine "queue *.* irq-polls 0"
		vm A slot add
		vm A slot map
		expect "enable in it" "rc=00 cc=0 status=81000000" vm A guest enable 01.0001 0x200000
		expect "elsewhere" "rc=00 cc=0 status=81000000" vm A guest enable 01.0002
		left "that" 2
		reply 01.0001
		wait_until "an interruption" interrupted 1
		expect "its indicator" 80 vm A slot byte

		vm A slot remove
		left "the removal" 2
		reply 01.0001
		wait_until "another interruption" interrupted 2
		expect "its indicator in the pinned page" 80 vm A slot byte
		expect "no slot" "rc=06 cc=3 status=00060000" vm A guest enable 01.0001 0x200000
		left "the refusal" 2

		case $end in
		unmap) vm A slot unmap ;;
		disable) vm A guest disable 01.0001 ;;
		esac
		if [ $end != close ]; then
			left $end 1
			reply 01.0001
			reply 01.0002
			wait_until "the other interruption" interrupted 3
			expect "indicator that is set no more" 00 vm A slot byte
		fi
		vm_close A
		left "the end" 0
		wait_until "the virtual machine is gone" no_machine
	done
done
