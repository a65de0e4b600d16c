# SPDX-License-Identifier: GPL-2.0
# An attempt to load the driver that fails leaves no memory behind.
#
# The C driver forgets its matrix device; kmemleak finds it, if nothing in memory looks
# like its address by chance. So there are several attempts.
# kernel: debug
# expect-kernel[c]: suspected memory leaks

wait_until "the AP bus has scanned" first_scan_done
machine "limits qci=off"
for _round in 1 2 3 4 5 6 7 8; do
	if_c expect_error EOPNOTSUPP ktry insmod /lib/modules/vfio_ap.ko
	if_rust load_driver
	if_rust unload_driver
done
