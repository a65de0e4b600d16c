# SPDX-License-Identifier: GPL-2.0
# A queue that the bus makes anew in a scan, and gives to the host's driver, was taken from its guest before.
#
# The type of its adapter has changed, and its driver_override is gone with the old device. In the
# host configuration only a control domain has changed.
# timeout: 90

load_driver
for queue in 01.0001 02.0001 03.0000 03.0001; do
	ktry write $ap/devices/$queue/driver_override vfio_ap
	ktry write $ap/drivers/cex4queue/unbind $queue
	bind $queue
done
mdev A
assign A adapter 1 2 domain 1
vm_open A group --run 1 --look 2,1
# The queues of adapter 3 go, too, and their resets take long: the scan goes on after adapter 1.
machine "counters reset ; adapter 1 cex6c ; adapter 3 cex6c ; queue 03.* reset-polls 90 ; adm - 3"
echo 1 >$ap/scans &
scan=$!
hosts() { [ "$(driver_of 01.0001)" = cex4queue ]; }
wait_until "the host has the queue" hosts
expect "the guest gets" "rc=01 cc=3 status=00010000" vm A guest rc 01.0001
expect "masks" "apm=2 aqm=1 adm=none" masks A
still_scans $scan
machine "queue 03.* reset-polls 1"
wait $scan
expect "masks after the scan" "apm=2 aqm=1 adm=none" masks A
