#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Print the path of a built Linux tree for the emulated machine, with sources, objects,
# arch/s390/boot/bzImage and the modules. The tree serves as KDIR for the driver.
#
#   kernel.sh          the usual kernel
#   kernel.sh debug    a kernel with lockdep, KASAN, kmemleak and other checks
#   kernel.sh faults   a kernel with fault injection into allocations
#   kernel.sh races    a kernel that detects data races in the C driver
#   kernel.sh debian   Debian's own kernel (see debian.sh)
#   kernel.sh FLAVOUR --make-flags    print the arguments of make for the kernel
#   kernel.sh FLAVOUR --plan          print the time and space of the build (see room in lib.sh)
. "$(dirname "$0")/lib.sh"

flavour=${1:-usual}
[ "$flavour" != debian ] || exec "$testbed/debian.sh" "${@:2}"
configs=("$testbed/kernel.config") flags="ARCH=s390 CROSS_COMPILE=s390x-linux-gnu-" time=8 lines=1625
case $flavour in
usual) ;;
# KASAN of Rust code needs a kernel that is built with LLVM.
debug) configs+=("$testbed/kernel-debug.config") flags="ARCH=s390 LLVM=1" time=12 ;;
# KCSAN takes samples. With only the C driver instrumented, it can check each of its accesses.
races)
	configs+=("$testbed/kernel-races.config") time=12
	flags="ARCH=s390 LLVM=1 KCSAN_SANITIZE=n KCSAN_SANITIZE_vfio_ap_ops.o=y KCSAN_SANITIZE_vfio_ap_drv.o=y"
	;;
faults) configs+=("$testbed/kernel-faults.config") ;;
*) die "no kernel '$flavour': usual, debug, faults, races or debian" ;;
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

# kernel_lines LOG: print the progress of make, by the number of lines in its output.
kernel_lines() {
	local percent
	percent=$(($(wc -l <"$1") * 100 / lines))
	echo "$((percent < 99 ? percent : 99)) %,$(last_line "$1")"
}

build() {
	local tree=$1 option
	say "kernel ($flavour): $(sed -n "s/^$package //p" "$root/versions"), about $time minutes on 2 cores"
	cd "$tree"
	# An interrupted build continues. Kbuild records the command of a file only when the file is
	# complete.
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
	# The files for linking vmlinux are most of the size.
	find . -name '*.o' -not -path './scripts/*' -not -path './tools/*' -delete
	find . -name '*.a' -delete
	rm -f .tmp_vmlinux* vmlinux.unstripped
}

# The inputs that determine the result. QEMU only runs it.
compilers=$(grep -v '^qemu' "$root/versions")
name=kernel-$flavour-$(key "${configs[@]}" "$compilers" "$flags")
if [ "${2:-}" = --plan ]; then
	[ -d "$cache/$name" ] || echo "$time 2800 a kernel ($flavour)"
	exit
fi
KEEP=1 entry "$name" build
