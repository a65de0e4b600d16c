# SPDX-License-Identifier: GPL-2.0
# An unprivileged user whose guest gets no CPU can take memory away while the guest enables
# interruptions.
#
# This is starved-guest-unmap with niceness and with busy loops of other processes. It lasts as long
# as the machine takes to disable the interruptions of the host.
# drivers: rust
# machine: apm = 0,1
# timeout: 90

host_has() { machine show | grep -q '# 02.0001: interruptions enabled'; }
taken() { [ "$(machine counters 02.0001 aqic)" -ge 2 ]; }

mdev_with A "1 2" 1
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
