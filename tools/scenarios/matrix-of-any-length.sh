# SPDX-License-Identifier: GPL-2.0
# The matrix is complete for any number of queues.
#
# The C driver truncates it at 4095 bytes, in the middle of the 512th line.
# machine: adapter 0-39 cex8c ; apm = 0-39 ; aqm = 0-2

give_to_vfio_ap "" "100 101 102 103 104 105 106 107 108 109 110 111 112 113 114 115 116 117 118 119"
load_driver
mdev A
all=$(printf '0x%010x%054x,0x%025x%05x%034x,0x%064x' 0xffffffffff 0 0 0xfffff 0 0)
set_attr A ap_config "$all"
lines() { wc -l <"$mdevs/$(uuid A)/matrix"; }
if_c expect "complete lines" 511 lines
if_rust expect "complete lines" 800 lines
if_rust expect "the last one" 27.0077 tail -n 1 "$mdevs/$(uuid A)/matrix"
