# SPDX-License-Identifier: GPL-2.0
# If the machine refuses to enable interruptions, the guest gets the reason and nothing changes.
#
# The C driver disables the previous interruptions. It also leaks the pinned page and the registered
# subclass of the new ones.
# expect-kernel[c]: WARNING: .*vfio_iommu_type1
# expect-kernel[c]: WARNING: .*arch/s390/kvm

mdev_with A 1 1
vm_open A group --run 1
machine "queue *.* irq-polls 0"
elsewhere=0x1c0100
for code in 01 02 05 06 42; do
	expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable 01.0001
	machine "queue 01.0001 aqic rc=$code times=1"
	expect "refused" "rc=$code cc=3 status=81${code}0000" vm A guest enable 01.0001 $elsewhere
	if_rust expect "enabled as before" "rc=00 cc=0 status=81000000" vm A guest rc 01.0001
	if_c expect "disabled" "rc=00 cc=0 status=80000000" vm A guest rc 01.0001
	vm A guest disable 01.0001
done
# The other way round the C driver tries again itself, with the lock of all mdevs held.
expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable 01.0001
machine "queue 01.0001 aqic rc=05 times=1"
if_rust expect "not disabled" "rc=05 cc=3 status=81050000" vm A guest disable 01.0001
if_rust expect "enabled as before" "rc=00 cc=0 status=81000000" vm A guest rc 01.0001
if_c expect "disabled" "rc=00 cc=0 status=80000000" vm A guest disable 01.0001
vm_close A
