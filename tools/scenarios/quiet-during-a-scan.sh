# SPDX-License-Identifier: GPL-2.0
# A user cannot fill the kernel log by VFIO_DEVICE_RESET during a scan that removes its adapter.
#
# The machine refuses to reset a queue that has left the host configuration, until the scan has
# ended and the guest has lost the queue. This driver reports a refusal once for each queue. The C
# driver reports each refusal.
# drivers: rust
# timeout: 90

give_to_vfio_ap "0 1 2" ""
load_driver
mdev A
assign A adapter 1 2 domain 0 1 2 3
vm_open A
said() { dmesg | grep -c "reset of queue 01\." || :; }
long_scan 00.0000 "apm - 1"
resets=0
while [ $resets -lt 30 ] && ! _gone $scan; do
	vm A reset >/dev/null || :
	resets=$((resets + 1))
done
[ $resets -ge 5 ] || fail "the scan was over after $resets resets"
end_scan
[ "$(said)" -le 8 ] || fail "$resets resets made $(said) lines"
echo "ok: $resets resets made $(said) lines"
