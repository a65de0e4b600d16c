# SPDX-License-Identifier: GPL-2.0
# Anybody can be as nice as he likes: a user without privileges whose guest gets no CPU can take its memory
# away in the midst of enabling interruptions.
#
# As starved-guest-unmap, but with niceness and the busy loops of others, and for as long as the machine
# takes to disable the interruptions of the host.
# drivers: rust
# machine: apm = 0,1
# timeout: 90

host_has() { machine show | grep -q '# 02.0001: interruptions enabled'; }
taken() { [ "$(machine counters 02.0001 aqic)" -ge 2 ]; }

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 2 domain 1
for delay in 100 700; do
	vm_open A group --run 1 --look 0,0
	machine "apm + 2 ; queue *.* irq-polls 0"
	scan
	wait_until "the host has its interruptions" host_has
	machine "counters reset ; queue 02.0001 irq-polls 90"
	vm A nice 19
	vm A after $delay $((4 * $(nproc))) unmap enable 02.0001 >/run/answer || :
	cat /run/answer
	grep -q "^unmap: ok after" /run/answer || fail "unmap was refused"
	expect "pinned" 0 pins
	vm A nice 0
	vm_close A
	machine "apm - 2"
	scan
done
