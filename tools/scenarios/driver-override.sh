# SPDX-License-Identifier: GPL-2.0
# A driver_override gives a single queue to vfio_ap, without masks for the whole host.
# needs: driver_override

load_driver
mdev A
expect_error EADDRNOTAVAIL assign A adapter 1 domain 1
expect "nothing of it" "01." matrix A
override 01.0001
expect "status" unassigned cat $ap/devices/01.0001/status
assign A domain 1
expect "guest matrix" "01.0001" guest_matrix A
expect_error EADDRNOTAVAIL assign A domain 2
vm_open A
expect "masks" "apm=1 aqm=1 adm=none" masks A
