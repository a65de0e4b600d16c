# SPDX-License-Identifier: GPL-2.0
# Names, modes and constant contents of all attributes are those that management programs expect.

# list DIRECTORY: print its files, without those that every device has.
list() {
	(cd "$1" && find . -maxdepth 1 -type f) | sed 's,^\./,,' | grep -v '^uevent$' |
		sort | xargs
}

# mode FILE...: print the modes.
mode() { stat -c %a "$@"; }

give_to_vfio_ap "1" ""
load_driver
if_c expect "features" "guest_matrix hotplug ap_config" cat $parent/features
if_rust expect "features" "guest_matrix hotplug ap_config migratable" cat $parent/features
expect "mode of features" 444 mode $parent/features
expect "driver of the matrix device" /sys/bus/matrix/drivers/vfio_ap readlink -f $parent/driver
expect "matrix device on its bus" $parent readlink -f /sys/bus/matrix/devices/matrix
expect "mdev parent" $parent readlink -f /sys/class/mdev_bus/matrix
expect "mdev driver" mdev basename "$(dirname "$(dirname "$(readlink -f /sys/bus/mdev/drivers/vfio_ap_mdev)")")"
expect "module of the AP driver" /sys/module/vfio_ap readlink -f $ap/drivers/vfio_ap/module
expect "module of the mdev driver" /sys/module/vfio_ap \
	readlink -f /sys/bus/mdev/drivers/vfio_ap_mdev/module

types=$parent/mdev_supported_types
expect "types" vfio_ap-passthrough ls $types
expect "files of the type" "available_instances create device_api name" list $types/$type
expect "name" "VFIO AP Passthrough Device" cat $types/$type/name
expect "device API" vfio-ap cat $types/$type/device_api
expect "instances" 65536 cat $types/$type/available_instances
expect "mode of create" 200 mode $types/$type/create

mdev A
mdev B
expect "instances with two of them" 65534 cat $types/$type/available_instances
device=$mdevs/$(uuid A)
expect "driver of an mdev" vfio_ap_mdev basename "$(readlink "$device/driver")"
expect "type of an mdev" $types/$type readlink -f "$device/mdev_type"
expect "files of an mdev" "ap_config assign_adapter assign_control_domain assign_domain\
 control_domains guest_matrix matrix remove\
 unassign_adapter unassign_control_domain unassign_domain" list "$device"
for name in assign_adapter assign_domain assign_control_domain \
	unassign_adapter unassign_domain unassign_control_domain remove; do
	expect "mode of $name" 200 mode "$device/$name"
done
for name in matrix guest_matrix control_domains; do
	expect "mode of $name" 444 mode "$device/$name"
done
expect "mode of ap_config" 644 mode "$device/ap_config"
expect "mode of a queue's status" 444 mode $ap/devices/01.0001/status
