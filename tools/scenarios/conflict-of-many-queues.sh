# SPDX-License-Identifier: GPL-2.0
# The message about a request that is refused for many queues names some of them.
#
# A conflict can have thousands of queues. The C driver names each.

domains="100 101 102 103 104 105 106 107 108 109 110 111 112 113 114 115 116 117 118 119"
named() { dmesg | grep -c "$1" || true; }

give_to_vfio_ap "" "$domains"
load_driver
mdev A
mdev B
assign A adapter 1 domain $domains
assign B domain $domains
expect_error EADDRINUSE assign B adapter 1
dmesg_has "$(uuid B): .*queue 01\.0064 .*already assigned to $(uuid A)"
if_rust expect "queues named" 16 named "already assigned"
if_c expect "queues named" 20 named "already assigned"
expect_error EBUSY ktry write $ap/aqmask "+$(echo $domains | sed 's/ /+/g')"
dmesg_has "$(uuid A): .*queue 01\.0064 .*in use by mdev"
if_rust expect "queues named" 16 named "in use by mdev"
if_c expect "queues named" 20 named "in use by mdev"
