# SPDX-License-Identifier: GPL-2.0
# A failed attempt to load the driver leaks no memory.
#
# The C driver leaks its matrix device. kmemleak finds the leak unless a word in memory looks like
# its address by chance. The scenario therefore makes several attempts.
# kernel: debug
# expect-kernel[c]: suspected memory leaks

wait_until "the AP bus has scanned" first_scan_done
machine "limits qci=off"
for _round in 1 2 3 4 5 6 7 8; do
	if_c expect_error EOPNOTSUPP ktry insmod /lib/modules/vfio_ap.ko
	if_rust load_driver
	if_rust unload_driver
done
