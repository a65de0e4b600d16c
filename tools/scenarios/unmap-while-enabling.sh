# SPDX-License-Identifier: GPL-2.0
# Memory that is taken away while the machine still enables interruptions is not written to later.
#
# "Not enabled yet" looks like "disabled" to PQAP(TAPQ). So they are disabled first, and seen to be so
# only after that. The user waits for a bounded time. What the machine does not let go of by then is not
# the user's any more, but nobody else's either, until it does. The C driver warns and gives the page
# back then, so it has a machine that does not take that long.
# timeout: 90

none_enabled() { [ "$(enabled_for_guests)" = 0 ]; }

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 1
lengths="4 300 forever"
if_c eval 'lengths=4'
for backend in group iommufd; do
	for polls in $lengths; do
		vm_open A $backend --run 1 --look 0,0
		count_from_zero
		machine "queue 01.0001 irq-polls $polls"
		expect "enable" rc=00 response A enable 01.0001
		began=$(seconds)
		vm A unmap
		[ $(($(seconds) - began)) -le 4 ] || fail "unmap took $(($(seconds) - began)) s"
		expect "pinned" 0 pins
		# The machine gets on, if it has not yet.
		machine "queue 01.0001 irq-polls 1"
		for look in 1 2 3; do vm A guest rc 01.0001; done
		wait_until "nothing is enabled, in the end, which took $polls looks" none_enabled
		vm_close A
	done
done
