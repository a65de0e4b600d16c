# SPDX-License-Identifier: GPL-2.0
# A guest that has lost everything, with the C driver.
# drivers: c

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 2 domain 1
vm_open A
machine "apm - 2"
scan
unbind 01.0001
