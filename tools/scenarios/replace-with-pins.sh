# SPDX-License-Identifier: GPL-2.0
# A user can give the device another I/O address space at any time; what was pinned in the old one is not
# pinned any more, and not written to.
#
# The old one is destroyed then, which is refused as long as a page of it is pinned for somebody.

# off WHAT: nothing is left of what the guest has enabled.
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

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 1 2
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
