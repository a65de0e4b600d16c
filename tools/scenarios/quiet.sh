# SPDX-License-Identifier: GPL-2.0
# Neither a guest nor a user can fill the kernel log by any request.
#
# This driver reports a failed reset twice: for the request, and for the removal of the queue that
# follows. The C driver reports each refusal of the machine.
# timeout: 120

# said: how many lines there are that the driver can have caused.
said() { dmesg | grep -c "vfio_ap\|reset of queue" || :; }
times() {
	_n=$1
	shift
	while [ "$_n" -gt 0 ]; do
		"$@" >/dev/null || :
		_n=$((_n - 1))
	done
}
# says AT-MOST WHAT COMMAND...
says() {
	_most=$1 _deed=$2 _before=$(said)
	shift 2
	times 20 "$@"
	_lines=$(($(said) - _before))
	[ $_lines -le "$_most" ] || fail "$_deed 20 times: $_lines lines"
	echo "ok: $_deed 20 times: $_lines lines"
}

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 domain 1 2
vm_open A group --run 1
says 0 "a bad address" vm A guest enable 01.0001 0
says 0 "a queue of others" vm A guest enable 02.0001
says 0 "what is disabled already" vm A guest disable 01.0001
machine "queue 01.0001 aqic rc=42"
if_rust says 0 "what the machine refuses" vm A guest enable 01.0001
machine "queue 01.0001 aqic clear"
says 0 "a request that there is not" vm A ioctl 0x3b99 1 2 3
says 0 "bad eventfds" vm A ioctl set-irqs 24 0x24 0 0 1 file
if_rust machine "queue 01.0001 zapq rc=42"
if_rust says 2 "a reset that fails" vm A reset
vm_close A
reopen() {
	vm_open A
	vm_close A
}
if_rust says 1 "open and close, with a reset that fails" reopen
machine "queue 01.0001 zapq clear"
