# SPDX-License-Identifier: GPL-2.0
# A guest that disables interruptions of a queue that is out of service is told so, and
# nobody else.
#
# With the C driver that is a warning of the kernel, and the end of a host with
# panic_on_warn.
# expect-kernel[c]: WARNING: .*vfio_ap_ops.c

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 1
vm_open A group --run 1
machine "queue *.* irq-polls 0"
expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable 01.0001
machine "queue 01.0001 state deconfigured"
expect "deconfigured" "rc=03 cc=3 status=80030000" vm A guest disable 01.0001
machine "queue 01.0001 state checkstopped"
expect "checkstopped" "rc=04 cc=3 status=80040000" vm A guest disable 01.0001
machine "queue 01.0001 state online"
