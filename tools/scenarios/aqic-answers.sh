# SPDX-License-Identifier: GPL-2.0
# A guest gets the right response code when it asks for interruptions, for valid and invalid
# requests.
#
# Response codes: 01 the queue does not exist, 06 the address is not valid, 07 interruptions are
# already enabled or disabled.

# enabled QUEUE: whether the machine says so.
enabled() {
	case $(vm A guest rc "$1") in *status=81*) echo yes ;; *) echo no ;; esac
}
code() {
	_answer=$(vm A guest "$@")
	echo "${_answer%% *}"
}

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 domain 1 2 9
vm_open A group --run 1
machine "queue *.* irq-polls 0"
expect "address 0" rc=06 code enable 01.0001 0
expect "an address that is not memory" rc=06 code enable 01.0001 0x200000
expect "an address at the end of all" rc=06 code enable 01.0001 0xffffffffffffffff
expect "an adapter that is not assigned" rc=01 code enable 02.0001
expect "a domain that is not assigned" rc=01 code enable 01.0003
expect "a queue that does not exist" rc=01 code enable 01.0009
expect "the same, to disable" rc=01 code disable 02.0001
expect "disabled already" rc=07 code disable 01.0001
expect "nothing is enabled" no enabled 01.0001

expect "the last byte of memory" rc=00 code enable 01.0001 0x1fffff
expect "enabled" yes enabled 01.0001
expect "enabled already" rc=07 code enable 01.0001
expect "still" yes enabled 01.0001
expect "disable" rc=00 code disable 01.0001
expect "disabled" no enabled 01.0001

# The word that the guest gets says which of its subclasses it was.
count=0
for subclass in 0 5 7; do
	expect "subclass $subclass" rc=00 code enable 01.0002 0x1c0000 $subclass
	vm A guest send 01.0002
	count=$((count + 1))
	word=$(printf '%08x' $((0x80000000 + subclass * 0x8000000)))
	got() {
		case $(vm A guest interruptions) in
		"$count word=$word "*) return 0 ;;
		*) return 1 ;;
		esac
	}
	wait_until "interruption in subclass $subclass" got
	vm A guest receive 01.0002
	expect "disable" rc=00 code disable 01.0002
done
