# SPDX-License-Identifier: GPL-2.0
# The driver shows no kernel address.
#
# Code and data of the kernel have addresses that begin with 3ff or 0x3ff.

# shown: all of it.
shown() {
	cat "$mdevs"/*/matrix "$mdevs"/*/guest_matrix "$mdevs"/*/ap_config "$mdevs"/*/control_domains
	cat $ap/devices/*/status $parent/features
	if_rust cat /sys/kernel/debug/vfio_ap/*
	# Of the debug feature what the driver says, not who has said it.
	sed 's/^\([^ ]* *\)\{7\}//' /sys/kernel/debug/s390dbf/vfio_ap/sprintf
	dmesg | grep -i "vfio_ap\|mdev"
}

give_to_vfio_ap "1 2" ""
load_driver
mdev A
mdev B
assign A adapter 1 2 domain 1 2 control_domain 1
assign B domain 2
expect_error EADDRINUSE assign B adapter 2
vm_open A group --run 1
echo 6 >/sys/kernel/debug/s390dbf/vfio_ap/level
vm A guest enable 01.0001
vm A guest enable 01.0003
vm A guest enable 01.0001 0
machine "queue 02.0001 zapq rc=42"
if_rust unassign A adapter 2
unbind 01.0002
bind 01.0002
machine "apm - 1"
scan
shown >/run/shown
[ "$(wc -l </run/shown)" -ge 20 ] || fail "little is shown: $(cat /run/shown)"
addresses() { grep -iE '\b(0x)?0*3ff[0-9a-f]{8}\b'; }
! addresses </run/shown || fail "that is an address"
echo "at 000003ffe064648e" | addresses >/dev/null || fail "none would have been found"
machine "queue 02.0001 zapq clear"
