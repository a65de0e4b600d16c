# SPDX-License-Identifier: GPL-2.0
# Unbind one queue of a guest that has all queues, and bind it again.
# count: instructions
. /scenarios/measure.sh

once() {
	measure remove write $ap/drivers/vfio_ap/unbind 01.0001
	measure probe write $ap/drivers/vfio_ap/bind 01.0001
}

prepare
machine "queue *.* reset-polls 0"
guest A
repeat once
clean
