# SPDX-License-Identifier: GPL-2.0
# A queue that is unbound by hand in a scan is taken from its guest before another driver can have it, also
# if its adapter has just gone from the host configuration, and comes back.
#
# By its driver_override somebody can give it to the host's driver at once.
# timeout: 90

load_driver
for queue in 00.0000 00.0001 00.0002 01.0001 02.0001; do
	ktry write $ap/devices/$queue/driver_override vfio_ap
	ktry write $ap/drivers/cex4queue/unbind $queue
	bind $queue
done
mdev A
assign A adapter 1 2 domain 1
vm_open A group --run 1 --look 2,1
expect "masks" "apm=1-2 aqm=1 adm=none" masks A
# Queues of adapter 0 go, as its type has changed, and their resets take long: that makes the scan last.
machine "counters reset ; adapter 0 cex6c ; queue 00.* reset-polls 90 ; apm - 1"
echo 1 >$ap/scans &
scan=$!
wait_until "the scan is at adapter 0" under_way 00.0000
ktry write $ap/devices/01.0001/driver_override cex4queue
unbind 01.0001
expect "masks when it is unbound" "apm=2 aqm=1 adm=none" masks A
ktry write $ap/drivers/cex4queue/bind 01.0001
machine "apm + 1"
expect "driver" cex4queue driver_of 01.0001
expect "the guest gets" "rc=01 cc=3 status=00010000" vm A guest rc 01.0001
still_scans $scan
machine "queue 00.* reset-polls 1"
wait $scan
expect "masks after the scan" "apm=2 aqm=1 adm=none" masks A
