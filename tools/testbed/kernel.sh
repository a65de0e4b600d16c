#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Print the path of a built Linux tree for the emulated machine: sources, objects,
# arch/s390/boot/bzImage and the modules. It serves as KDIR for the driver.
#
#   kernel.sh          the usual one
#   kernel.sh debug    one with lockdep, KASAN, kmemleak and so on
#   kernel.sh faults   one in which allocations can be made to fail
#   kernel.sh races    one that looks for races for data in the C driver
#   kernel.sh debian   Debian's own: see debian.sh
#   kernel.sh FLAVOUR --make-flags    print how to call make for it
#   kernel.sh FLAVOUR --plan          print what it takes: see room in lib.sh
. "$(dirname "$0")/lib.sh"

flavour=${1:-usual}
[ "$flavour" != debian ] || exec "$testbed/debian.sh" "${@:2}"
configs=("$testbed/kernel.config") flags="ARCH=s390 CROSS_COMPILE=s390x-linux-gnu-" time=8 lines=1625
case $flavour in
usual) ;;
# KASAN of Rust code takes the compiler that Rust comes from.
debug) configs+=("$testbed/kernel-debug.config") flags="ARCH=s390 LLVM=1" time=12 ;;
# KCSAN takes samples: where only the C driver is instrumented, it can look at each of its accesses.
races)
	configs+=("$testbed/kernel-races.config") time=12
	flags="ARCH=s390 LLVM=1 KCSAN_SANITIZE=n KCSAN_SANITIZE_vfio_ap_ops.o=y KCSAN_SANITIZE_vfio_ap_drv.o=y"
	;;
faults) configs+=("$testbed/kernel-faults.config") ;;
*) die "there is no kernel '$flavour': usual, debug, faults, races or debian" ;;
esac
if [ "${2:-}" = --make-flags ]; then
	echo "$flags"
	exit
fi

if [ "${2:-}" = --plan ] && [ ! -d "$("$testbed/toolchain.sh" --path)" ]; then
	"$testbed/toolchain.sh" --plan
	echo "$time 2800 a kernel ($flavour)"
	exit
fi
root=$("$testbed/toolchain.sh")
package=$(sed -n 's/^\(linux-source-7\.3\) .*/\1/p' "$root/versions")
[ -n "$package" ] || die "the Debian archive no longer has linux-source-7.3." \
	"Name a newer series in tools/testbed/packages and kernel.sh, and expect to adapt the driver to it."

# kernel_lines LOG: how far make is, by the lines that it prints.
kernel_lines() {
	local percent
	percent=$(($(wc -l <"$1") * 100 / lines))
	echo "$((percent < 99 ? percent : 99)) %,$(last_line "$1")"
}

build() {
	local tree=$1 option
	say "kernel ($flavour): $(sed -n "s/^$package //p" "$root/versions"), about $time minutes on 2 cores"
	cd "$tree"
	# An interrupted build goes on: Kbuild notes the command of a file when that is complete.
	if [ ! -e .config.complete ]; then
		find . -mindepth 1 -delete
		progress "$cache/kernel-$flavour.log" "kernel ($flavour), sources" \
			tar -x --strip-components=1 -f "$root/usr/src/linux-source-7.3.tar.xz"
		cat "${configs[@]}" >.all.config
	fi
	# shellcheck disable=SC2086 # several flags
	set -- "$testbed/enter" make $flags -j"$(nproc)"
	if [ ! -e .config.complete ]; then
		progress "$cache/kernel-$flavour.log" "kernel ($flavour), configuration" \
			"$@" -s KCONFIG_ALLCONFIG=.all.config allnoconfig
		while read -r option; do
			grep -q "^CONFIG_$option=" .config || die "the kernel configuration lost CONFIG_$option"
		done < <(sed -n 's/^CONFIG_\([A-Z0-9_]*\)=[ym]$/\1/p' .all.config)
		touch .config.complete
	fi
	METER=kernel_lines progress "$cache/kernel-$flavour.log" "kernel ($flavour)" "$@" all
	# What is only needed to link vmlinux is most of the size.
	find . -name '*.o' -not -path './scripts/*' -not -path './tools/*' -delete
	find . -name '*.a' -delete
	rm -f .tmp_vmlinux* vmlinux.unstripped
}

# What decides about the result; QEMU only runs it.
compilers=$(grep -v '^qemu' "$root/versions")
name=kernel-$flavour-$(key "${configs[@]}" "$compilers" "$flags")
if [ "${2:-}" = --plan ]; then
	[ -d "$cache/$name" ] || echo "$time 2800 a kernel ($flavour)"
	exit
fi
KEEP=1 entry "$name" build
