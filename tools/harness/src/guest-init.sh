#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The first process of a guest that runs Linux. Each line from the virtio port is a command. The
# output of the command and the line @STATUS with its status are sent back. The first line, @0,
# means that the guest has booted.

/bin/busybox --install -s
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir /debian

while read -r module; do
	insmod "/lib/modules/$module"
done </lib/modules/order

# debian PROGRAM ARGUMENT...: runs a program of Debian, if the guest has the programs.
debian() { chroot /debian "$@"; }

# The number of the port depends on the order of devices.
until set -- /dev/vport*; [ -e "$1" ]; do usleep 10000; done
exec 3<>"$1"
echo @0 >&3
while IFS= read -r command <&3; do
	(eval "$command") </dev/null >&3 2>&1
	echo "@$?" >&3
done
