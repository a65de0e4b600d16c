# SPDX-License-Identifier: GPL-2.0
# If any one allocation fails, the errno reports it, and the previous state is kept.
#
# Each case of apfail is repeated with its first, second, ... allocation failing: create and remove,
# unload, assign, open and close, requests of users, interruptions of a guest, bind and unbind,
# attributes and debugfs.
#
# VFIO's core warns and leaks an IOMMU group when it cannot make a group. That is a bug of the
# kernel, in vfio_create_group().
# expect-kernel: WARNING: drivers/vfio/group.c:.* at vfio_group_release
# drivers: rust
# kernel: faults
# machine: adapter 0-3 cex7a
# timeout: 400

give_to_vfio_ap "1 2 3" ""
load_driver
machine "queue *.* reset-polls 0 ; queue *.* irq-polls 0"
# What the kernel says comes by way of apfail, but for the callers of each allocation.
dmesg -n 1
apfail ${CASES:-} || fail "see above"
dmesg -n 8
