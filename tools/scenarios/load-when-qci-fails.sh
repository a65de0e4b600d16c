# SPDX-License-Identifier: GPL-2.0
# If the machine stops telling its configuration, the driver can be loaded as if it never
# had, with nothing to pass on.
#
# The C driver refuses, and leaves its debug feature behind, and memory.
# kernel[c]: usual

give_to_vfio_ap "1" ""
wait_until "the AP bus has scanned" first_scan_done
machine "limits qci=off"
if_c expect_error EOPNOTSUPP ktry insmod /lib/modules/vfio_ap.ko
if_c test -e /sys/kernel/debug/s390dbf/vfio_ap
if_rust load_driver
if_rust mdev A
if_rust assign A adapter 1 domain 1
if_rust expect "guest matrix" "" guest_matrix A
