# SPDX-License-Identifier: GPL-2.0
# The mdev sends a uevent if and only if its guest matrix has changed.
#
# The uevent follows the change after a moment and covers all changes until then.
# drivers: rust

uevents() { cat /sys/kernel/uevent_seqnum; }

# expect_uevents N COMMAND...
expect_uevents() {
	_sum=$(($(uevents) + $1))
	shift
	"$@"
	usleep 200000
	expect "number of the last uevent after '$*'" "$_sum" uevents
}

give_to_vfio_ap "0 1 9" ""
load_driver
mdev A
assign A adapter 0 domain 0
vm_open A
expect_uevents 1 assign A adapter 1
expect_uevents 0 assign A adapter 9
expect_uevents 1 unassign A domain 0
