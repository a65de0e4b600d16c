# SPDX-License-Identifier: GPL-2.0
# The message about a refused request names the queues of every mdev in conflict.
#
# If an mdev makes the request, the C driver names those of the first mdev that it finds.

# named REGEX: how many lines
named() { dmesg | grep -c "$1" || :; }
of_first="already assigned to $(uuid A)" of_second="already assigned to $(uuid B)"

mdev_with A 1 1
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
