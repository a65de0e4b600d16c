# SPDX-License-Identifier: GPL-2.0
# QEMU's monitor can plug and unplug the device, and refuses a second one.
# image: clients
# memory: 1024
# timeout: 120

give_to_vfio_ap "1 2" ""
load_driver
mdev A
mdev B
assign A adapter 1 domain 1 2
assign B adapter 2 domain 1 2
qemu A group
device_add() {
	qmp A device_add "{\"driver\": \"vfio-ap\", \"id\": \"$1\", \"sysfsdev\": \"$mdevs/$(uuid "$2")\"}"
}
expect_refusal "GenericError" device_add second B
count_from_zero
qmp A device_del '{"id": "ap"}'
qmp_event A DEVICE_DELETED
expect "masks without" clear qemu_masks A
expect "status of 01.0001" assigned cat $ap/devices/01.0001/status
expect "resets of 01.0001" 1 zapqs 01.0001
device_add again B
expect "masks with another" "apm=2 aqm=1-2 adm=none" qemu_masks A
expect "status of 02.0001" "in use" cat $ap/devices/02.0001/status
