# SPDX-License-Identifier: GPL-2.0
# An indicator byte at the end of one mapping of the user's memory is pinned in that mapping, and not in
# the next one.
#
# The IOMMU of type 1 takes any mapping that overlaps the 4,096 bytes from an address on. So it is the
# page that is to be asked for, and not the byte. The C driver asks for the byte: type 1 stops the host
# by a BUG then, when the second mapping goes. With an iommufd both are right.

indicator=0x1ffff8

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 1
backends="iommufd group"
if_c eval 'backends=iommufd'
for backend in $backends; do
	vm_open A $backend --run 1
	machine "queue *.* irq-polls 0"
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
