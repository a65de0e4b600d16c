# SPDX-License-Identifier: GPL-2.0
# Giving back many queues with endless resets takes as long as giving back one.
#
# The masks of the host and unloading the driver give them back. The C driver waits forever.
# machine: aqm = 0-31 ; adapter 1 cex8c
# drivers: rust

give_to_vfio_ap "1" ""
load_driver
machine "queue 01.* reset-polls forever"
ktry write $ap/apmask +1 &
ends_within 2 "the reservation of 32 queues" $!
[ "$(dmesg | grep -c "released before")" -le 2 ] || fail "each of them is a line in the log"
machine "queue 01.* reset-polls 1"
ktry write $ap/apmask -1
wait_until "all queues are bound" bindings_complete
machine "queue 01.* reset-polls forever"
ktry rmmod vfio_ap &
ends_within 2 "unloading" $!
machine "queue 01.* reset-polls 1"
