# SPDX-License-Identifier: GPL-2.0
# A user that holds the lock of its container delays neither changes of other guests nor a scan.
#
# A loses its queue. Unpinning the page of its indicator takes the lock of the container, which A
# holds. Meanwhile B loses an adapter with a slow reset. The C driver waits for A's lock while it
# holds the locks of all guests.
# drivers: rust

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 domain 1
mdev B
assign B adapter 2 domain 1
machine "queue *.* irq-polls 0"
vm_open A group --run 1 --look 0,0
vm_open B
count_from_zero
expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable 01.0001
vm A hold container
unassign_with_endless_reset A 01.0001
usleep 200000
machine "queue 01.0001 reset-polls 1"
usleep 200000
machine "queue 02.0001 reset-polls 60 ; adm - 3"
echo 2 >"$mdevs/$(uuid B)/unassign_adapter" &
other=$!
echo 1 >$ap/scans &
scan=$!
ends_within 2 "B's unassign" $other
ends_within 2 "the scan" $scan
ends_within 2 "A's unassign" $writer
vm A release
wait_until "A's page is given back" nothing_pinned
