# SPDX-License-Identifier: GPL-2.0
# Memory that is plugged behind the page of an indicator byte does not affect the page.
#
# The user does what each VMM does to plug memory. The C driver unpins the address of the byte, for
# which the type 1 IOMMU finds the new mapping. The old page stays pinned, and a BUG stops the host
# when the old mapping goes. Both drivers work with an iommufd.

mdev_with A 1 1
machine "queue *.* irq-polls 0"
for backend in $(backends_that_survive); do
	vm_open A "$backend" --run 1
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
