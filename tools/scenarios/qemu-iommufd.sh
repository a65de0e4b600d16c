# SPDX-License-Identifier: GPL-2.0
# QEMU, by the device's own file and an iommufd, gives its guest the queues in guest_matrix.
#
# Everything is as in qemu-group.
# image: clients
# memory: 1024
# timeout: 120
# needs: iommufd

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 1 2 control_domain 1
qemu A iommufd
expect "masks" "apm=1 aqm=1-2 adm=1" qemu_masks A
expect "status of 01.0001" "in use" cat $ap/devices/01.0001/status
# VFIO's core returns another error in this case.
expect_refusal "Invalid argument" qemu B none -object iommufd,id=iommufd \
	-device "vfio-ap,sysfsdev=$mdevs/$(uuid A),iommufd=iommufd"
expect_error EAGAIN unload_driver
count_from_zero
qemu_quit A
expect "status of 01.0001 then" "assigned" cat $ap/devices/01.0001/status
for queue in 01.0001 01.0002; do
	expect "resets of $queue" 1 zapqs $queue
done
