# SPDX-License-Identifier: GPL-2.0
# The driver can be loaded when QCI fails, and has nothing to pass on then.
#
# It behaves as on a machine without QCI. The C driver refuses, and leaks its debug feature and
# memory.
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
