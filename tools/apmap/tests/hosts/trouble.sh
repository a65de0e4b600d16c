# SPDX-License-Identifier: GPL-2.0
# Adapters that are deconfigured, in check stop, and gone; with the C driver.
# drivers: c

give_to_vfio_ap "" "1 2"
load_driver
mdev A
assign A adapter 0 1 2 3 domain 1 2
vm_open A
machine "adapter 0 state checkstopped ; adapter 1 state deconfigured ; apm - 3"
scan
