# SPDX-License-Identifier: GPL-2.0
# A report in debugfs that somebody has open keeps the driver from being unloaded, and can be closed at
# any time.
#
# The mdev may go before: then there is nothing more to read. The C driver has no reports.
# drivers: rust

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 1
exec 9<"/sys/kernel/debug/vfio_ap/$(uuid A)"
read -r line <&9
expect "the first line" "used by: nobody" echo "$line"
remove_mdev A
expect_error EAGAIN unload_driver
exec 9<&-
unload_driver
load_driver
