# SPDX-License-Identifier: GPL-2.0
# The reply to a message that a guest has left in a queue reaches nobody.
#
# Neither the sender, nor the next owner of the queue, nor the host gets it.

gone="rc=01 cc=3 status=00010000 psmid=0"

mdev_with A 1 "1 2"
vm_open A group --run 1
mdev B
vm_open B group --run 1

# nothing WHAT NAME: there is no reply for NAME, and the queue is empty. (The bus of the
# host has enabled interruptions for itself if the queue is new to it: bit 7.)
nothing() {
	_answer=$(vm "$2" guest receive 01.0001)
	case $_answer in
	"rc=10 cc=3 status=8"[01]"100000 psmid=0") echo "ok: $1: $_answer" ;;
	*) fail "$1: $_answer" ;;
	esac
}

# leave: A sends a message, and the adapter works on it.
leave() {
	machine "queue 01.0001 reply-polls forever"
	expect "A sends" "rc=00 cc=0 status=00000000" vm A guest send 01.0001
	expect "no reply yet" "rc=10 cc=3 status=00100000 psmid=0" vm A guest receive 01.0001
}

# messages: of all queues, as the machine shows them.
messages() { machine show | grep -E 'messages|replies' || :; }

leave
unassign A domain 1
expect "A" "$gone" vm A guest receive 01.0001
assign B adapter 1 domain 1
nothing "B" B
machine "queue 01.0001 reply-polls 0"
nothing "B, when the adapter is done" B
unassign B domain 1
assign A domain 1

leave
vm_kill A
machine "queue 01.0001 reply-polls 0"
expect "nothing was left in the queue" "" messages
vm_open A group --run 1
nothing "A, in another life" A

leave
machine "apm - 1"
expect "A, as soon as the host has lost the adapter" "$gone" vm A guest receive 01.0001
scan
machine "apm + 1"
scan
machine "queue 01.0001 reply-polls 0"
nothing "A, when the adapter is back" A
