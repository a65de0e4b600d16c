# SPDX-License-Identifier: GPL-2.0
# A user that opens an mdev during a long scan gets its queues at once if the scan does not concern
# them.
# timeout: 90

give_to_vfio_ap "0 1 2" ""
load_driver
mdev A
assign A adapter 1 2 domain 1
long_scan 00.0001 "adm - 3"
expect "guest matrix" "01.0001 02.0001" guest_matrix A
vm_open A group --run 1 --look 2,1
expect "masks" "apm=1-2 aqm=1 adm=none" masks A
expect "the guest has" "01.0001 02.0001" vm A guest queues
end_scan
expect "masks after the scan" "apm=1-2 aqm=1 adm=none" masks A
