# SPDX-License-Identifier: GPL-2.0
# Unbind and bind one queue of a guest with all queues. Then unbind and bind a queue without an
# mdev.
#
# Nearly all of the latter is the cost of the AP bus and the device model.
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
