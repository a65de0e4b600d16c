# SPDX-License-Identifier: GPL-2.0
# Adapters and domains outside the host configuration may be assigned, and the rest still works.
#
# With adapters 1-3 and domains 1 and 2 in the host, adapter 4 or domain 3 in the matrix must not
# empty the guest (C2).
# machine: apm = 1-3 ; aqm = 1,2

six="01.0001 01.0002 02.0001 02.0002 03.0001 03.0002"
give_to_vfio_ap "1 2 3 4 0xf0" ""
load_driver
mdev A
assign A adapter 1 2 3 domain 1 2
expect "guest matrix" "$six" guest_matrix A
assign A adapter 4
expect "guest matrix with adapter 4" "$six" guest_matrix A
assign A domain 3
expect "guest matrix with domain 3, too" "$six" guest_matrix A
expect "matrix" "01.0001 01.0002 01.0003 02.0001 02.0002 02.0003 03.0001 03.0002 03.0003\
 04.0001 04.0002 04.0003" matrix A
vm_open A
expect "masks" "apm=1-3 aqm=1-2 adm=none" masks A
# Nothing of it when what is missing comes first.
mdev B
assign B adapter 0xf0 domain 0xf1
expect "guest matrix of B" "" guest_matrix B
