# SPDX-License-Identifier: GPL-2.0
# A user can take memory away while a CPU of its guest, which is about to enable interruptions, gets no
# CPU of the host.
#
# The queue's interruptions belong to the host, so that enabling takes its time: the driver disables them
# first. The page of the guest's indicator is found whenever the memory goes. The C driver does not take
# them from the host, and warns when the machine does not disable them in time.
# drivers: rust
# machine: apm = 0,1
# timeout: 90

# taken_away BACKEND DEED: memory goes in the midst of it, and nothing of it is pinned.
taken_away() {
	vm_open A "$1" --run 1 --look 0,0
	machine "apm + 2 ; queue *.* irq-polls 0"
	scan
	wait_until "the host has its interruptions" host_has
	machine "queue 02.0001 irq-polls 20"
	vm A starve
	vm A after 20 $((2 * $(nproc))) "$2" enable 02.0001 >/run/answer || :
	cat /run/answer
	grep -q "^$2: ok after" /run/answer || fail "$2 was refused"
	expect "pinned after $2" 0 pins
	vm A nice 0
	vm_close A
	machine "apm - 2"
	scan
}
host_has() { machine show | grep -q '# 02.0001: interruptions enabled'; }

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 2 domain 1
taken_away iommufd detach
taken_away iommufd replace
taken_away group unmap
