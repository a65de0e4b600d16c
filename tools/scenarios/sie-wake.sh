# SPDX-License-Identifier: GPL-2.0
# An adapter wakes a guest whose CPUs all wait.
#
# No CPU looks at the guest's interruption state area then. An alert interrupts the host, and KVM
# wakes one of the CPUs. The guest has no clock that would wake it.

sleeps() { [ "$(machine sie wait)" -gt 0 ]; }
awake() { [ "$(vm A guest woken)" = yes ]; }
alerts() {
	_alerts=0
	while read -r _name _counts; do
		[ "$_name" = GAL: ] || continue
		for _count in $_counts; do
			case $_count in *[!0-9]*) ;; *) _alerts=$((_alerts + _count)) ;; esac
		done
	done </proc/interrupts
	echo $_alerts
}

mdev_with A 1 1
vm_open A group --run 1
machine "queue *.* irq-polls 0 ; queue *.* reply-polls forever"
expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable 01.0001
for round in 1 2 3; do
	vm A guest send 01.0001
	machine sie reset
	vm A guest wait
	wait_until "it waits" sleeps
	expect "no reply, no interruption" no vm A guest woken
	before=$(alerts)
	machine "queue 01.0001 reply-polls 0"
	wait_until "it is woken" awake
	expect "by the adapter" "$round word=a0000000 indicator=80" vm A guest interruptions
	expect "alerts" $((before + 1)) alerts
	vm A guest receive 01.0001
	machine "queue 01.0001 reply-polls forever"
done
