# SPDX-License-Identifier: GPL-2.0
# A queue that was assigned to an mdev and filtered may outlive the mdev.
#
# The C driver keeps a pointer from the queue to the freed mdev, and uses it when the queue is
# unbound.
# kernel[c]: debug
# expect-kernel[c]: KASAN: slab-use-after-free in vfio_ap_mdev_remove_queue

give_to_vfio_ap "1" ""
load_driver
unbind 01.0002
mdev A
assign A domain 1 2 adapter 1
expect "filtered" ".0001 .0002" guest_matrix A
unassign A adapter 1
remove_mdev A
for name in B C D; do mdev $name; done
for name in B C D; do remove_mdev $name; done
unbind 01.0001
expect "bound again" bound sh -c "echo 01.0001 >$ap/drivers/vfio_ap/bind && echo bound"
