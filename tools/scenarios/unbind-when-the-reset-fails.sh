# SPDX-License-Identifier: GPL-2.0
# Interruptions of a queue that is unbound and cannot be reset are disabled.
#
# The page of the indicator byte stays pinned until then. A later reply neither sets the byte nor
# interrupts the guest. The C driver leaves the interruptions enabled and the page pinned.
# expect-kernel[c]: WARNING: .*vfio_ap_mdev_reset_queue
# expect-kernel[c]: WARNING: .*vfio_iommu_type1
# expect-kernel[c]: WARNING: .*arch/s390/kvm

nothing_left() { [ "$(pins)" = 0 ] && [ "$(enabled_for_guests)" = 0 ]; }

mdev_with A 1 1
codes="42 05"
# It asks a machine that is busy again and again.
if_c eval 'codes=42'
for code in $codes; do
	vm_open A group --run 1 --look 0,0
	machine "queue *.* irq-polls 0 ; queue 01.0001 reply-polls forever"
	count_from_zero
	expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable 01.0001
	vm A guest send 01.0001
	machine "queue 01.0001 zapq rc=$code"
	unbind 01.0001
	[ "$(enabled_for_guests)" = 0 ] || expect "pinned as long as they are enabled" 1 pins
	if_rust wait_until "nothing is left" nothing_left
	machine "queue 01.0001 reply-polls 0"
	usleep 100000
	if_rust expect "interruptions by a queue of others" "0 word=00000000 indicator=00" vm A guest interruptions
	vm_close A
	machine "queue 01.0001 zapq clear"
	bind 01.0001
done
