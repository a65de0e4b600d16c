# SPDX-License-Identifier: GPL-2.0
# Mediated devices can be created and removed; their names are unique UUIDs.

give_to_vfio_ap "1" ""
load_driver
create=$parent/mdev_supported_types/$type/create
mdev A
expect_error EEXIST mdev A
expect_error EINVAL ktry write $create not-a-uuid
for _ in 1 2 3 4 5; do
	remove_mdev A
	[ ! -e "$mdevs/$(uuid A)" ] || fail "mdev A is still there"
	mdev A
	assign A adapter 1 domain 1
	expect "matrix" "01.0001" matrix A
done
expect "queue of the mdev" assigned cat $ap/devices/01.0001/status
remove_mdev A
expect "queue of no mdev" unassigned cat $ap/devices/01.0001/status
