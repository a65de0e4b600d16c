# SPDX-License-Identifier: GPL-2.0
# A queue that cannot be reset is passed to nobody, and its reset is repeated.
#
# No queue reaches a new owner without a finished reset. The C driver tries again when the next
# owner gives the queue back, which may never have it.
# expect-kernel[c]: WARNING: .*vfio_ap_ops.c.*vfio_ap_mdev_reset_queue

mdev_with A "1 2" 1
vm_open A
machine "queue 01.0001 zapq rc=42"
unassign A adapter 1
mdev B
assign B adapter 1 domain 1
expect "not for B" .0001 guest_matrix B
vm_open B
expect "nor for its guest" assigned cat $ap/devices/01.0001/status
machine "queue 01.0001 zapq clear ; apm - 3"
scan
if_rust expect "after the next scan" 01.0001 guest_matrix B
if_rust expect "masks of B" "apm=1 aqm=1 adm=none" masks B
if_c expect "after the next scan" .0001 guest_matrix B
