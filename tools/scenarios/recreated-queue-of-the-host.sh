# SPDX-License-Identifier: GPL-2.0
# A queue that the bus recreates during a scan and gives to the host's driver has been taken from
# its guest before.
#
# The type of its adapter has changed, and the driver_override is gone with the old device. The host
# configuration changes only in a control domain.
# timeout: 90
# needs: driver_override

load_driver
override 01.0001 02.0001 03.0000 03.0001
mdev A
assign A adapter 1 2 domain 1
vm_open A group --run 1 --look 2,1
long_scan 03.0001 "adapter 1 cex6c ; adm - 3"
hosts() { [ "$(driver_of 01.0001)" = cex4queue ]; }
wait_until "the host has the queue" hosts
expect "the guest gets" "rc=01 cc=3 status=00010000" vm A guest rc 01.0001
expect "masks" "apm=2 aqm=1 adm=none" masks A
end_scan
expect "masks after the scan" "apm=2 aqm=1 adm=none" masks A
