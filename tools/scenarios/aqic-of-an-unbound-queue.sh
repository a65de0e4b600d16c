# SPDX-License-Identifier: GPL-2.0
# A guest cannot enable interruptions of a queue that is not bound, so nothing of it is left for the owner
# who comes next.
#
# An adapter goes and comes back within a scan: its queues are not bound then, though the guest's masks
# have them until the scan is over.
# timeout: 90

give_to_vfio_ap "0 1 2 3" ""
load_driver
mdev A
assign A adapter 1 2 domain 1
vm_open A group --run 1 --look 2,1
no_card() { [ ! -e $ap/devices/card01 ]; }
# The type of adapter 3 has changed, and its queues are slow: the scan goes on after adapter 1 has gone.
machine "counters reset ; adapter 3 cex6c ; queue 03.* reset-polls 70 ; apm - 1"
echo 1 >$ap/scans &
scan=$!
wait_until "adapter 1 is gone" no_card
machine "apm + 1 ; queue 01.* irq-polls 0 ; counters reset"
expect "enable" rc=01 response A enable 01.0001
expect "disable" rc=01 response A disable 01.0001
expect "nothing reaches the machine" 0 machine counters 01.0001 aqic
still_scans $scan
machine "queue 03.* reset-polls 1"
wait $scan
expect "pinned" 0 pins

# The host gets the adapter, and what the user does has nothing to do with it.
unassign A adapter 1
ktry write $ap/apmask +1
scan
expect "driver" cex4queue driver_of 01.0001
hosts() { case $(cat $ap/devices/01.0001/interrupt) in *enabled*) ;; *) return 1 ;; esac; }
wait_until "the host has its interruptions" hosts
vm A unmap
hosts || fail "the interruptions of the host's queue were disabled"
vm_close A
hosts || fail "the interruptions of the host's queue were disabled by closing"
