# SPDX-License-Identifier: GPL-2.0
# A queue belongs to at most one mediated device.

give_to_vfio_ap "1 2" ""
load_driver
mdev A
mdev B
assign A adapter 1 domain 1
assign B domain 1
expect_error EADDRINUSE assign B adapter 1
dmesg_has "$(uuid B): .*queue 01\.0001 .*already assigned to $(uuid A)"
expect "matrix of B" ".0001" matrix B
expect "guest matrix of B" ".0001" guest_matrix B
assign B adapter 2
expect "matrix of B beside A" "02.0001" matrix B
# The other way round: a domain that would take several queues.
unassign B domain 1
assign B domain 2 adapter 1
assign A domain 3
expect_error EADDRINUSE assign A domain 2
dmesg_has "$(uuid A): .*queue 01\.0002 .*already assigned to $(uuid B)"
expect "matrix of A" "01.0001 01.0003" matrix A
# What was given back can be had.
unassign B adapter 1
assign A domain 2
expect "matrix of A then" "01.0001 01.0002 01.0003" matrix A
