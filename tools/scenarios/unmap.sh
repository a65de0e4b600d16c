# SPDX-License-Identifier: GPL-2.0
# Taking the memory of a guest away from its device disables the interruptions that need it, and no
# others.
#
# The C driver disables interruptions of all queues, including those without any, if the range
# contains address 0.

mdev_with A 1 "1 2"
for backend in $backends; do
	vm_open A $backend --run 1
	machine "queue *.* irq-polls 0 ; counters reset"
	expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable 01.0001
	vm A unmap
	expect "disabled" "rc=00 cc=0 status=80000000" vm A guest rc 01.0001
	expect "AQICs for 01.0001" 2 machine counters 01.0001 aqic
	if_rust expect "AQICs for 01.0002" 0 machine counters 01.0002 aqic
	if_c expect "AQICs for 01.0002" 1 machine counters 01.0002 aqic
	expect "there is no memory" "rc=06 cc=3 status=00060000" vm A guest enable 01.0001
	vm A map
	expect "enable again" "rc=00 cc=0 status=81000000" vm A guest enable 01.0001
	[ $backend = group ] || {
		# VFIO_DEVICE_DETACH_IOMMUFD_PT
		vm A ioctl 0x3b78 8 0
		expect "detached" "rc=00 cc=0 status=80000000" vm A guest rc 01.0001
		expect "nor is there" "rc=06 cc=3 status=00060000" vm A guest enable 01.0001
	}
	vm_close A
done
