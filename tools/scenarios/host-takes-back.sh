# SPDX-License-Identifier: GPL-2.0
# The host cannot take back queues that are assigned to a mediated device.

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 domain 1
expect_error EBUSY ktry write $ap/apmask +1
dmesg_has "queue 01\.0001"
expect "driver of 01.0001" vfio_ap basename "$(readlink $ap/devices/01.0001/driver)"
# Adapter 2 is free.
ktry write $ap/apmask +2
expect "driver of 02.0001" cex4queue basename "$(readlink $ap/devices/02.0001/driver)"
unassign A adapter 1
ktry write $ap/apmask +1
expect "driver of 01.0001 then" cex4queue basename "$(readlink $ap/devices/01.0001/driver)"
# By domain, for all adapters.
ktry write $ap/aqmask -1-2
assign A adapter 3
expect_error EBUSY ktry write $ap/aqmask +1+2
dmesg_has "$(uuid A): .*queue 03\.0001 .*in use by mdev"
expect "driver of 03.0001" vfio_ap basename "$(readlink $ap/devices/03.0001/driver)"
ktry write $ap/aqmask +2
