# SPDX-License-Identifier: GPL-2.0
# A running guest cannot use an adapter any more when unassign_adapter returns.
#
# No message that it enqueues afterwards reaches the queue.
# cpus: 2

mdev_with A "1 2" 1
vm_open A group --run 2
expect "both CPUs see both" "01.0001 02.0001" vm A guest 0 queues
expect "both CPUs see both" "01.0001 02.0001" vm A guest 1 queues
expect "a message" "rc=00 cc=0 status=40000000" vm A guest 1 send 01.0001
expect "its reply" "rc=00 cc=0 status=80000000 psmid=77" vm A guest 0 receive 01.0001
machine "counters reset"
unassign A adapter 1
for cpu in 0 1; do
	expect "it is gone" "rc=01 cc=3 status=00010000" vm A guest $cpu rc 01.0001
	expect "no message" "rc=01 cc=3 status=00010000" vm A guest $cpu send 01.0001
	expect "no reply" "rc=01 cc=3 status=00010000 psmid=0" vm A guest $cpu receive 01.0001
	expect "the other is there" "02.0001" vm A guest $cpu queues
done
expect "messages that got through" 0 machine counters 01.0001 nqap
assign A adapter 1
expect "it is back" "rc=00 cc=0 status=80000000" vm A guest 1 rc 01.0001
