# SPDX-License-Identifier: GPL-2.0
# Devices that mdevctl starts automatically are there when the driver is loaded.
# image: clients
# timeout: 120

a=$(uuid A)
# Debian's rule for udev asks for it where it is not.
[ -e $debian/usr/sbin/mdevctl ] || ln -s ../bin/mdevctl $debian/usr/sbin/mdevctl
udevd
debian mdevctl define --auto -u "$a" -p matrix -t $type
debian mdevctl modify -u "$a" --addattr=assign_adapter --value=1
debian mdevctl modify -u "$a" --addattr=assign_domain --value=1
debian mdevctl define -u "$(uuid B)" -p matrix -t $type
give_to_vfio_ap "1" ""
load_driver
settle
expect "what has started" "$a" ls $mdevs
expect "matrix" "01.0001" matrix A
expect "list" "$a matrix $type auto (defined)" debian mdevctl list
