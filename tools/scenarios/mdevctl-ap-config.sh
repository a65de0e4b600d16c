# SPDX-License-Identifier: GPL-2.0
# A definition of mdevctl may assign everything by ap_config.
#
# The ap-check callout of s390-tools, by which mdevctl could change a running device, is not in
# Debian's package.
# image: clients
# timeout: 120

# define NAME AP_CONFIG
define() {
	echo "{\"mdev_type\": \"$type\", \"start\": \"manual\", \"attrs\": [{\"ap_config\": \"$2\"}]}" \
		>/tmp/definition
	debian mdevctl define -u "$(uuid "$1")" -p matrix --jsonfile /tmp/definition
}

rest=000000000000000000000000000000000000000000000000000000000000000
give_to_vfio_ap "1 2" ""
load_driver
define A 0x6$rest,0x6$rest,0x4$rest
debian mdevctl start -u "$(uuid A)"
expect "matrix" "01.0001 01.0002 02.0001 02.0002" matrix A
expect "control domains" "0001" control_domains A
define B 0x2$rest,0x2$rest,0x0$rest
expect_refusal "Address already in use (os error 98)" debian mdevctl start -u "$(uuid B)"
define C 0xa$rest,0x1$rest,0x0$rest
expect_refusal "Cannot assign requested address (os error 99)" debian mdevctl start -u "$(uuid C)"
expect_refusal "Live modification is not supported" \
	debian mdevctl modify -u "$(uuid A)" --live --jsonfile /tmp/definition
expect "A alone is there" "$(uuid A)" ls $mdevs
