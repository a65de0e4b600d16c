# SPDX-License-Identifier: GPL-2.0
# An I/O address space that is replaced while the guest enables interruptions takes its pages along,
# and no page of the next one.
#
# Both queues have their indicators in one page. The kernel warns of a page that is unpinned twice
# or in the wrong address space.
# timeout: 90
# needs: iommufd

mdev_with A 1 "1 2"
vm_open A iommufd --run 1 --look 0,0
count_from_zero
machine "queue *.* irq-polls 0"
for delay in 0 1 3; do
	for deed in replace detach; do
		vm A guest disable 01.0001
		vm A race $deed $delay enable 01.0001 >/run/answers
		tail -n 1 /run/answers
		grep -q "^$deed: ok after" /run/answers || fail "$deed was refused"
		[ $deed = replace ] || {
			expect "pinned without memory" 0 pins
			expect "enabled without memory" 0 enabled_for_guests
			vm A attach
		}
		expect "the other queue" rc=00 response A enable 01.0002
		[ "$(pins)" != 0 ] || fail "its page is not pinned"
		vm A replace
		expect "pinned in the end" 0 pins
	done
done
