# SPDX-License-Identifier: GPL-2.0
# Each command of the administrator's guide works as it is written there.
#
# The scenario executes all blocks that have a name, line by line, in an administrator's order.
# image: clients
# drivers: rust
# timeout: 240

# names: print the names of all blocks of commands.
names() { sed -n 's/^ *:name: //p' /scenarios/guide.rst /scenarios/lost-card.rst | sort; }
# block NAME: print the commands of a block.
block() {
	awk -v name="$1" '
		/^ *\.\. code-block:: sh$/ { inside = 1; wanted = 0; match($0, /[^ ]/); margin = RSTART; next }
		inside && $1 == ":name:" { wanted = $2 == name; next }
		inside && /^ *$/ { next }
		inside { match($0, /[^ ]/); if (RSTART <= margin) inside = 0; else if (wanted) print substr($0, margin + 3) }
	' /scenarios/guide.rst /scenarios/lost-card.rst
}
# follow NAME: execute the commands of a block one by one. None of them may fail.
follow() {
	echo "# $1"
	block "$1" >/tmp/block
	[ -s /tmp/block ] || fail "there is no block $1"
	while IFS= read -r _line <&6; do
		echo "\$ $_line"
		eval "$_line" || fail "block $1: $_line"
	done 6</tmp/block
	followed="$followed $1"
}
followed=
# These commands are elsewhere in this machine.
modprobe() { load_driver; }
rmmod() { ktry rmmod "$1"; }
modinfo() { tr '\0' '\n' <"/lib/modules/$1.ko" | grep -a "^version="; }
uuidgen() { cat /proc/sys/kernel/random/uuid; }
mdevctl() { debian mdevctl "$@"; }

wait_until "the AP bus has scanned" first_scan_done
follow load
follow by-override
follow by-hand
expect "by an override" 01.0003 cat "$mdevs/$uuid/guest_matrix"
echo 1 >"$mdevs/$uuid/remove"
echo 01.0003 >$ap/drivers/vfio_ap/unbind
echo >$ap/devices/01.0003/driver_override

follow by-masks
follow by-hand
expect "by masks" 01.0003 cat "$mdevs/$uuid/guest_matrix"
expect "control domains" 0003 cat "$mdevs/$uuid/control_domains"
echo 1 >"$mdevs/$uuid/remove"
follow by-mdevctl
expect "by mdevctl" 01.0003 cat "$mdevs/$uuid/guest_matrix"
expect "started at boot" 1 sh -c "chroot $debian mdevctl list --defined | grep -c auto"

follow debug-feature
follow which
follow replace
expect "after an upgrade" 01.0003 cat "$mdevs/$uuid/guest_matrix"

# The guest loses its card.
_start A apvmm --backend group "$uuid"
unbind 01.0003
follow why
follow missing
follow log
follow hardware
follow record
apmap why "$uuid" >/tmp/why || :
grep "01.0003 is not bound to any driver" /tmp/why
expect "blocks that were executed" "$(names)" sh -c "printf '%s\n' $followed | sort -u"
