# SPDX-License-Identifier: GPL-2.0
# A guest loses a domain that goes and comes back within a scan, and gets it by the next scan.
#
# Between the two scans the queues are not bound. Their interruptions can be neither enabled nor
# disabled.
# timeout: 90

give_to_vfio_ap "0 1 2 3" ""
load_driver
mdev A
assign A adapter 1 domain 1 2
vm_open A group --run 1
no_queue() { [ ! -e $ap/devices/01.0002 ]; }
machine "queue *.* irq-polls 0"
count_from_zero
expect "enable" rc=00 response A enable 01.0002
long_scan 03.0001 "aqm - 2"
wait_until "the queue is gone" no_queue
machine "aqm + 2 ; queue 01.* irq-polls 0 ; counters reset"
expect "enable" rc=01 response A enable 01.0002
expect "AQIC" 0 machine counters 01.0002 aqic
end_scan
expect "pinned" 0 pins
expect "enabled" 0 enabled_for_guests
expect "masks" "apm=1 aqm=1 adm=none" masks A
scan
expect "masks after the next scan" "apm=1 aqm=1-2 adm=none" masks A
expect "enable" rc=00 response A enable 01.0001
