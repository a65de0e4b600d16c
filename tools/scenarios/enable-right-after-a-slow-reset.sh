# SPDX-License-Identifier: GPL-2.0
# Interruptions that a guest enables right after a slow reset stay enabled, and their page stays
# pinned.
#
# The guest asks all the time and may see the end of the reset before the driver. At the end of a
# reset the driver unpins only the page that the queue had before. The guest gets response code 02
# while the reset is pending for the driver. The C driver warns of each such response.
# drivers: rust
# timeout: 90

mdev_with A 1 1
for backend in $backends; do
	vm_open A $backend --run 1 --look 0,0
	machine "queue *.* irq-polls 0"
	for before in nothing interruptions; do
		[ $before = nothing ] ||
			expect "enable before" "rc=00 cc=0 status=81000000" vm A guest enable 01.0001
		machine "queue 01.0001 reset-polls 60"
		vm A race reset enable 01.0001 >/run/answers
		cat /run/answers
		grep -q "^reset: ok after" /run/answers || fail "the reset has failed"
		grep -q "^rc=02 cc=3" /run/answers || fail "the guest was not told"
		# The end of the reset does not disable interruptions that were enabled after it.
		again=$(sed '1!G;h;$!d' /run/answers | sed '/^rc=02/q' | grep -c '^rc=00' || :)
		[ "$again" -le 1 ] || fail "what was enabled after the reset was forgotten"
		machine "queue 01.0001 reset-polls 1"
		# The driver polls every 20 ms.
		usleep 100000
		enabled=$(enabled_for_guests)
		expect "pinned, with $before before and $enabled enabled" "$enabled" pins
		case $enabled in
		0) expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable 01.0001 ;;
		esac
		vm A guest send 01.0001
		vm A guest receive 01.0001
		expect "disable" rc=00 response A disable 01.0001
		wait_until "the page is given back" nothing_pinned
	done
	vm_close A
done
