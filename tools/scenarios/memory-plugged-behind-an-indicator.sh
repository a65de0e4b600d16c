# SPDX-License-Identifier: GPL-2.0
# Memory that is plugged behind the page of an indicator byte has nothing to do with that page.
#
# All that the user does is what each VMM does when memory is plugged. The C driver gives back the byte's
# address, for which the IOMMU of type 1 finds the new mapping: the old page stays pinned, and the host
# is stopped by a BUG when it goes. With an iommufd both are right.

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 1
backends="iommufd group"
if_c eval 'backends=iommufd'
for backend in $backends; do
	vm_open A $backend --run 1
	machine "queue *.* irq-polls 0"
	expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable 01.0001 0x1ffff8
	expect "pinned" 1 pins
	vm A slot add
	vm A slot map
	vm A dma 0x300000
	vm A guest send 01.0001
	vm A guest receive 01.0001
	interrupted() { case $(vm A guest interruptions) in "1 "*) return 0 ;; *) return 1 ;; esac; }
	wait_until "an interruption with more memory" interrupted
	expect "disable" rc=00 response A disable 01.0001
	wait_until "the page is given back" nothing_pinned
	vm A unmap
	vm_close A
done
