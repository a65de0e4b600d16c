# SPDX-License-Identifier: GPL-2.0
# The driver can be loaded and unloaded repeatedly and leaves nothing behind.
#
# Loading creates the root device vfio_ap and the device matrix, and registers with the AP bus (A1).
# Unloading removes all of them.

give_to_vfio_ap "1" ""
for round in 1 2 3; do
	load_driver
	expect "driver of 01.0001, round $round" vfio_ap \
		basename "$(readlink $ap/devices/01.0001/driver)"
	test -d $parent
	unload_driver
	for path in /sys/devices/vfio_ap /sys/bus/matrix $ap/drivers/vfio_ap \
		/sys/class/mdev_bus/matrix /sys/bus/mdev/drivers/vfio_ap_mdev; do
		[ ! -e $path ] || fail "$path is still there in round $round"
	done
done
