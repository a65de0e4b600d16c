# SPDX-License-Identifier: GPL-2.0
# Opening a device gives the guest its masks; closing it clears them and resets the queues.
#
# The device is opened by its group.

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 2 domain 1 2 control_domain 1
vm_open A group --vcpus 2
expect "masks" "apm=1-2 aqm=1-2 adm=1" masks A
expect "commits" 1 commits A
for queue in 01.0001 01.0002 02.0001 02.0002; do
	expect "status of $queue" "in use" cat $ap/devices/$queue/status
done
count_from_zero
vm A close
expect "masks after close" clear masks A
expect "commits after close" 2 commits A
for queue in 01.0001 01.0002 02.0001 02.0002; do
	expect "status of $queue" assigned cat $ap/devices/$queue/status
	expect "resets of $queue" 1 zapqs $queue
done
# Once more, in the same virtual machine.
vm A open "$(uuid A)"
expect "masks when opened again" "apm=1-2 aqm=1-2 adm=1" masks A
