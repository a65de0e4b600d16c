# SPDX-License-Identifier: GPL-2.0
# A user can take memory away after the machine has refused interruptions in it, and while the
# machine is too busy to disable others.
#
# The page stays pinned until the machine has disabled the interruptions, because it could still be
# written to. The C driver leaves the page pinned, and the type 1 IOMMU stops the host by a BUG in
# VFIO_IOMMU_UNMAP_DMA. The scenario therefore does not run with the C driver. Found by `stress`.
# drivers: rust

mdev_with A 1 "1 2"
machine "queue *.* irq-polls 0"
for backend in $backends; do
	vm_open A $backend --run 1
	for code in 01 02 05 06 42; do
		machine "queue 01.0001 aqic rc=$code times=1"
		expect "refused" "rc=$code cc=3 status=80${code}0000" vm A guest enable 01.0001
		vm A unmap
		vm A map
	done
	expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable 01.0002
	machine "queue 01.0002 aqic rc=05 times=3"
	vm A unmap
	dmesg_has_not "could not be disabled"
	expect "disabled" "rc=00 cc=0 status=80000000" vm A guest rc 01.0002
	vm A map
	vm_close A
done
