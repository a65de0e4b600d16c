# SPDX-License-Identifier: GPL-2.0
# A host for these guests. One adapter is later, one has another mode, and one is older.
# machine: adapter 1 cex8c ; adapter 2 cex7p ; adapter 3 cex7c ; apm = 0-3 ; aqm = 0-3 ; adm = 0-3

ktry write $ap/apmask -1-3
load_driver
mdev A
assign A adapter 1 domain 1 2 control_domain 1
mdev D
