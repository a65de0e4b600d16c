# SPDX-License-Identifier: GPL-2.0
# Two QEMUs have separate queues; a queue of one is refused to the other until the first has died
# and the queue is reset.
# image: clients
# memory: 1024
# timeout: 180
# needs: iommufd

give_to_vfio_ap "1 2 3" ""
load_driver
mdev A
mdev B
assign A adapter 1 2 domain 1
assign B adapter 3 domain 1 2
qemu A group
qemu B iommufd
expect "masks of A" "apm=1-2 aqm=1 adm=none" qemu_masks A
expect "masks of B" "apm=3 aqm=1-2 adm=none" qemu_masks B
expect_error EADDRINUSE assign B adapter 1
expect_error EADDRINUSE assign A adapter 3
expect "masks of A as before" "apm=1-2 aqm=1 adm=none" qemu_masks A
expect "masks of B as before" "apm=3 aqm=1-2 adm=none" qemu_masks B
count_from_zero
qemu_kill A
expect "resets of 01.0001" 1 zapqs 01.0001
expect "resets of 03.0001" 0 zapqs 03.0001
# The queues belong to A until they are unassigned.
expect_error EADDRINUSE assign B adapter 1
unassign A adapter 1
assign B adapter 1
expect "masks of B with adapter 1" "apm=1,3 aqm=1-2 adm=none" qemu_masks B
expect "status of 01.0001" "in use" cat $ap/devices/01.0001/status
qemu A group
expect "masks of A with the rest" "apm=2 aqm=1 adm=none" qemu_masks A
