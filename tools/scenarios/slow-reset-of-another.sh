# SPDX-License-Identifier: GPL-2.0
# A guest gets assigned queues while the queue of another guest is being reset.
#
# The C driver waits for resets while it holds the locks of all guests.

give_to_vfio_ap "1 2 3" ""
load_driver
mdev A
mdev B
assign A adapter 1 domain 1
assign B adapter 2 domain 1
vm_open A
vm_open B
machine "queue 01.0001 reset-polls forever ; counters reset"
unassign A adapter 1 &
unassigning=$!
under_way() { [ "$(machine counters 01.0001 tapq)" != 0 ]; }
wait_until "the reset is under way" under_way
echo 3 >"$mdevs/$(uuid B)/assign_adapter" &
assigning=$!
if_c wait_until "the other one is stuck" asleep $assigning
if_rust wait $assigning
if_rust expect "the other one goes on" "apm=2-3 aqm=1 adm=none" masks B
machine "queue 01.0001 reset-polls 1"
wait $unassigning
if_c wait $assigning
expect "masks of B then" "apm=2-3 aqm=1 adm=none" masks B
