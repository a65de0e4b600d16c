# SPDX-License-Identifier: GPL-2.0
# A guest is stopped only if all its queues were reset, and gets no queues until it runs.
# drivers: rust

mdev_with A "1 2" 1
has() { [ "$(guest_matrix A)" = "$1" ]; }
vm_open A
# A reset that does not end, and one that fails.
machine "queue 01.0001 reset-polls forever"
expect_error EIO vm A migration to stop
expect "the state" running vm A migration state
expect "the guest" 02.0001 guest_matrix A
machine "queue 01.0001 reset-polls 1"
wait_until "the guest has all queues" has "01.0001 02.0001"
machine "queue 01.0001 zapq rc=42"
expect_error EIO vm A migration to stop-copy
expect "the state" running vm A migration state
machine "queue 01.0001 zapq clear"
set_attr A assign_control_domain 1
wait_until "the guest has all queues" has "01.0001 02.0001"

# Changes while the guest is stopped take effect when it runs.
vm A migration to stop
before=$(commits A)
assign A domain 2
unassign A adapter 2
unbind 01.0002
bind 01.0002
machine "apm - 1"
scan
machine "apm + 1"
scan
expect "commits" "$before" commits A
expect "the guest has nothing" "" guest_matrix A
expect "the matrix" "01.0001 01.0002" matrix A
vm A migration to running
wait_until "the guest has its new queues" has "01.0001 01.0002"

# A queue of the guest is removed before the description is read.
vm A migration to stop
unbind 01.0002
expect_error ENODEV vm A migration to stop-copy
dmesg_has "migration refused: queue 01.0002 is not available\$"
expect "the state" stop vm A migration state
vm A migration to running
expect "the guest has no adapter" ".0001 .0002" guest_matrix A
bind 01.0002
wait_until "the guest has all queues" has "01.0001 01.0002"

# A user that is killed during a migration leaves no state behind.
vm A migration to resuming
vm_kill A
vm_open A
expect "a new user begins anew" running vm A migration state
expect "the guest" "01.0001 01.0002" guest_matrix A

# The mdev of a stopped guest is removed.
vm A migration to stop
vm A set-irq req eventfd
remove_mdev A &
remover=$!
asked() { [ "$(vm A events)" != "req=0 cfg=0" ]; }
wait_until "the user is asked" asked
expect "the report" "guest, asked to leave" sed -n 's/^used by: //p' "/sys/kernel/debug/vfio_ap/$(uuid A)"
vm_close A
wait $remover
