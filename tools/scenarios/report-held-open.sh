# SPDX-License-Identifier: GPL-2.0
# The driver cannot be unloaded while a report in debugfs is open, even if its mediated device is
# gone.
#
# Closing the report makes it possible.
# drivers: rust

mdev_with A 1 1
report=/sys/kernel/debug/vfio_ap/$(uuid A)
users() { cat /sys/module/vfio_ap/refcnt; }

exec 9<"$report"
read -r line <&9
expect "the first line" "used by: nobody" echo "$line"
expect_error EAGAIN unload_driver
expect "the report, for another reader" "used by: nobody" head -n 1 "$report"
expect "users of the module" 1 users

remove_mdev A
[ ! -e "$report" ] || fail "the report is still there"
expect_error EAGAIN unload_driver
exec 9<&-
expect "users of the module, after closing" 0 users
unload_driver
[ ! -e /sys/kernel/debug/vfio_ap ] || fail "the directory is still there"
