# SPDX-License-Identifier: GPL-2.0
# Adapters that are deconfigured or in check stop, and one that could not be reset.
# drivers: rust

give_to_vfio_ap "0 1 2 3" ""
load_driver
mdev A
assign A adapter 0 1 2 domain 1 2
vm_open A
machine "adapter 0 state checkstopped ; adapter 1 state deconfigured ; queue 02.0001 zapq rc=06"
unbind 02.0001
bind 02.0001
scan
looked() { [ "$(grep -c "out of order" "/sys/kernel/debug/vfio_ap/$(uuid A)")" = 2 ]; }
wait_until "the driver has looked at the adapters" looked
mdev B
assign B adapter 3 domain 3 control_domain 3
