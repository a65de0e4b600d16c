# SPDX-License-Identifier: GPL-2.0
# On a machine without AP instructions the driver prints a message and is not loaded.
#
# The C driver leaks its debug feature each time, which breaks the next attempt.
# machine: none
# needs: no-sie

expect_error ENODEV ktry insmod /lib/modules/vfio_ap.ko
expect_error ENODEV ktry insmod /lib/modules/vfio_ap.ko
[ ! -e /sys/devices/vfio_ap ] || fail "the root device is still there"
[ ! -e /sys/bus/matrix ] || fail "the bus matrix is still there"
if_c dmesg_has "'vfio_ap' already exists in 's390dbf'"
if_rust dmesg_has_not "already exists"
left=/sys/kernel/debug/s390dbf/vfio_ap
if_c test -e $left
if_rust test ! -e $left
