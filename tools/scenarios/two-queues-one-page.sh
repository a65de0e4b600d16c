# SPDX-License-Identifier: GPL-2.0
# Several queues, and two guests, can have their indicators in one page; the end of one indicator
# does not affect the others.
# timeout: 90

indicator=0x1d0000
# left N WHAT: require N queues with interruptions enabled after WHAT, with their pages pinned.
left() {
	expect "enabled after $2" "$1" enabled_for_guests
	case $1 in 0) expect "pinned after $2" 0 pins ;; *) [ "$(pins)" != 0 ] || fail "nothing is pinned" ;; esac
}

give_to_vfio_ap "1 2" ""
load_driver
mdev A
mdev B
assign A adapter 1 domain 1 2
assign B adapter 2 domain 1 2
for backend in $backends; do
	vm_open A $backend --run 1 --look 0,0
	vm_open B $backend --run 1 --look 0,0
	count_from_zero
	machine "queue *.* irq-polls 0"
	for queue in 1 2; do
		expect "enable" rc=00 response A enable 01.000$queue $indicator
		expect "enable" rc=00 response B enable 02.000$queue $indicator
	done
	left 4 "that"
	vm A guest disable 01.0001
	left 3 "AQIC"
	vm B reset
	left 1 "a reset of the others"
	vm A guest send 01.0002
	interrupted() { case $(vm A guest interruptions) in "1 "*) return 0 ;; *) return 1 ;; esac; }
	wait_until "the one that is left interrupts" interrupted
	vm A guest receive 01.0002
	expect "B is not interrupted" "0 word=00000000 indicator=00" vm B guest interruptions
	expect "enable" rc=00 response B enable 02.0001 $indicator
	vm A unmap
	left 1 "unmap of A"
	vm_close A
	left 1 "close of A"
	unbind 02.0001
	left 0 "unbind"
	bind 02.0001
	vm_close B
done
