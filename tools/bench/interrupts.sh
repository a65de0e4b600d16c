# SPDX-License-Identifier: GPL-2.0
# A guest with all queues enables and disables interruptions of a queue.
# count: instructions
. /scenarios/measure.sh

once() {
	measure enable-interrupts vm A measure guest enable 01.0001
	measure disable-interrupts vm A measure guest disable 01.0001
}

prepare
machine "queue *.* reset-polls 0 ; queue *.* irq-polls 0"
mdev A
set_attr A ap_config "$full"
vm_open A group --run 1
repeat once
clean
