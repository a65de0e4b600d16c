# SPDX-License-Identifier: GPL-2.0
# A refusal names the queues of every mdev in conflict.
#
# The C driver names those of the first one that it finds when an mdev asks for them.

# named REGEX: how many lines
named() { dmesg | grep -c "$1" || :; }
of_first="already assigned to $(uuid A)" of_second="already assigned to $(uuid B)"

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 1
mdev B
assign B adapter 1 domain 2
mdev C
assign C domain 1 2
expect_error EADDRINUSE assign C adapter 1
expect "nothing is assigned" ".0001 .0002" matrix C
if_rust expect "queues of the first" 1 named "queue 01.0001 .*$of_first"
if_rust expect "queues of the second" 1 named "queue 01.0002 .*$of_second"
if_c expect "queues of one of them" 1 named "already assigned to"
expect_error EBUSY ktry write $ap/apmask +1
if_rust expect "reserved: queues of both" 2 named "Can not reserve queue 01.000[12] .*in use by mdev"
