# SPDX-License-Identifier: GPL-2.0
# Unbinding a queue waits until no guest can use it, even if another process is taking it from the
# guest.
#
# A commit waits for the lock of the virtual machine, which KVM holds while it reads the CPU model.
# Meanwhile the queue is unbound. It must be neither reset nor released by the driver before the
# commit.

mdev_with A "1 2" 1
vm_open A
count_from_zero
vm A hold machine
echo 1 >"$mdevs/$(uuid A)/unassign_adapter" &
unassign=$!
wait_until "the commit waits" asleep $unassign
echo 01.0001 >$ap/drivers/vfio_ap/unbind &
unbind=$!
wait_until "the other one waits" asleep $unbind
# Longer than it takes to reset a queue.
sleep 1
expect "masks" "apm=1-2 aqm=1 adm=none" masks A
expect "resets" 0 zapqs 01.0001
expect "the other one still waits" "" asleep $unbind
vm A release
wait $unassign $unbind
expect "masks" "apm=2 aqm=1 adm=none" masks A
expect "queues of the guest" 02.0001 guest_matrix A
[ ! -e $ap/devices/01.0001/driver ] || fail "01.0001 still has a driver"
