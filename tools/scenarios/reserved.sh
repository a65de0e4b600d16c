# SPDX-License-Identifier: GPL-2.0
# Queues that are reserved for the host's own drivers cannot be assigned.

give_to_vfio_ap "1" ""
load_driver
ktry write $ap/drivers/cex4queue/unbind 02.0001
expect_error ENODEV bind 02.0001
mdev A
# Without a domain there is no queue that could be reserved.
assign A adapter 2
expect_error EADDRNOTAVAIL assign A domain 1
expect "matrix" "02." matrix A
unassign A adapter 2
assign A adapter 1 domain 1 2
expect_error EADDRNOTAVAIL assign A adapter 2
expect "matrix then" "01.0001 01.0002" matrix A
expect "guest matrix" "01.0001 01.0002" guest_matrix A
