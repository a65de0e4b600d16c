# SPDX-License-Identifier: GPL-2.0
# Unloading removes mediated devices that nobody has open, and their queues.

give_to_vfio_ap "1 2" ""
load_driver
mdev A
mdev B
mdev C
assign A adapter 1 domain 1 2
assign B adapter 2 domain 1 2
count_from_zero
unload_driver
for name in A B C; do
	[ ! -e "$mdevs/$(uuid $name)" ] || fail "mdev $name is still there"
done
# Nothing is assigned when the driver is loaded again.
load_driver
mdev C
assign C adapter 1 2 domain 1 2
expect "guest matrix of C" "01.0001 01.0002 02.0001 02.0002" guest_matrix C
