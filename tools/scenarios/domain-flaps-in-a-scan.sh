# SPDX-License-Identifier: GPL-2.0
# A domain that goes and comes back within a scan is lost by the guest, and given to it by the next one.
#
# In between its queues are not bound, so no interruptions of them can be enabled, nor disabled.
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
# The type of adapter 3 has changed, and its queues are slow: the scan goes on after adapter 1.
machine "counters reset ; adapter 3 cex6c ; queue 03.* reset-polls 70 ; aqm - 2"
echo 1 >$ap/scans &
scan=$!
wait_until "the queue is gone" no_queue
machine "aqm + 2 ; queue 01.* irq-polls 0 ; counters reset"
expect "enable" rc=01 response A enable 01.0002
expect "AQIC" 0 machine counters 01.0002 aqic
still_scans $scan
machine "queue 03.* reset-polls 1"
wait $scan
expect "pinned" 0 pins
expect "enabled" 0 enabled_for_guests
expect "masks" "apm=1 aqm=1 adm=none" masks A
scan
expect "masks after the next scan" "apm=1 aqm=1-2 adm=none" masks A
expect "enable" rc=00 response A enable 01.0001
