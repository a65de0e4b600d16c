# SPDX-License-Identifier: GPL-2.0
# The new state of an adapter is recorded for each of its guests: deconfigured, check stop, and their end.
#
# The driver executes one TAPQ every five seconds for each adapter of guests, and none without guests.
# The bus executes none here, as its next scan is two minutes away.
# drivers: rust
# timeout: 120

# report MDEV: print the report about an mdev.
report() { cat "/sys/kernel/debug/vfio_ap/$(uuid "$1")"; }
out_of_order() { report "$1" | grep "out of order" || :; }
records() { report "$1" | grep -c cause= || :; }
# states MDEV: print the causes of the last two records.
states() { report "$1" | tail -n 2 | sed 's/.*cause=//; s/ time=.*//'; }
sees() { [ "$(states "$1" | sort)" = "$2" ]; }
# becomes STATE-OF-0 STATE-OF-1 CAUSE-OF-0 CAUSE-OF-1: set the states of both adapters, and require the
# records and messages.
becomes() {
	dmesg -c >/dev/null
	machine "adapter 0 state $1 ; adapter 1 state $2"
	_causes=$(printf '%s adapter=00\n%s adapter=01\n' "$3" "$4" | sort)
	for _mdev in A B; do
		wait_until "mdev $_mdev has the records" sees $_mdev "$_causes"
		dmesg_has "vfio_ap_mdev $(uuid $_mdev): guest: apm=00-01 aqm=000. adm=none cause=$3 adapter=00\$"
		dmesg_has "vfio_ap_mdev $(uuid $_mdev): guest: apm=00-01 aqm=000. adm=none cause=$4 adapter=01\$"
	done
}
# tapqs SECONDS: print the number of TAPQs of all queues in some seconds.
tapqs() {
	machine counters reset
	sleep "$1"
	machine counters tapq
}

echo 120 >$ap/config_time
give_to_vfio_ap "0 1 2 3" ""
load_driver
mdev A
assign A adapter 0 1 domain 0
mdev B
assign B adapter 0 1 domain 1
mdev C
assign C adapter 2 domain 0
mdev D
assign D adapter 1 domain 3
expect "TAPQs in six seconds without guests" 0 tapqs 6
vm_open A
vm_open B
vm_open C
_tapqs=$(tapqs 6)
case $_tapqs in
3 | 6) echo "ok: TAPQs in six seconds with guests of three adapters: $_tapqs" ;;
*) fail "TAPQs in six seconds with guests of three adapters: $_tapqs" ;;
esac

patience=30
quiet=$(records C)
becomes checkstopped deconfigured check-stop deconfigured
expect "the report" "out of order: adapter 00, check-stop
out of order: adapter 01, deconfigured" out_of_order A
expect "the guest keeps its queues" "00.0000 01.0000" guest_matrix A
becomes deconfigured checkstopped deconfigured check-stop
expect "the report" "out of order: adapter 00, deconfigured
out of order: adapter 01, check-stop" out_of_order B
expect "an mdev without a guest" "" out_of_order D
vm_open D
expect "a guest that comes later" "out of order: adapter 01, check-stop" out_of_order D
becomes online online in-order in-order
expect "the end" "" out_of_order A
expect "records of a guest without the adapters" "$quiet" records C

vm_close A
vm_close B
vm_close C
vm_close D
expect "TAPQs in six seconds when the guests are gone" 0 tapqs 6
