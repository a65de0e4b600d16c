# SPDX-License-Identifier: GPL-2.0
# A process that waits for the reset of a queue continues when the queue is unbound.
#
# The driver does not have the queue any more, and the process has nothing to wait for. The C driver
# waits forever.
# drivers: rust

mdev_with A "1 2" 1
vm_open A

unassign_with_endless_reset A 01.0001
# It looks by itself in the beginning, and sleeps after that.
wait_until "the writer sleeps" asleep $writer
usleep 100000
unbind 01.0001 &
unbinder=$!
ends_within 2 "unbind" $unbinder
ends_within 1 "unassign" $writer
expect "matrix" "02.0001" matrix A
machine "queue 01.0001 reset-polls 1"

# The same for the user that asks for the reset.
machine "counters reset ; queue 02.0001 reset-polls forever"
vm A reset >/run/answer &
user=$!
wait_until "the reset is under way" under_way 02.0001
usleep 200000
unbind 02.0001
ends_within 1 "reset" $user
expect "its answer" "VFIO_DEVICE_RESET: error EIO" cat /run/answer
machine "queue 02.0001 reset-polls 1"
