# SPDX-License-Identifier: GPL-2.0
# VFIO_DEVICE_RESET succeeds if and only if all queues have been reset, for all responses of the
# machine.
#
# Each line has the answer of the C driver, the answer of this driver, and the forced response of a
# function. The C driver treats queues that are out of service as failures, ignores the response
# when it polls for the end of a reset, and leaves failed queues to the guest.
# expect-kernel[c]: WARNING: .*vfio_ap_ops.c

mdev_with A 1 1
vm_open A
while read -r c rust fault; do
	if [ $DRIVER = c ]; then expected=$c; else expected=$rust; fi
	count_from_zero
	machine "queue 01.0001 $fault"
	answer=$(vm A reset) && answer=ok
	[ "${answer##* }" = $expected ] || fail "$fault: $expected was expected, got: $answer"
	if_rust expect "$fault: $expected" \
		"$([ $rust = ok ] && echo 01.0001 || echo .0001)" guest_matrix A
	if_c expect "$fault: $expected" 01.0001 guest_matrix A
	machine "queue 01.0001 zapq clear ; queue 01.0001 tapq clear"
	unbind 01.0001
	bind 01.0001
	expect "bound again" 01.0001 guest_matrix A
done <<EOF
EIO EIO zapq rc=01
ok  ok  zapq rc=02 times=2
EIO ok  zapq rc=03
EIO ok  zapq rc=04
ok  ok  zapq rc=05 times=2
ok  ok  zapq rc=0a times=2
EIO EIO zapq rc=42
ok  EIO tapq rc=01
ok  ok  tapq rc=02 times=2
ok  ok  tapq rc=03
ok  ok  tapq rc=04
ok  ok  tapq rc=05 times=2
ok  ok  tapq rc=35 times=1
ok  ok  tapq rc=36 times=1 async
ok  EIO tapq rc=42
EOF
