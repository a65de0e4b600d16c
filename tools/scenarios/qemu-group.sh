# SPDX-License-Identifier: GPL-2.0
# QEMU, by the VFIO group, gives its guest the queues in guest_matrix.
#
# Meanwhile a second user and unloading are refused. Afterwards the queues are reset.
# image: clients
# memory: 1024
# timeout: 120

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 2 domain 1 2 control_domain 1
unbind 02.0001
qemu A group
expect "masks" "apm=1 aqm=1-2 adm=1" qemu_masks A
expect "guest matrix" "01.0001 01.0002" guest_matrix A
expect "status of 01.0001" "in use" cat $ap/devices/01.0001/status
expect "status of 02.0002" "assigned" cat $ap/devices/02.0002/status
expect_refusal "Device or resource busy" qemu B none -device "vfio-ap,sysfsdev=$mdevs/$(uuid A)"
expect_error EAGAIN unload_driver
expect "masks after that" "apm=1 aqm=1-2 adm=1" qemu_masks A
count_from_zero
qemu_quit A
expect "status of 01.0001 then" "assigned" cat $ap/devices/01.0001/status
for queue in 01.0001 01.0002; do
	expect "resets of $queue" 1 zapqs $queue
done
