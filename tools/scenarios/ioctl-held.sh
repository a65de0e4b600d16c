# SPDX-License-Identifier: GPL-2.0
# A user whose memory does not arrive delays no other user.
#
# The argument of a request is in a page that userfaultfd withholds. The C driver waits for the page
# while it holds the lock of all mdevs.

give_to_vfio_ap "1 2" ""
load_driver
mdev A
mdev B
assign A adapter 1 domain 1
assign B domain 1
vm_open A
now_assign() { echo 2 >"$mdevs/$(uuid B)/assign_adapter"; }
for request in "get-info 16 0 0 0" "get-irq-info 16 0 0 0" "set-irqs 24 0x24 0 0 1 -1"; do
	vm A hold $request
	now_assign &
	writer=$!
	if_c wait_until "the other one is stuck" asleep $writer
	if_rust wait $writer
	if_rust expect "the other one goes on" "02.0001" matrix B
	vm A release
	if_c wait $writer
	expect "then" "02.0001" matrix B
	unassign B adapter 2
done
