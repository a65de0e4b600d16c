#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Say what is missing before a build fails for it.
set -eu

kdir=$1

no() {
	printf 'error: the module cannot be built for the kernel in %s:\n  %s\n' "$kdir" "$1" >&2
	exit 1
}

[ -e "$kdir/Makefile" ] ||
	no "there is no kernel. Set KDIR to a configured and built source tree of Linux 7.3 or newer for s390."
[ -e "$kdir/drivers/s390/crypto/ap_bus.h" ] ||
	no "it lacks drivers/s390/crypto/ap_bus.h. Kernel headers are not enough: KDIR has to be a full source tree."
[ -e "$kdir/include/config/auto.conf" ] ||
	no "it is not configured and built."
for option in RUST AP KVM VFIO; do
	grep -q "^CONFIG_$option=[ym]" "$kdir/include/config/auto.conf" ||
		no "CONFIG_$option is not set$([ $option != RUST ] || echo '; on s390 that needs CONFIG_EXPOLINE=n')."
done
grep -q "^CONFIG_VFIO_MDEV=[ym]" "$kdir/include/config/auto.conf" ||
	no "CONFIG_VFIO_MDEV is not set; it comes with CONFIG_VFIO_AP=m or CONFIG_VFIO_CCW=m."
