# SPDX-License-Identifier: GPL-2.0
# A user can attach the device to another I/O address space at any time; pages of the old one are
# unpinned and no longer written to.
#
# The old one is destroyed then. The kernel refuses that while one of its pages is pinned.
# needs: iommufd

# off WHAT: require that nothing is enabled or pinned after WHAT.
off() {
	expect "pinned after $1" 0 pins
	expect "enabled after $1" 0 enabled_for_guests
}
on() {
	expect "enable" rc=00 response A enable 01.0001
	expect "enable in the same page" rc=00 response A enable 01.0002
	expect "enabled" 2 enabled_for_guests
	[ "$(pins)" != 0 ] || fail "nothing is pinned"
}

mdev_with A 1 "1 2"
vm_open A iommufd --run 1
machine "queue *.* irq-polls 0"
for deed in replace detach replace; do
	case $deed in replace) on ;; esac
	vm A $deed
	off $deed
	case $deed in
	detach)
		expect "there is no memory" rc=06 response A enable 01.0001
		vm A attach
		;;
	esac
done
on
vm_close A
off close
