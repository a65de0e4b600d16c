# SPDX-License-Identifier: GPL-2.0
# Pinning a page of a guest and taking its memory away involves no lock of the driver in a circle.
#
# With the C driver, lockdep finds its lock of all mdevs in a circle with the lock of the IOMMU
# backend and the lock of the backend's list of devices. The latter two form a circle of their own:
# the backend takes them in one order when a device registers, and in the other when a device unpins
# pages on request of the backend. This driver unpins in another thread and lets the backend call
# again.
# kernel: debug
# expect-kernel[c]: possible circular locking dependency

mdev_with A 1 1
vm_open A group --run 1
vm A guest enable 01.0001
vm A unmap
if_c dmesg_has "iommu->device_list_lock"
if_c dmesg_has "mdevs_lock.*, at: vfio_ap_mdev_dma_unmap"
if_rust dmesg_has_not "circular locking dependency"
