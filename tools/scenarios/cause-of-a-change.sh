# SPDX-License-Identifier: GPL-2.0
# debugfs and the kernel log name the cause of each change of a guest.
#
# The kernel log has no message about changes that the user of the guest causes.
# drivers: rust
# timeout: 120

report=/sys/kernel/debug/vfio_ap/$(uuid A)
# last: print the last record without times.
last() { tail -n 1 $report | sed 's/ [0-9]* ms ago//; s/ time=.*//; s/.*cause=//'; }
# changes CAUSE MESSAGE COMMAND...: require both after the command; an empty message means none.
changes() {
	_cause=$1 _message=$2
	shift 2
	dmesg -c >/dev/null
	"$@"
	expect "cause of '$*'" "$_cause" last
	if [ -n "$_message" ]; then
		dmesg_has "vfio_ap_mdev $(uuid A): guest:? $_message"
	else
		dmesg_has_not "guest"
	fi
}
# adapters COMMAND...: change the host configuration, and scan the bus.
configuration() {
	machine "$*"
	scan
}
state() {
	machine "adapter $1 state $2"
	wait_until "the driver has looked" sees "$3"
}
sees() { [ "$(last)" = "$1" ]; }

give_to_vfio_ap "0 1 2 3" ""
load_driver
mdev A
assign A adapter 0 1 2 domain 0 1
changes open "" vm_open A
changes "unbind adapter=01 queue=01.0001" "lost adapters 01: unbind adapter=01 queue=01.0001" unbind 01.0001
changes "bind adapter=01 queue=01.0001" "got adapters 01: bind adapter=01 queue=01.0001" bind 01.0001
changes "scan adapter=02" "lost adapters 02: scan adapter=02" configuration "apm - 2"
changes "scan adapter=02" "got adapters 02: scan adapter=02" configuration "apm + 2"
changes "scan" "lost domains 0001: scan" configuration "aqm - 1"
changes "scan" "got domains 0001: scan" configuration "aqm + 1"
changes "assignment adapter=03" "got adapters 03: assignment adapter=03" assign A adapter 3
changes "assignment adapter=03" "lost adapters 03: assignment adapter=03" unassign A adapter 3
changes "assignment" "got control domains 0001: assignment" assign A control_domain 1

# There are at most ten messages in five seconds.
sleep 5
machine "queue 00.0001 zapq rc=42"
_fails() { expect_error EIO vm A reset; }
changes "reset-failed adapter=00 queue=00.0001" "lost adapters 00: reset-failed adapter=00 queue=00.0001" _fails
machine "queue 00.0001 zapq clear"
changes "reset adapter=00 queue=00.0001" "got adapters 00: reset adapter=00 queue=00.0001" vm A reset

# The adapter is replaced, and a scan of the bus finds it.
patience=30
machine "adapter 2 cex6c"
echo 5 >$ap/config_time
wait_until "the bus has replaced the adapter" grep -q "cause=gone adapter=02" $report
echo 30 >$ap/config_time
changes "deconfigured adapter=01" "deconfigured adapter=01" state 1 deconfigured "deconfigured adapter=01"
expect "the guest keeps it" "out of order: adapters 01 deconfigured" grep "out of order" $report
changes "in-order adapter=01" "in-order adapter=01" state 1 online "in-order adapter=01"
changes "check-stop adapter=01" "check-stop adapter=01" state 1 checkstopped "check-stop adapter=01"
machine "adapter 1 state online"

# The record has the time of the wall clock.
time=$(tail -n 1 $report | sed 's/.*time=//')
now=$(date +%s)
[ $((now - time)) -lt 60 ] && [ $((time - now)) -lt 2 ] || fail "it is $now, and was $time"

changes close "" vm_close A
# The last 24 records are kept.
for _id in 1 2 3 4 5 6 7 8 9 10; do assign A adapter 3 && unassign A adapter 3; done
vm_open A
for _id in 1 2 3 4 5 6 7 8 9 10; do assign A adapter 3 && unassign A adapter 3; done
expect "what is kept" 24 grep -c cause= $report
sleep 5
vm A set-irq req eventfd
remove_while_open() {
	remove_mdev A &
	remover=$!
	wait_until "the guest has lost everything" sees request
}
changes request "lost adapters 00.*: request" remove_while_open
vm_close A
wait $remover
