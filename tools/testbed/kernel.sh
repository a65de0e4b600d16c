#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Print the path of a built Linux tree for the emulated machine: sources, objects,
# arch/s390/boot/image and the modules. It serves as KDIR for the driver.
. "$(dirname "$0")/lib.sh"

config=$testbed/kernel.config
root=$("$testbed/toolchain.sh")
package=$(sed -n 's/^\(linux-source-7\.3\) .*/\1/p' "$root/versions")
[ -n "$package" ] || die "the Debian archive no longer has linux-source-7.3." \
	"Name a newer series in tools/testbed/packages and kernel.sh, and expect to adapt the driver to it."

build() {
	local tree=$1
	say "kernel: $(sed -n "s/^$package //p" "$root/versions"), about 6 minutes on 2 cores"
	tar -x -C "$tree" --strip-components=1 -f "$root/usr/src/linux-source-7.3.tar.xz"
	cd "$tree"
	local make=("$testbed/enter" make ARCH=s390 CROSS_COMPILE=s390x-linux-gnu- -j"$(nproc)")
	"${make[@]}" -s KCONFIG_ALLCONFIG="$config" allnoconfig
	local option
	for option in RUST KVM VFIO_AP VFIO_DEVICE_CDEV; do
		grep -q "^CONFIG_$option=" .config || die "the kernel configuration lost CONFIG_$option"
	done
	progress "$cache/kernel.log" kernel "${make[@]}" all
	# What is only needed to link vmlinux is most of the size.
	find . -name '*.o' -not -path './scripts/*' -not -path './tools/*' -delete
	find . -name '*.a' -delete
	rm -f .tmp_vmlinux* vmlinux.unstripped
}

entry "kernel-$(key "$config" "$root/versions" "$testbed/kernel.sh")" build
