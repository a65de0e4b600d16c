# SPDX-License-Identifier: GPL-2.0
# A guest that runs again after a migration has its interruptions enabled again.
#
# This is true on the source and on the destination. A message in a queue is lost.
# drivers: rust

count=0
# status MDEV QUEUE: print the status word of TAPQ, of which bit 7 shows enabled interruptions.
status() { vm "$1" guest rc "$2"; }
on="rc=00 cc=0 status=81000000" off="rc=00 cc=0 status=80000000"
# interrupts MDEV QUEUE: require that a reply of a queue interrupts the guest.
interrupts() {
	count=$((count + 1))
	vm "$1" guest send "$2"
	counted() { case $(vm "$1" guest interruptions) in "$2 "*) ;; *) return 1 ;; esac }
	wait_until "interruption $count, by $2" counted "$1" $count
	vm "$1" guest receive "$2"
}
# as_before MDEV: require that the same queues have their interruptions.
as_before() {
	expect "01.0001 of $1" "$on" status "$1" 01.0001
	expect "01.0002 of $1" "$off" status "$1" 01.0002
	expect "02.0001 of $1" "$off" status "$1" 02.0001
	expect "02.0002 of $1" "$on" status "$1" 02.0002
	interrupts "$1" 01.0001
	interrupts "$1" 02.0002
}
# resume STREAM: load a stream into B, and let the guest run.
resume() {
	vm B migration to resuming
	vm B migration load "$1" 4096
	vm B migration to running
}

give_to_vfio_ap "0 1 2" ""
load_driver
mdev A
mdev B
assign A adapter 1 2 domain 1 2
vm_open A group --run 1
machine "queue *.* irq-polls 0"
vm A guest enable 01.0001
vm A guest enable 02.0002 0x1c1abc 6
vm A guest enable 02.0001
vm A guest disable 02.0001
as_before A

# The adapter works on a message when the guest is stopped.
machine "queue 01.0001 reply-polls forever"
vm A guest send 01.0001
vm A migration to stop
expect "enabled while the guest is stopped" 0 enabled_for_guests
expect "pinned while the guest is stopped" 0 pins
machine "queue 01.0001 reply-polls 0"
vm A migration to running
expect "the message and its reply are gone" "rc=10 cc=3 status=81100000 psmid=0" \
	vm A guest receive 01.0001
as_before A

# A guest that could not be stopped has them, too.
machine "queue 02.0001 zapq rc=42"
expect_error EIO vm A migration to stop
expect "01.0001 after a stop that has failed" "$on" status A 01.0001
machine "queue 02.0001 zapq clear"
assign A control_domain 1
vm A migration to stop
# A queue has gone while the guest is stopped.
unbind 02.0002
vm A migration to running
expect "01.0001 after a queue has gone" "$on" status A 01.0001
expect "02.0002 after it has gone" "rc=01 cc=3 status=00010000" status A 02.0002
bind 02.0002
expect "02.0002 when it is new to the guest" "$off" status A 02.0002
vm A guest enable 02.0002 0x1c1abc 6
as_before A

vm A migration to stop-copy
expect "saved" 208 vm A migration save /tmp/stream 4096
# General registers 1 and 2 of AQIC of the last queue: enabled for subclass 6.
expect "the last record" " 00 00 80 00 00 00 00 06 00 00 00 00 00 1c 1a bc" \
	od -An -v -tx1 -j 192 -N 16 /tmp/stream
vm_close A
unassign A adapter 1 2
assign B adapter 1 2 domain 1 2 control_domain 1
vm_open B group --run 1
count=0
resume /tmp/stream
as_before B

# An address that the destination has not mapped. No queue reaches the guest.
vm B migration to stop
{
	head -c 200 /tmp/stream
	printf '\0\0\1\0\0\0\0\0'
} >/tmp/elsewhere
expect_error EIO resume /tmp/elsewhere
dmesg_has "migration refused: queue 02.0002 cannot interrupt the guest\$"
expect "the state" stop vm B migration state
expect "the guest" none vm B guest queues
expect "enabled" 0 enabled_for_guests
expect "pinned" 0 pins
vm B reset
expect "interruptions after a reset" "$off" status B 01.0001

# Invalid interruptions.
{
	head -c 192 /tmp/stream
	printf '\0\0\200\0\0\0\0\10'
	tail -c 8 /tmp/stream
} >/tmp/subclass
expect_error EINVAL resume /tmp/subclass
dmesg_has "migration refused: invalid interruptions of queue 02.0002\$"
vm B reset
vm_close B
expect "pinned at the end" 0 pins
