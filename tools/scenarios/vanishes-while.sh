# SPDX-License-Identifier: GPL-2.0
# Waiting for the reset of a queue ends when its adapter vanishes.
#
# The missing reset is an error only for a user that has requested it. When the adapter comes back,
# its queues are reset before a guest gets them.
# drivers: rust
# timeout: 120

under_way() { [ "$(machine counters 01.0001 zapq)" != 0 ]; }
# never: resets of 01.0001 do not end.
never() { machine "counters reset ; queue 01.0001 reset-polls forever"; }
# vanishes WHAT PID: the adapter goes, and then the process, soon.
vanishes() {
	wait_until "the reset is under way" under_way
	_begun=$(seconds)
	machine "apm - 1"
	wait_until "$1 is gone" _gone "$2"
	[ $(($(seconds) - _begun)) -le 3 ] || fail "$1 has waited for what is gone"
	echo "ok: the adapter vanishes while somebody waits: $1"
}
# returns: the adapter comes back.
returns() {
	scan
	machine "apm + 1 ; queue 01.0001 reset-polls 1"
	count_from_zero
	scan
	expect "guest matrix" "01.0001 02.0001" guest_matrix A
	[ "$(zapqs 01.0001)" -gt 0 ] || fail "01.0001 was passed on without a reset"
}

mdev_with A "1 2" 1
vm_open A

never
echo 1 >"$mdevs/$(uuid A)/unassign_adapter" &
vanishes unassign $!
assign A adapter 1
returns
expect "masks" "apm=1-2 aqm=1 adm=none" masks A

never
ktry write $ap/drivers/vfio_ap/unbind 01.0001 &
vanishes unbind $!
returns
expect "masks" "apm=1-2 aqm=1 adm=none" masks A

unbind 01.0001
never
ktry write $ap/drivers/vfio_ap/bind 01.0001 &
vanishes bind $!
returns
expect "masks" "apm=1-2 aqm=1 adm=none" masks A

never
vm A reset >/run/answer &
vanishes reset $!
cat /run/answer
returns
expect "masks" "apm=1-2 aqm=1 adm=none" masks A

never
read -r monitor <$run/A.pid
echo quit >$run/A.in
vanishes close "$monitor"
rm -f $run/A.*
returns
vm_open A
expect "masks of the next" "apm=1-2 aqm=1 adm=none" masks A
