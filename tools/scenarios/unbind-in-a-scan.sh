# SPDX-License-Identifier: GPL-2.0
# A queue that is unbound during a scan has been taken from its guest before another driver can have
# it.
#
# The adapter of the queue has just left the host configuration, and comes back. A driver_override
# can give the queue to the host's driver at once.
# timeout: 90
# needs: driver_override

load_driver
override 00.0000 00.0001 00.0002 01.0001 02.0001
mdev A
assign A adapter 1 2 domain 1
vm_open A group --run 1 --look 2,1
expect "masks" "apm=1-2 aqm=1 adm=none" masks A
long_scan 00.0002 "apm - 1"
ktry write $ap/devices/01.0001/driver_override cex4queue
unbind 01.0001
expect "masks when it is unbound" "apm=2 aqm=1 adm=none" masks A
ktry write $ap/drivers/cex4queue/bind 01.0001
machine "apm + 1"
expect "driver" cex4queue driver_of 01.0001
expect "the guest gets" "rc=01 cc=3 status=00010000" vm A guest rc 01.0001
end_scan
expect "masks after the scan" "apm=2 aqm=1 adm=none" masks A
