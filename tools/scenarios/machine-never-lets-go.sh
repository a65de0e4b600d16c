# SPDX-License-Identifier: GPL-2.0
# If the machine neither disables interruptions nor resets the queue, nobody waits without bound,
# and the page is not reused.
#
# The user gets its memory back in bounded time, and VFIO has no pinned page. The driver keeps the
# frame of the page until the machine lets go, and reports it. The C driver waits forever.
# timeout: 90
# drivers: rust

held() { grep -q "held" "/sys/kernel/debug/vfio_ap/$(uuid A)"; }
not_held() { ! held; }
none_enabled() { [ "$(enabled_for_guests)" = 0 ]; }

mdev_with A 1 1
for end in unmap close; do
	vm_open A group --run 1 --look 0,0
	enable_at_once A 01.0001
	not_held || fail "something is held before"
	machine "queue 01.0001 zapq rc=05 ; queue 01.0001 aqic rc=05"
	began=$(seconds)
	case $end in
	unmap)
		vm A unmap
		[ $(($(seconds) - began)) -le 4 ] || fail "unmap took $(($(seconds) - began)) s"
		;;
	close)
		vm_close A
		[ $(($(seconds) - began)) -le 12 ] || fail "close took $(($(seconds) - began)) s"
		;;
	esac
	expect "pinned after $end" 0 pins
	expect "enabled after $end" 1 enabled_for_guests
	held || fail "nobody holds the page"
	machine "queue 01.0001 zapq clear ; queue 01.0001 aqic clear"
	wait_until "the machine lets go" none_enabled
	wait_until "the page is not held any more" not_held
	[ $end = close ] || vm_close A
done
