# SPDX-License-Identifier: GPL-2.0
# The AP bus resets queues of a guest when their deconfigured adapter works again.
#
# It does so if the queue was new to the bus when vfio_ap got it. The bus asks no driver. The guest
# has seen the adapter deconfigured. Queues that another driver had before are left alone. This
# scenario documents the kernel's behaviour, and fails once the kernel changes.
# machine: apm = 0,1

mdev_with A "1 2" 1
vm_open A group --run 1
machine "apm + 2"
scan
expect "the guest has both" "01.0001 02.0001" vm A guest queues
machine "adapter 1-2 state deconfigured"
scan
machine "counters reset ; adapter 1-2 state online"
scan
expect "the guest has both" "01.0001 02.0001" vm A guest queues
expect "resets of the one that there was" 0 machine counters 01.0001 rapq
expect "resets of the one that came" 1 machine counters 02.0001 rapq
