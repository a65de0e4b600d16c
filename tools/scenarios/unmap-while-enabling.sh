# SPDX-License-Identifier: GPL-2.0
# Memory that is taken away while the machine enables interruptions in it is not written to later.
#
# PQAP(TAPQ) shows the same for "not yet enabled" and "disabled". The driver therefore disables the
# interruptions first and polls afterwards. The user waits for a bounded time. The driver keeps a
# page that the machine has not released by then until the machine releases it. The C driver warns
# and unpins the page in this case, and its machine is faster here.
# timeout: 90

none_enabled() { [ "$(enabled_for_guests)" = 0 ]; }

mdev_with A 1 1
lengths="4 300 forever"
if_c eval 'lengths=4'
for backend in $backends; do
	for polls in $lengths; do
		vm_open A $backend --run 1 --look 0,0
		count_from_zero
		machine "queue 01.0001 irq-polls $polls"
		expect "enable" rc=00 response A enable 01.0001
		began=$(seconds)
		vm A unmap
		[ $(($(seconds) - began)) -le 4 ] || fail "unmap took $(($(seconds) - began)) s"
		expect "pinned" 0 pins
		# Let the machine finish.
		machine "queue 01.0001 irq-polls 1"
		for look in 1 2 3; do vm A guest rc 01.0001; done
		wait_until "nothing is enabled, in the end, which took $polls looks" none_enabled
		vm_close A
	done
done
