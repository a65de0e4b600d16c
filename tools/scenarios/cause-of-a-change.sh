# SPDX-License-Identifier: GPL-2.0
# debugfs and the kernel log name the cause of each change of a guest.
#
# The kernel log has no message about changes that the user of the guest causes.
# drivers: rust
# timeout: 120

report=/sys/kernel/debug/vfio_ap/$(uuid A)
# last: print the last record without times.
last() { tail -n 1 $report | sed 's/ [0-9]* ms ago//; s/ time=.*//; s/.*cause=//'; }
# changes CAUSE MASKS COMMAND...: require a record and a message after the command. No masks: no message.
changes() {
	_cause=$1 _masks=$2
	shift 2
	dmesg -c >/dev/null
	"$@"
	expect "cause of '$*'" "$_cause" last
	if [ -n "$_masks" ]; then
		dmesg_has "vfio_ap_mdev $(uuid A): guest: $_masks cause=$_cause\$"
	else
		dmesg_has_not "guest"
	fi
}
# configuration COMMAND...: change the host configuration, and scan the bus.
configuration() {
	machine "$*"
	scan
}
sees() { [ "$(last)" = "$1" ]; }

give_to_vfio_ap "0 1 2 3" ""
load_driver
mdev A
assign A adapter 0 1 2 domain 0 1
domains="aqm=0000-0001 adm=none"
changes open "" vm_open A
changes "unbind adapter=01 queue=01.0001" "apm=00,02 $domains" unbind 01.0001
changes "bind adapter=01 queue=01.0001" "apm=00-02 $domains" bind 01.0001
changes "scan adapter=02" "apm=00-01 $domains" configuration "apm - 2"
changes "scan adapter=02" "apm=00-02 $domains" configuration "apm + 2"
changes "scan" "apm=00-02 aqm=0000 adm=none" configuration "aqm - 1"
changes "scan" "apm=00-02 $domains" configuration "aqm + 1"
changes "assignment adapter=03" "apm=00-03 $domains" assign A adapter 3
changes "assignment adapter=03" "apm=00-02 $domains" unassign A adapter 3
changes "assignment" "apm=00-02 aqm=0000-0001 adm=0001" assign A control_domain 1
domains="aqm=0000-0001 adm=0001"

# There are at most ten messages in five seconds.
sleep 5
machine "queue 00.0001 zapq rc=42"
_fails() { expect_error EIO vm A reset; }
changes "reset-failed adapter=00 queue=00.0001" "apm=01-02 $domains" _fails
machine "queue 00.0001 zapq clear"
changes "reset adapter=00 queue=00.0001" "apm=00-02 $domains" vm A reset

# The adapter is replaced, and a scan of the bus finds it.
patience=30
machine "adapter 2 cex6c"
echo 5 >$ap/config_time
wait_until "the bus has replaced the adapter" grep -q "cause=gone adapter=02" $report
echo 30 >$ap/config_time
# The record has the time of the wall clock.
time=$(tail -n 1 $report | sed 's/.*time=//')
now=$(date +%s)
[ $((now - time)) -lt 60 ] && [ $((time - now)) -lt 2 ] || fail "it is $now, and was $time"

changes close "" vm_close A
# The last 32 records are kept.
for _id in 1 2 3 4 5 6 7 8 9 10; do assign A adapter 3 && unassign A adapter 3; done
vm_open A
for _id in 1 2 3 4 5 6 7 8 9 10; do assign A adapter 3 && unassign A adapter 3; done
expect "what is kept" 32 grep -c cause= $report
sleep 5
vm A set-irq req eventfd
remove_while_open() {
	remove_mdev A &
	remover=$!
	wait_until "the guest has lost everything" sees request
}
changes request "apm=none aqm=none adm=none" remove_while_open
vm_close A
wait $remover
