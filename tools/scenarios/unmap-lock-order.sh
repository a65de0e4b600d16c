# SPDX-License-Identifier: GPL-2.0
# A page of a guest is pinned, and its memory taken away, without a circle of locks in which
# one of the driver's is.
#
# With the C driver, lockdep finds its own lock for all mdevs in a circle with that of the
# IOMMU backend and that of the backend's list of devices. The latter two make a circle of
# their own: the backend takes them in one order when a device registers, and in the other
# when the device gives back what is pinned because the backend wants it. Ours does so by
# another thread, and lets the backend call again.
# kernel: debug
# expect-kernel[c]: possible circular locking dependency

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 1
vm_open A group --run 1
vm A guest enable 01.0001
vm A unmap
if_c dmesg_has "iommu->device_list_lock"
if_c dmesg_has "mdevs_lock.*, at: vfio_ap_mdev_dma_unmap"
if_rust dmesg_has_not "circular locking dependency"
