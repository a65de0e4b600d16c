# SPDX-License-Identifier: GPL-2.0
# A process that waits for the reset of a queue continues when the host takes the queue back.
#
# The queue is unassigned, and the host may have it. Its reset never ends. The C driver waits
# forever.
# drivers: rust

mdev_with A "1 2" 1
vm_open A
unassign_with_endless_reset A 01.0001
usleep 100000
ktry write $ap/apmask +1 &
ends_within 3 "the reservation" $!
ends_within 1 "unassign" $writer
machine "queue 01.0001 reset-polls 1"
expect "driver" cex4queue driver_of 01.0001
expect "masks" "apm=2 aqm=1 adm=none" masks A
