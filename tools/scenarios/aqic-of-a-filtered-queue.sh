# SPDX-License-Identifier: GPL-2.0
# A filtered queue does not exist for AQIC.
#
# The C driver enables interruptions of every assigned queue.

give_to_vfio_ap "1" ""
load_driver
unbind 01.0002
mdev A
assign A adapter 1 domain 1 2
vm_open A group --run 1
machine "counters reset"
expect "what the guest has" none vm A guest queues
expect "TAPQ" "rc=01 cc=3 status=00010000" vm A guest rc 01.0001
if_c expect "AQIC" "rc=00 cc=0 status=80000000" vm A guest enable 01.0001
if_rust expect "AQIC" "rc=01 cc=3 status=00010000" vm A guest enable 01.0001
if_c expect "AQICs that got through" 1 machine counters 01.0001 aqic
if_rust expect "AQICs that got through" 0 machine counters 01.0001 aqic
