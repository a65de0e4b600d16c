# SPDX-License-Identifier: GPL-2.0
# A guest cannot enable interruptions of a queue that is not bound to the driver.
#
# The next owner of the queue therefore inherits no interruptions. In this scenario an adapter goes
# and comes back within a scan. Its queues are not bound after that, and the guest's masks contain
# them until the scan has ended.
# timeout: 90

give_to_vfio_ap "0 1 2 3" ""
load_driver
mdev A
assign A adapter 1 2 domain 1
vm_open A group --run 1 --look 2,1
no_card() { [ ! -e $ap/devices/card01 ]; }
long_scan 03.0001 "apm - 1"
wait_until "adapter 1 is gone" no_card
machine "apm + 1 ; queue 01.* irq-polls 0 ; counters reset"
expect "enable" rc=01 response A enable 01.0001
expect "disable" rc=01 response A disable 01.0001
expect "nothing reaches the machine" 0 machine counters 01.0001 aqic
end_scan
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
