# SPDX-License-Identifier: GPL-2.0
# The page of an indicator byte at the end of a mapping is pinned in that mapping, and not in the
# next.
#
# The type 1 IOMMU accepts any mapping that overlaps the 4,096 bytes from the requested address on.
# The driver therefore has to request the page, not the byte. The C driver requests the byte, and
# type 1 stops the host by a BUG when the second mapping goes. Both drivers work with an iommufd.

indicator=0x1ffff8

mdev_with A 1 1
machine "queue *.* irq-polls 0"
for backend in $(backends_that_survive); do
	vm_open A "$backend" --run 1
	# The second mapping comes first, so that it is the one that a search meets first.
	vm A unmap
	vm A slot add
	vm A slot map
	vm A map
	expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable 01.0001 $indicator
	expect "pinned" 1 pins
	vm A slot unmap
	expect "pinned without the second mapping" 1 pins
	expect "enabled without it" 1 enabled_for_guests
	vm A unmap
	expect "pinned without both" 0 pins
	expect "enabled without both" 0 enabled_for_guests
	vm_close A
done
