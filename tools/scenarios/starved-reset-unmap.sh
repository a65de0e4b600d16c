# SPDX-License-Identifier: GPL-2.0
# A user can take memory away while a thread of his own, which gets no CPU, is giving back pages of it.
#
# The resets of sixteen queues end interruptions, and each needs a page. Whoever takes a page out of the
# table gives it back before anybody is told that there is none; or it is somebody who gets CPUs.
# machine: aqm = 0-15
# machine: adm = 0-15
# timeout: 90

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
vm_open A group --run 1 --look 0,0
count_from_zero
machine "queue *.* irq-polls 0"
for delay in 2 10 40; do
	at=0x1d0000
	for queue in $(matrix A); do
		expect "enable" rc=00 response A enable "$queue" $at
		at=$((at + 0x1000))
	done
	expect "pinned" 16 pins
	machine "queue 01.* reset-polls 3"
	vm A starve reset $delay $((2 * $(nproc))) >/run/answer
	cat /run/answer
	grep -q "^unmap: ok after" /run/answer || fail "unmap was refused"
	grep -q "^reset: ok after" /run/answer || fail "the reset has failed"
	expect "pinned" 0 pins
	vm A map
done
