# SPDX-License-Identifier: GPL-2.0
# A second user of a character device is refused, but VFIO's core loses the virtual machine of the
# first.
#
# That is a bug of the kernel, not of the drivers. BIND_IOMMUFD stores the virtual machine before it
# checks if the device is open. The virtual machine of the first user is never destroyed. The
# drivers behave correctly: the guest keeps its queues until the device is closed. This scenario
# fails once the kernel is fixed; `stress` may open all devices in all ways then.
# needs: iommufd

mdev_with A 1 1
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
