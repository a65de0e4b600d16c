# SPDX-License-Identifier: GPL-2.0
# Queues that are given to vfio_ap one by one, and one that is withheld as it cannot
# be reset.
# drivers: rust

load_driver
for _queue in 01.0001 01.0002 02.0001 03.0003; do
	ktry write $ap/devices/$_queue/driver_override vfio_ap
	ktry write $ap/devices/$_queue/driver/unbind $_queue
	[ $_queue != 02.0001 ] || machine queue $_queue zapq rc=06
	bind $_queue
done
mdev A
assign A adapter 1 domain 1 2
mdev B
assign B adapter 2 domain 1
unbind 03.0003
