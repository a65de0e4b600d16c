# SPDX-License-Identifier: GPL-2.0
# A user that holds the lock of its container delays neither unbinding its queues nor a scan that
# removes them.
#
# The page of the queues is unpinned when the user releases the lock.
# drivers: rust
# timeout: 90

mdev_with A "1 2 3" 1
vm_open A group --run 1 --look 0,0
count_from_zero
machine "queue *.* irq-polls 0"
for queue in 01.0001 02.0001 03.0001; do
	expect "enable" rc=00 response A enable $queue
done
vm A hold container
ktry write $ap/drivers/vfio_ap/unbind 01.0001 &
ends_within 2 "unbind" $!
expect "masks" "apm=2-3 aqm=1 adm=none" masks A
machine "apm - 2"
echo 1 >$ap/scans &
ends_within 2 "the scan" $!
expect "masks" "apm=3 aqm=1 adm=none" masks A
echo 3 >"$mdevs/$(uuid A)/unassign_adapter" &
ends_within 2 "unassign" $!
expect "masks" "apm=none aqm=1 adm=none" masks A
expect "enabled" 0 enabled_for_guests
vm A release
wait_until "the page is given back" nothing_pinned
