# SPDX-License-Identifier: GPL-2.0
# The page of an indicator is pinned if and only if the machine may set the indicator.
#
# The machine has interruptions of the queue enabled while the page is pinned, and disabled
# otherwise. It therefore sets no byte in a page that somebody else has got.
# timeout: 120

# enabled: print the number of queues with interruptions for guests enabled.
enabled() {
	machine show | grep -c 'enabled: nib=.* gisa=' || :
}
# on QUEUE...: enable interruptions in the guest, each with an indicator in its own page.
on() {
	_page=0x1d0000
	for _queue; do
		expect "enable" "rc=00 cc=0 status=81000000" \
			vm A guest enable "$_queue" $_page
		_page=$((_page + 0x1000))
	done
	expect "pinned" $# pins
	expect "enabled" $# enabled
}
# off WHAT: require that none are enabled after WHAT.
off() {
	expect "pinned after $1" 0 pins
	expect "enabled after $1" 0 enabled
}

mdev_with A 1 "1 2"
machine "queue *.* irq-polls 0"
for backend in $backends; do
	vm_open A $backend --run 1
	off "nothing"
	on 01.0001
	vm A guest disable 01.0001
	off "AQIC"
	on 01.0001
	unassign A domain 1
	off "unassign"
	assign A domain 1
	on 01.0001 01.0002
	vm A unmap
	off "unmap"
	vm A map
	on 01.0001
	vm_close A
	off "close"
done
vm_open A group --run 1
on 01.0001 01.0002
vm_kill A
off "a crash"
vm_open A group --run 1
on 01.0001 01.0002
machine "apm - 1"
scan
off "the loss of the adapter"
