# SPDX-License-Identifier: GPL-2.0
# When the mediated device of a QEMU is removed, QEMU unplugs it on request and continues to run.
#
# The guest has no queues from the request on. The C driver clears its masks, and this driver
# commits empty masks.
# image: clients
# memory: 1024
# timeout: 120

give_to_vfio_ap "1" ""
load_driver
for backend in $backends; do
	mdev A
	assign A adapter 1 domain 1
	qemu A $backend
	case $backend in
	group) remove_mdev A ;;
	iommufd) debian mdevctl stop -u "$(uuid A)" ;;
	esac
	[ ! -e "$mdevs/$(uuid A)" ] || fail "the device is still there"
	qmp_event A DEVICE_DELETED
	if_c expect "masks" clear qemu_masks A
	if_rust expect "masks" "apm=none aqm=none adm=none" qemu_masks A
	expect "status of 01.0001" unassigned cat $ap/devices/01.0001/status
	expect "QEMU goes on" '{"status": "prelaunch", "running": false}' qmp A query-status
	qemu_quit A
done
