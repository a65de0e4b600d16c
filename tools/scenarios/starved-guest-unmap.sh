# SPDX-License-Identifier: GPL-2.0
# A user can take memory away while a CPU of its guest gets no host CPU in the middle of enabling
# interruptions.
#
# The interruptions of the queue belong to the host. Enabling takes long because the driver disables
# those first. The driver finds the page of the guest's indicator at any time. The C driver does not
# disable the host's interruptions, and warns if the machine does not disable interruptions in time.
# drivers: rust
# machine: apm = 0,1
# timeout: 90
# needs: iommufd

# taken_away BACKEND DEED: take memory away while the guest enables, and require that nothing is pinned.
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

mdev_with A "1 2" 1
taken_away iommufd detach
taken_away iommufd replace
taken_away group unmap
