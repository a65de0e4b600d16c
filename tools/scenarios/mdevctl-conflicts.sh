# SPDX-License-Identifier: GPL-2.0
# mdevctl does not start a device with queues of the host or of another device, names the reason,
# and leaves nothing behind.
# image: clients
# timeout: 120

# start NAME ADAPTER: a device that is defined nowhere.
start() {
	echo "{\"mdev_type\": \"$type\", \"start\": \"manual\",
		\"attrs\": [{\"assign_adapter\": \"$2\"}, {\"assign_domain\": \"1\"}]}" >/tmp/definition
	debian mdevctl start -u "$(uuid "$1")" -p matrix --jsonfile /tmp/definition
}

give_to_vfio_ap "1 2" ""
load_driver
expect_refusal "Cannot assign requested address (os error 99)" start A 0
expect "nothing is left" "" ls $mdevs
start A 1
expect_refusal "Address already in use (os error 98)" start B 1
expect "A alone is left" "$(uuid A)" ls $mdevs
expect "matrix of A" "01.0001" matrix A
start B 2
expect "matrix of B" "02.0001" matrix B
