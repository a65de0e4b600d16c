#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Say what is missing before a build fails for it.
set -eu

kdir=${1:-}

no() {
	printf 'error: the module cannot be built for the kernel in %s:\n  %s\n' "${kdir:-KDIR, which is empty}" "$1" >&2
	if [ "$(uname -m)" != s390x ] && [ "${ARCH:-}" != s390 ]; then
		printf '  This is no IBM Z. To see the driver at work here: make demo\n' >&2
	fi
	exit 1
}

wanted="Set KDIR to a configured and built source tree of Linux 7.3 or newer for s390."
case $kdir$PWD in
*" "*) no "Kbuild cannot have spaces in the names of directories: '$kdir' and '$PWD'." ;;
esac
[ -n "$kdir" ] && [ -e "$kdir/Makefile" ] || no "there is no kernel. $wanted"
# A directory of its own for what is built (O=) refers to the sources.
source=$kdir
[ ! -e "$kdir/source/Makefile" ] || source=$kdir/source
[ -e "$source/drivers/s390/crypto/ap_bus.h" ] ||
	no "it lacks drivers/s390/crypto/ap_bus.h. Kernel headers are not enough: KDIR has to be a full source tree."
[ -e "$kdir/include/config/auto.conf" ] ||
	no "it is not configured and built."
release=$(cat "$kdir/include/config/kernel.release" 2>/dev/null || :)
[ -n "$release" ] || no "it is not built."
oldest=$(printf '%s\n' 7.3 "${release%%-*}" | sort -V | head -n 1)
[ "$oldest" = 7.3 ] || no "it is Linux $release. $wanted"
for option in RUST AP KVM VFIO; do
	grep -q "^CONFIG_$option=[ym]" "$kdir/include/config/auto.conf" ||
		no "CONFIG_$option is not set$([ $option != RUST ] || echo '; on s390 that needs CONFIG_EXPOLINE=n')."
done
grep -q "^CONFIG_VFIO_MDEV=[ym]" "$kdir/include/config/auto.conf" ||
	no "CONFIG_VFIO_MDEV is not set; it comes with CONFIG_VFIO_AP=m or CONFIG_VFIO_CCW=m."
! grep -q "^CONFIG_VFIO_AP=y" "$kdir/include/config/auto.conf" ||
	no "CONFIG_VFIO_AP=y builds the C driver in, and no module can take its place. It has to be m."
for tool in "${RUSTC:-rustc}" "${BINDGEN:-bindgen}"; do
	command -v "$tool" >/dev/null ||
		no "there is no $tool. The kernel's Documentation/rust/quick-start.rst says how to get it."
done
