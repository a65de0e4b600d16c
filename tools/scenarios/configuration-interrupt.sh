# SPDX-License-Identifier: GPL-2.0
# The user of a device learns of each change of its configuration by an eventfd.
#
# VFIO defines two requests that take the eventfd away. The C driver does not know the one without
# data.

give_to_vfio_ap "1 2 200" ""
load_driver
mdev A
assign A adapter 1 domain 1
vm_open A
expect "nothing set up" "req=0 cfg=0" vm A events
vm A set-irq cfg eventfd
assign A adapter 2
expect "after assign" "req=0 cfg=1" vm A events
unassign A adapter 2
expect "after unassign" "req=0 cfg=1" vm A events
assign A control_domain 1
expect "after a control domain" "req=0 cfg=1" vm A events
assign A adapter 200
expect "after something that the guest does not get" "req=0 cfg=0" vm A events
vm A set-irq cfg none
assign A adapter 2
expect "no longer set up" "req=0 cfg=0" vm A events
vm A set-irq cfg eventfd
if_rust vm A ioctl set-irqs 20 0x21 1 0 0
if_c expect_error EINVAL vm A ioctl set-irqs 20 0x21 1 0 0
unassign A adapter 2
if_rust expect "taken away without data" "req=0 cfg=0" vm A events
if_c expect "not taken away" "req=0 cfg=1" vm A events
