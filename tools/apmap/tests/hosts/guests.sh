# SPDX-License-Identifier: GPL-2.0
# Guests and mediated devices of all kinds: in use, ready, filtered for a missing
# queue, with more than the host has.
# machine: adapter 4 cex8p ; adapter 5 cex8a ; apm = 0-5 ; aqm = 0-9,0x10 ; adm = 0-9,0x10
# timeout: 120

ktry write $ap/apmask -1-4,-0x20
load_driver
mdev A
assign A adapter 1 2 domain 1 2 control_domain 1 9
vm_open A
mdev B
assign B adapter 3 4 0x20 domain 4 5 0x30
vm_open B
unbind 04.0005
mdev C
assign C adapter 1 2 domain 6
mdev D
assign D domain 7
