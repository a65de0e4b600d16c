# SPDX-License-Identifier: GPL-2.0
# The reset of a queue is repeated quietly until it succeeds.
#
# The log gets one line for all attempts. The C driver warns, and has other rules for the owner of
# the queue.
# drivers: rust

said() { dmesg | grep -c "reset of queue" || :; }
patience=20

mdev_with A "1 2" 1
vm_open A
for code in 42 05; do
	before=$(said)
	machine "counters reset ; queue 01.0001 zapq rc=$code"
	expect_error EIO vm A reset
	again() { [ "$(machine counters 01.0001 zapq)" -gt $((tries + 2)) ]; }
	tries=$(machine counters 01.0001 zapq)
	wait_until "it is tried again, twice at least" again
	[ $(($(said) - before)) -le 2 ] || fail "each attempt is said"
	machine "queue 01.0001 zapq clear"
	has_both() { [ "$(masks A)" = "apm=1-2 aqm=1 adm=none" ]; }
	wait_until "it works, and the guest has it again" has_both
done
