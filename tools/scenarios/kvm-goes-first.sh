# SPDX-License-Identifier: GPL-2.0
# A virtual machine whose descriptors are closed lives until its device is closed.
#
# The device works until then. The machine is destroyed afterwards.

none_left() { [ "$(machines)" = 0 ]; }

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 domain 1
for backend in $backends; do
	vm_open A $backend
	vm A set-irq cfg eventfd
	vm A leave
	expect "machines" 1 machines
	assign A adapter 2
	expect "masks" "apm=1-2 aqm=1 adm=none" masks A
	expect "events" "req=0 cfg=1" vm A events
	unbind 02.0001
	expect "masks without the queue" "apm=1 aqm=1 adm=none" masks A
	bind 02.0001
	vm A reset
	expect "status" "in use" cat $ap/devices/02.0001/status
	unassign A adapter 2
	vm A close
	expect "status then" assigned cat $ap/devices/01.0001/status
	wait_until "the machine is gone" none_left
	vm_close A
done

# The same, with the device closed by the end of the monitor.
vm_open A
vm A leave
vm_kill A
wait_until "the machine is gone" none_left
expect "status then" assigned cat $ap/devices/01.0001/status
