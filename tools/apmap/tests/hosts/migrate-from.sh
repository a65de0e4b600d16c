# SPDX-License-Identifier: GPL-2.0
# Guests that are to migrate to another host, with adapters of all modes.
# machine: adapter 1 cex7c ; adapter 2 cex7a ; adapter 3 cex8c ; apm = 0-3 ; aqm = 0-4 ; adm = 0-4

ktry write $ap/apmask -1-3
load_driver
mdev A
assign A adapter 1 domain 1 2 control_domain 1
vm_open A
mdev B
assign B adapter 2 domain 1 2 control_domain 4
vm_open B
mdev C
assign C adapter 3 domain 1
vm_open C
