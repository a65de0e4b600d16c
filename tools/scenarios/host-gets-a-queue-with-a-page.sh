# SPDX-License-Identifier: GPL-2.0
# Interruptions of a queue that the host's driver has got belong to the host, despite the page of
# its last user.
#
# The queue is unbound while its guest has interruptions enabled. The machine does not reset it in
# time, and the page of the guest stays pinned. The bus resets the queue for the next driver. After
# that, vfio_ap does nothing to the queue on behalf of the guest.
# timeout: 90
# drivers: rust
# needs: driver_override

hosts() { case $(cat $ap/devices/01.0001/interrupt) in *enabled*) return 0 ;; *) return 1 ;; esac; }

load_driver
override 01.0001
mdev A
assign A adapter 1 domain 1
for end in unmap close; do
	vm_open A group --run 1 --look 0,0
	enable_at_once A 01.0001
	machine "queue 01.0001 reset-polls forever"
	unbind 01.0001
	[ "$(enabled_for_guests)" = 0 ] || expect "pinned" 1 pins
	ktry write $ap/devices/01.0001/driver_override cex4queue
	ktry write $ap/drivers/cex4queue/bind 01.0001
	machine "queue 01.0001 reset-polls 1"
	wait_until "the host has its interruptions" hosts
	wait_until "the page is given back" nothing_pinned
	machine "counters reset"
	case $end in
	unmap) vm A unmap ;;
	close) vm_close A ;;
	esac
	hosts || fail "the interruptions of the host's queue were disabled by $end"
	expect "AQIC for the queue of the host by $end" 0 machine counters 01.0001 aqic
	[ $end = close ] || vm_close A
	override 01.0001
done
