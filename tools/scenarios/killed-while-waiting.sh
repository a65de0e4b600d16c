# SPDX-License-Identifier: GPL-2.0
# A process that waits for an endless reset, or for the user of a device, can be killed, and its
# operation is completed.
#
# A write to an attribute ends at once. The other processes end within two seconds. The C driver
# waits forever.
# drivers: rust
# timeout: 120

patience=20
# kill_soon WHAT PID: it is killed, and gone soon.
kill_soon() {
	_what=$1 _process=$2
	_begun=$(seconds)
	# On a slow computer it may be gone already.
	kill -9 "$_process" || _gone "$_process"
	wait_until "$_what is gone" _gone "$_process"
	_took=$(($(seconds) - _begun))
	[ $_took -le 4 ] || fail "$_what was gone after $_took s"
	echo "ok: $_what is gone"
}
# never QUEUE: its resets do not end.
never() { machine "counters reset ; queue $1 reset-polls forever"; }
# under_way QUEUE: a reset was begun, and is looked at.
under_way() { [ "$(machine counters "$1" zapq)" != 0 ] && [ "$(machine counters "$1" tapq)" != 0 ]; }

mdev_with A "1 2 3" 1
mdev B
assign B adapter 2 domain 2
vm_open A
vm_open B

never 01.0001
echo 1 >"$mdevs/$(uuid A)/unassign_adapter" &
writer=$!
wait_until "the reset is under way" under_way 01.0001
kill_soon "who unassigns" $writer
expect "matrix" "02.0001 03.0001" matrix A
expect "masks" "apm=2-3 aqm=1 adm=none" masks A

never 02.0001
echo 02.0001 >$ap/drivers/vfio_ap/unbind &
writer=$!
wait_until "the reset is under way" under_way 02.0001
kill_soon "who unbinds" $writer
[ ! -e $ap/devices/02.0001/driver ] || fail "02.0001 is still bound"
expect "masks" "apm=3 aqm=1 adm=none" masks A

echo 1 >"$mdevs/$(uuid B)/remove" &
remover=$!
said() { dmesg | grep -q "$1"; }
wait_until "the user is waited for" said "No device request registered"
kill -9 $remover
wait_until "VFIO's core says who waits" said "is currently in use, task"
expect "the guest asked for has nothing" "apm=none aqm=none adm=none" masks B
! _gone $remover || fail "it has gone before the user has"
vm_close B
wait_until "who removes is gone" _gone $remover
[ ! -e "$mdevs/$(uuid B)" ] || fail "the device is still there"

never 03.0001
read -r monitor <$run/A.pid
echo quit >$run/A.in
wait_until "the reset is under way" under_way 03.0001
kill_soon "who closes" "$monitor"
rm -f $run/A.*
expect "nothing is passed on" ".0001" guest_matrix A

machine "queue *.* reset-polls 1"
bind 02.0001
assign A adapter 2
came_back() { [ "$(guest_matrix A)" = "02.0001 03.0001" ]; }
wait_until "the resets end after all, and the queues can be used" came_back
vm_open A
expect "the next guest has them" "apm=2-3 aqm=1 adm=none" masks A
