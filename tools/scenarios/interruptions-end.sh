# SPDX-License-Identifier: GPL-2.0
# A reset, an unassignment or a close ends the interruptions of a queue and releases their page and
# subclass.
#
# The kernel warns of a page or a subclass that is left when the virtual machine ends.

# on: enable interruptions in the guest, which must not be enabled yet.
on() {
	expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable 01.0001
}
# off WHAT: require that none are enabled after WHAT.
off() {
	expect "after $1" "rc=00 cc=0 status=80000000" vm A guest rc 01.0001
}
reset_done() {
	case $(vm A guest rc 01.0001) in "rc=00 "*) return 0 ;; *) return 1 ;; esac
}

mdev_with A 1 1
for backend in $backends; do
	vm_open A $backend --run 1
	machine "queue *.* irq-polls 0"
	on
	vm A reset
	off "a reset by the user"
	on
	vm A guest pqap 0x02000101
	wait_until "the reset is done" reset_done
	off "a reset by the guest"
	on
	unassign A adapter 1
	expect "taken away" "rc=01 cc=3 status=00010000" vm A guest rc 01.0001
	assign A adapter 1
	off "it was assigned again"
	on
	unbind 01.0001
	bind 01.0001
	off "it was bound again"
	on
	vm A close
	vm A open "$(uuid A)" $backend
	off "it was opened again"
	on
	vm_close A
done
vm_open A group --run 1
on
vm_kill A
vm_open A group --run 1
off "its user was killed"
