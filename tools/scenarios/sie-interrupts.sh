# SPDX-License-Identifier: GPL-2.0
# A guest enables interruptions of a queue and is interrupted by the reply.
#
# KVM passes AQIC to the driver. The interruption is delivered without an exit.

interrupted() { [ "$(vm A guest interruptions)" != "0 word=00000000 indicator=00" ]; }

mdev_with A 1 "1 2"
vm_open A group --run 1
machine "queue *.* irq-polls 0"
expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable 01.0001
expect "TAPQ says so" "rc=00 cc=0 status=81000000" vm A guest rc 01.0001
expect "not yet" "0 word=00000000 indicator=00" vm A guest interruptions
machine sie reset
vm A guest send 01.0001
wait_until "it is interrupted" interrupted
expect "once, in its subclass" "1 word=a0000000 indicator=80" vm A guest interruptions
vm A guest send 01.0002
expect "the other queue does not" "1 word=a0000000 indicator=80" vm A guest interruptions
expect "kicks" 0 machine sie stop
machine sie
expect "disable" "rc=00 cc=0 status=40000000" vm A guest disable 01.0001
vm A guest send 01.0001
expect "no more" "1 word=a0000000 indicator=80" vm A guest interruptions
