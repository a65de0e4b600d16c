# SPDX-License-Identifier: GPL-2.0
# Unbind one queue of a guest that has all queues, and bind it again; then one that is in no mdev:
# of that, nearly all is the AP bus's and the device model's.
# count: instructions
. /scenarios/measure.sh

# once [SUFFIX]
once() {
	measure "remove$1" write $ap/drivers/vfio_ap/unbind 01.0001
	measure "probe$1" write $ap/drivers/vfio_ap/bind 01.0001
}

prepare
machine "queue *.* reset-polls 0"
guest A
repeat once ""
unassign A adapter 1
repeat once -unassigned
clean
