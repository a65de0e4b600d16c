# SPDX-License-Identifier: GPL-2.0
# A user cannot fill the kernel's log by VFIO_DEVICE_RESET in a scan in which its adapter goes.
#
# The machine refuses the reset of a queue that has left the host configuration, until the scan is over
# and the guest has lost it. A refusal is said once for each queue. The C driver says each.
# drivers: rust
# timeout: 90

give_to_vfio_ap "0 1 2" ""
load_driver
mdev A
assign A adapter 1 2 domain 0 1 2 3
vm_open A
# Queues of adapter 0 go, as its type has changed, and cannot be reset: that makes the scan last.
machine "counters reset ; adapter 0 cex6c ; queue 00.* reset-polls forever ; apm - 1"
said() { dmesg | grep -c "reset of queue 01\." || :; }
echo 1 >$ap/scans &
scan=$!
wait_until "the scan is at adapter 0" under_way 00.0000
resets=0
while [ $resets -lt 30 ] && ! _gone $scan; do
	vm A reset >/dev/null || :
	resets=$((resets + 1))
done
machine "queue 00.* reset-polls 1"
[ $resets -ge 5 ] || fail "the scan was over after $resets resets"
wait $scan
[ "$(said)" -le 8 ] || fail "$resets resets made $(said) lines"
echo "ok: $resets resets made $(said) lines"
