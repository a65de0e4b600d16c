#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Check the requirements of a build, and print what is missing: check-kdir.sh KDIR [KSRC]
set -eu

kdir=${1:-} ksrc=${2:-}
rustc=${RUSTC:-rustc} bindgen=${BINDGEN:-bindgen} pahole=${PAHOLE:-pahole}

no() {
	printf 'error: the module cannot be built for the kernel in %s:\n  %s\n' "${kdir:-KDIR, which is empty}" "$1" >&2
	if [ "$(uname -m)" != s390x ] && [ "${ARCH:-}" != s390 ]; then
		printf '  This is no IBM Z. To see the driver at work here: make demo\n' >&2
	fi
	exit 1
}

# older VERSION THAN
older() { [ "$1" != "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# is OPTION: succeed if the kernel has the option. A built tree has one more file for each option.
is() { grep -q "^CONFIG_$1=[ym]" "$kdir/include/config/auto.conf"; }

# version COMMAND: print the version of a tool.
version() { "$1" --version 2>/dev/null | sed -n 's/^[^0-9]*\([0-9][0-9.]*\).*/\1/p' | head -n 1; }

wanted="Set KDIR to /lib/modules/RELEASE/build of an installed package of headers (apt install linux-headers-s390x), or to a configured and built source tree of Linux for s390."
case $kdir$ksrc$PWD in
*" "*) no "Kbuild cannot have spaces in the names of directories: '$kdir', '$ksrc' and '$PWD'." ;;
esac
[ -n "$kdir" ] && [ -e "$kdir/Makefile" ] || no "there is no kernel. $wanted"
[ -e "$kdir/include/config/auto.conf" ] ||
	no "it is not configured and built. $wanted"
release=$(cat "$kdir/include/config/kernel.release" 2>/dev/null || :)
[ -n "$release" ] || no "it is not built. $wanted"
for option in AP KVM VFIO; do
	is $option || no "CONFIG_$option is not set."
done
! grep -q "^CONFIG_VFIO_AP=y" "$kdir/include/config/auto.conf" ||
	no "CONFIG_VFIO_AP=y builds the C driver in, and no module can take its place. It has to be m."
if is RUST; then
	# A separate build directory (O=) refers to the sources.
	source=$kdir
	[ ! -e "$kdir/source/Makefile" ] || source=$kdir/source
	! older "${release%%-*}" 7.3 || no "it is Linux $release: with CONFIG_RUST it has to be 7.3 or newer."
	[ -e "$source/drivers/s390/crypto/ap_bus.h" ] ||
		no "it lacks drivers/s390/crypto/ap_bus.h. With CONFIG_RUST, KDIR has to be a full source tree: kernel headers are not enough."
	is VFIO_MDEV || no "CONFIG_VFIO_MDEV is not set; it comes with CONFIG_VFIO_AP=m or CONFIG_VFIO_CCW=m."
else
	# The module contains the crates that the kernel does not have.
	! older "${release%%[-+]*}" 6.12 || no "it is Linux $release, and without CONFIG_RUST the oldest that is known to work is 6.12."
	for option in EXPOLINE CFI CFI_CLANG RANDSTRUCT LTO_CLANG; do
		! is $option || no "it has CONFIG_$option, which Rust code of the module would not heed: there is no way yet."
	done
	grep -q "^CONFIG_AP=y" "$kdir/include/config/auto.conf" ||
		no "CONFIG_AP=m keeps the types of the AP bus out of what the kernel tells about itself."
	[ -e "$kdir/Module.symvers" ] || no "it lacks Module.symvers: it is not built."
	[ -e "$kdir/vmlinux" ] || { [ "$release" = "$(uname -r)" ] && [ -e /sys/kernel/btf/vmlinux ]; } ||
		no "there is no BTF of it, by which layouts are proved: neither in KDIR/vmlinux, nor is it the running kernel. It needs CONFIG_DEBUG_INFO_BTF."
	what="The crates come from a source of Linux 7.3 or newer: apt install linux-source-7.3 (in Debian 13 from trixie-backports), or set KSRC."
	[ -n "$ksrc" ] || no "there is no /usr/src/linux-source-7.*.tar.xz. $what"
	[ -e "$ksrc" ] || no "there is no KSRC $ksrc. $what"
	if [ -d "$ksrc" ]; then
		[ -e "$ksrc/rust/kernel/lib.rs" ] || no "KSRC $ksrc has no rust/kernel/lib.rs. $what"
		series=$(awk '/^VERSION =/ { v = $3 } /^PATCHLEVEL =/ { print v "." $3; exit }' "$ksrc/Makefile")
	else
		series=${ksrc##*/linux-source-}
		series=${series%.tar.*}
	fi
	case $series in
	[0-9]*.[0-9]*) ! older "$series" 7.3 || no "KSRC $ksrc is Linux $series. $what" ;;
	*) no "KSRC $ksrc is neither a source tree nor an archive linux-source-VERSION.tar.xz. $what" ;;
	esac
fi
for tool in "$rustc" "$bindgen"; do
	command -v "$tool" >/dev/null ||
		no "there is no ${tool##*/}: apt install ${tool##*/} (in Debian 13 from trixie-backports)."
done
if ! is RUST; then
	# The minimum of the kernel for s390, from scripts/min-tool-version.sh.
	! older "$(version "$rustc")" 1.96 ||
		no "rustc $(version "$rustc") is too old, 1.96 is wanted: apt install rustc (in Debian 13 from trixie-backports)."
	! older "$(version "$bindgen")" 0.71 || no "bindgen $(version "$bindgen") is too old, 0.71 is wanted: apt install bindgen."
	[ -e "$("$rustc" --print sysroot)/lib/rustlib/src/rust/library/core/src/lib.rs" ] ||
		no "rustc has no source of its library: apt install rust-src, in the version of rustc."
	! is DEBUG_INFO_BTF_MODULES || [ ! -e "$kdir/vmlinux" ] || command -v "$pahole" >/dev/null ||
		no "there is no pahole, which makes BTF of modules: apt install pahole."
fi
