# SPDX-License-Identifier: GPL-2.0
# When an adapter works again that was deconfigured, the AP bus resets those of its queues that
# were new to it when vfio_ap got them, though a guest has them.
#
# That is what the kernel does, whichever driver there is; neither is asked. The guest has seen
# that the adapter was deconfigured. Queues that another driver had before are left alone. Once
# the kernel is mended, this fails.
# machine: apm = 0,1

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 2 domain 1
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
