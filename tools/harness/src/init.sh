#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The first process in the machine. It prepares the machine, runs the scenario in /etc/job or a
# shell, prints the verdict in the last line, and switches the machine off.

/bin/busybox --install -s
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/ TERM="${TERM:-vt220}"
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t debugfs debugfs /sys/kernel/debug
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp

set -a
# shellcheck source=/dev/null
. /etc/job
set +a

for disk in /sys/block/vd*; do
	[ ! -e "$disk" ] || ln -s "${disk##*/}" "/dev/$(cat "$disk/serial")"
done

# Before Linux 7.0, KVM needs this setting for programs without the ELF marking of QEMU.
[ ! -e /proc/sys/vm/allocate_pgste ] || echo 1 >/proc/sys/vm/allocate_pgste

# The console shows all messages of the kernel from here on.
dmesg -n 8

while read -r module; do
	# Without AP instructions, zcrypt has no use and refuses to load.
	insmod "/lib/modules/$module" 2>/dev/null || echo "init: $module was not loaded"
done </lib/modules/order

if [ -z "$SCENARIO" ]; then
	dmesg -n 5
	export ENV=/scenarios/lib.sh
	# shellcheck source=/dev/null
	(. $ENV && give_to_vfio_ap "1 2 3" "" && load_driver)
	cat <<-EOF

		A machine with the $DRIVER driver, which has the queues of adapters 1, 2 and 3.
		The words of scenarios are at hand, for instance:
		  mdev A; assign A adapter 1 2 domain 1; matrix A; vm_open A; vm A masks
		  machine "apm - 2"; scan; guest_matrix A; vm A history; machine help
		  scenario NAME     one of /scenarios/*.sh; its machine stays
		  modprobe vfio_ap; modprobe -r vfio_ap
		Leave with exit, or ctrl-a x.
	EOF
	[ ! -e /dev/clients ] || cat <<-EOF
		Programs from Debian: mdevctl, driverctl, lszcrypt, chzcrypt, lszdev, chzdev, and
		  debian PROGRAM    any other; besides, the words of lib-clients.sh:
		  mdev A; assign A adapter 1 domain 1; linux A group; guest A cat /proc/interrupts

	EOF
	setsid cttyhack sh -i
else
	echo @BEGIN
	# The scenario runs in its own shell, so it cannot end init.
	sh -eu -c '. /scenarios/lib.sh; . "/scenarios/$SCENARIO.sh"; finish'
	status=$?
	if [ -e /sys/kernel/debug/kmemleak ]; then
		# Two scans, because the first one does not report young objects.
		echo scan >/sys/kernel/debug/kmemleak
		sleep 5
		echo scan >/sys/kernel/debug/kmemleak
		cat /sys/kernel/debug/kmemleak
	fi
	reason=$(cat /run/reason 2>/dev/null)
	echo
	case $status in
	0) echo "@PASS" ;;
	77) echo "@SKIP $reason" ;;
	*) echo "@FAIL ${reason:-a command failed with status $status; see what is above}" ;;
	esac
fi
# The output of the console is delayed.
usleep 100000
poweroff -f
