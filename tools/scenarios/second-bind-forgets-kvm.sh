# SPDX-License-Identifier: GPL-2.0
# A second user of a character device is refused, and VFIO's core forgets the first one's VM.
#
# That is a bug of the kernel, not of either driver: BIND_IOMMUFD stores the virtual machine
# before it looks whether the device is open already. The VM of the first user is never
# destroyed. What the drivers do with it is right: the guest keeps its queues, and loses them
# when the device is closed. Once the kernel is mended, this fails, and `stress` may use all
# devices in all ways.

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 1
vm_open A iommufd --run 1
expect_error EINVAL vm_start other A --backend iommufd
expect "the guest has its queue" "01.0001" vm A guest queues
expect "masks" "apm=1 aqm=1 adm=none" masks A
vm_close A
expect "status" assigned cat $ap/devices/01.0001/status
one_more() { [ "$(machines)" = 1 ]; }
wait_until "the other VM is gone" one_more
sleep 2
expect "virtual machines that are left" 1 machines
vm_open A iommufd --run 1
expect "another guest gets the queue" "01.0001" vm A guest queues
