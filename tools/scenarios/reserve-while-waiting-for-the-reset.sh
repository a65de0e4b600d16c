# SPDX-License-Identifier: GPL-2.0
# Who waits for the reset of a queue goes on when the host takes the queue back.
#
# The queue is unassigned, so the host may have it; its reset never ends. The C driver waits for ever.
# drivers: rust

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 2 domain 1
vm_open A
machine "counters reset ; queue 01.0001 reset-polls forever"
echo 1 >"$mdevs/$(uuid A)/unassign_adapter" &
writer=$!
wait_until "the reset is under way" under_way 01.0001
usleep 100000
ktry write $ap/apmask +1 &
ends_within 3 "the reservation" $!
ends_within 1 "unassign" $writer
machine "queue 01.0001 reset-polls 1"
expect "driver" cex4queue driver_of 01.0001
expect "masks" "apm=2 aqm=1 adm=none" masks A
