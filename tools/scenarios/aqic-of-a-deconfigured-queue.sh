# SPDX-License-Identifier: GPL-2.0
# Only the guest learns that it has disabled interruptions of a queue that is out of service.
#
# The C driver triggers a kernel warning, which stops a host with panic_on_warn.
# expect-kernel[c]: WARNING: .*vfio_ap_ops.c

mdev_with A 1 1
vm_open A group --run 1
machine "queue *.* irq-polls 0"
expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable 01.0001
machine "queue 01.0001 state deconfigured"
expect "deconfigured" "rc=03 cc=3 status=80030000" vm A guest disable 01.0001
machine "queue 01.0001 state checkstopped"
expect "checkstopped" "rc=04 cc=3 status=80040000" vm A guest disable 01.0001
machine "queue 01.0001 state online"
