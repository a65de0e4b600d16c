# SPDX-License-Identifier: GPL-2.0
# A user can take memory away while one of its threads, which gets no CPU, gives back pages of it.
#
# The resets of sixteen queues end their interruptions, each of which has a page. The pages are
# unpinned by a thread that gets CPUs, or before the driver reports that none is left.
# machine: aqm = 0-15
# machine: adm = 0-15
# timeout: 90

mdev_with A 1 "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15"
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
