# SPDX-License-Identifier: GPL-2.0
# A page of a guest is pinned, and its memory taken away, without a circle of locks.
#
# With the C driver, lockdep finds one: its own lock for all mdevs, that of the IOMMU
# backend and that of its list of devices.
# kernel: debug
# expect-kernel[c]: possible circular locking dependency

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 1
vm_open A group --run 1
vm A guest enable 01.0001
vm A unmap
