#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The first process of a guest that runs Linux: does what the scenario says. Each line
# that comes by the virtio port is a command; what it prints goes back, and its status
# as @STATUS. The first answer, @0, says that the guest is up.

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

# debian PROGRAM ARGUMENT...: one of Debian's programs, if the guest has them.
debian() { chroot /debian "$@"; }

# Its number depends on the order of devices.
until set -- /dev/vport*; [ -e "$1" ]; do usleep 10000; done
exec 3<>"$1"
echo @0 >&3
while IFS= read -r command <&3; do
	(eval "$command") </dev/null >&3 2>&1
	echo "@$?" >&3
done
