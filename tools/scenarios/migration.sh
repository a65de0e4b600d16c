# SPDX-License-Identifier: GPL-2.0
# A guest is stopped and saved, and another mdev with the same queues resumes it.
#
# The C driver does not support migration.
# drivers: rust

give_to_vfio_ap "0 1 2" ""
load_driver
mdev A
mdev B
assign A adapter 1 2 domain 1 2 control_domain 3
both() { [ "$(vm "$1" guest queues)" = "01.0001 01.0002 02.0001 02.0002" ]; }
vm_open A group --run 1
expect "the flag of STOP_COPY" 0x1 vm A migration flags
expect "at the beginning" running vm A migration state
# The header has 112 bytes, and the record of a queue has 24.
expect "the length" 208 vm A migration size
wait_until "the guest has its queues" both A

# A stopped guest has no queues. Each of them is reset, with a message that the adapter works on.
machine "queue 01.0001 reply-polls 5"
vm A guest send 01.0001
count_from_zero
vm A migration to stop
expect "the state" stop vm A migration state
expect "resets" 4 machine counters "*.*" zapq
expect "the masks" "apm=none aqm=none adm=none" vm A masks
dmesg_has_not "guest lost"
expect "the report" "guest, stopped" sed -n 's/^used by: //p' "/sys/kernel/debug/vfio_ap/$(uuid A)"
expect "the guest" none vm A guest queues
vm A migration to stop-copy
expect "the length of the stream" 208 vm A migration save /tmp/stream 64
expect "the end of the stream" 0 vm A migration save /tmp/end 64

# The guest can run again on the source. It can be stopped again.
vm A migration to running
wait_until "the guest has its queues again" both A
vm A migration to stop-copy
expect "the same stream" 208 vm A migration save /tmp/again 1
cmp /tmp/stream /tmp/again
vm_close A

# The destination: the mdev of a guest on another host, with the same queues.
unassign A adapter 1 2
assign B adapter 1 2 domain 1 2 control_domain 3
vm_open B group --run 1
vm B migration to resuming
expect "the stream" 208 vm B migration load /tmp/stream 7
count_from_zero
vm B migration to running
expect "the state" running vm B migration state
wait_until "the guest has its queues" both B
expect "no more resets than those of the guest's stop" 0 machine counters "*.*" zapq
vm B guest enable 01.0001
# A reset ends a migration.
vm B migration to stop
vm B reset
expect "after a reset" running vm B migration state
wait_until "the guest has its queues" both B
