#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Test check-kdir.sh on trees that contain only the files that it reads. The output has the format
# of a Rust test.
set -euo pipefail

check=$(dirname "$(realpath "$0")")/check-kdir.sh
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
export RUSTC=true BINDGEN=true PAHOLE=true ARCH=s390
passed=0 failed=0

# tree NAME RELEASE [OPTION=VALUE...]: create a tree with all options, except for the given values.
tree() {
	local dir=$top/$1 option
	mkdir -p "$dir/drivers/s390/crypto" "$dir/include/config"
	touch "$dir/Makefile" "$dir/drivers/s390/crypto/ap_bus.h"
	echo "$2" >"$dir/include/config/kernel.release"
	printf 'CONFIG_%s\n' RUST=y AP=y KVM=m VFIO=m VFIO_MDEV=m VFIO_AP=m >"$dir/include/config/auto.conf"
	options "$dir" "${@:3}"
}

# options DIR OPTION=VALUE...
options() {
	local option
	for option in "${@:2}"; do
		sed -i "/^CONFIG_${option%=*}=/d" "$1/include/config/auto.conf"
		echo "CONFIG_$option" >>"$1/include/config/auto.conf"
	done
}

# headers NAME RELEASE [OPTION=VALUE...]: create the headers of a kernel without Rust, as in a
# package.
headers() {
	local dir=$top/$1
	mkdir -p "$dir/include/config"
	touch "$dir/Makefile" "$dir/Module.symvers" "$dir/vmlinux"
	echo "$2" >"$dir/include/config/kernel.release"
	printf 'CONFIG_%s\n' AP=y KVM=m VFIO=m DEBUG_INFO_BTF_MODULES=y >"$dir/include/config/auto.conf"
	options "$dir" "${@:3}"
}

# tool NAME VERSION: create a tool that prints its version. rustc has the source of its library.
tool() {
	mkdir -p "$top/bin" "$top/sysroot/lib/rustlib/src/rust/library/core/src"
	touch "$top/sysroot/lib/rustlib/src/rust/library/core/src/lib.rs"
	# shellcheck disable=SC2016 # the argument of the tool
	printf '#!/bin/sh\n[ "$1" = --print ] && echo %s || echo "%s %s (of a day)"\n' \
		"${3:-$top/sysroot}" "${1%-*}" "$2" >"$top/bin/$1"
	chmod +x "$top/bin/$1"
}

# says NAME TEXT KDIR [KSRC]: require that KDIR is refused with TEXT, or accepted if TEXT is empty.
says() {
	local rc=0 out
	out=$(cd "$top" && "$check" "$3" "${4:-}" 2>&1) || rc=$?
	if { [ -z "$2" ] && [ $rc = 0 ] && [ -z "$out" ]; } || { [ -n "$2" ] && [ $rc = 1 ] && [[ $out == *"$2"* ]]; }; then
		passed=$((passed + 1))
		echo "test check_kdir::$1 ... ok"
	else
		failed=$((failed + 1))
		printf 'test check_kdir::%s ... FAILED\nstatus %s: %s\n' "$1" "$rc" "$out"
	fi
}

tree good 7.3.4-a
tree newer 7.10.0
tree "a space" 7.3.4
tree old 6.12.9 RUST=y
tree builtin 7.3.4 VFIO_AP=y
tree source 7.3.4
tree incomplete 7.3.4
rm -r "$top/incomplete/drivers"
mkdir -p "$top/output/include/config"
touch "$top/output/Makefile"
ln -s ../source "$top/output/source"
mv "$top/source/include/config"/* "$top/output/include/config"

says good "" "$top/good"
says newer "" "$top/newer"
says output_of_its_own "" "$top/output"
says old "it is Linux 6.12.9" "$top/old"
says built_in "CONFIG_VFIO_AP=y" "$top/builtin"
says headers_with_rust "headers are not enough" "$top/incomplete"
says empty "there is no kernel" ""
says nothing "there is no kernel" "$top/nothing"
says space "spaces" "$top/a space"
BINDGEN=no-such-bindgen says no_bindgen "there is no no-such-bindgen" "$top/good"
ARCH='' says demo "$([ "$(uname -m)" = s390x ] && echo "there is no kernel" || echo "make demo")" ""

# Kernels without Rust.
for series in 7.2 7.3 7.10; do touch "$top/linux-source-$series.tar.xz"; done
mkdir -p "$top/linux/rust/kernel" "$top/linux-7.2/rust/kernel" "$top/no-linux"
touch "$top/linux/rust/kernel/lib.rs" "$top/linux-7.2/rust/kernel/lib.rs" "$top/no-linux/Makefile"
printf 'VERSION = 7\nPATCHLEVEL = 10\n' >"$top/linux/Makefile"
printf 'VERSION = 7\nPATCHLEVEL = 2\n' >"$top/linux-7.2/Makefile"
tool rustc-1.97 1.97.1
tool rustc-1.85 1.85.0
tool rustc-bare 1.97.1 /nowhere
tool bindgen-0.71 0.71.1
tool bindgen-0.66 0.66.1
export RUSTC=$top/bin/rustc-1.97 BINDGEN=$top/bin/bindgen-0.71
ksrc=$top/linux-source-7.3.tar.xz
headers stock 6.12.107+deb13-s390x
headers next 7.3-rc7-s390x
headers floor 6.1.0-50-s390x
headers expoline 6.12.0 EXPOLINE=y
headers randstruct 6.12.0 RANDSTRUCT=y
headers bus 6.12.0 AP=m
headers nobtf 6.12.0
rm "$top/nobtf/vmlinux"
headers unbuilt 6.12.0
rm "$top/unbuilt/Module.symvers"

says stock "" "$top/stock" "$ksrc"
says stock_next "" "$top/next" "$top/linux-source-7.10.tar.xz"
says source_tree "" "$top/stock" "$top/linux"
says floor "6.12" "$top/floor" "$ksrc"
says expoline "CONFIG_EXPOLINE" "$top/expoline" "$ksrc"
says randstruct "CONFIG_RANDSTRUCT" "$top/randstruct" "$ksrc"
says bus_in_a_module "CONFIG_AP=m" "$top/bus" "$ksrc"
says no_btf "CONFIG_DEBUG_INFO_BTF" "$top/nobtf" "$ksrc"
says no_symvers "Module.symvers" "$top/unbuilt" "$ksrc"
says no_source "apt install linux-source-7.3" "$top/stock" ""
says source_is_gone "there is no KSRC" "$top/stock" "$top/linux-source-7.4.tar.xz"
says old_source "is Linux 7.2" "$top/stock" "$top/linux-source-7.2.tar.xz"
says old_source_tree "is Linux 7.2" "$top/stock" "$top/linux-7.2"
says no_crates "rust/kernel/lib.rs" "$top/stock" "$top/no-linux"
says another_file "neither a source tree" "$top/stock" "$top/bin/rustc-1.97"
RUSTC=$top/bin/rustc-1.85 says old_rustc "apt install rustc" "$top/stock" "$ksrc"
RUSTC=$top/bin/rustc-bare says no_rust_src "apt install rust-src" "$top/stock" "$ksrc"
BINDGEN=$top/bin/bindgen-0.66 says old_bindgen "bindgen 0.66.1 is too old" "$top/stock" "$ksrc"
PAHOLE=no-such-pahole says no_pahole "apt install pahole" "$top/stock" "$ksrc"
[ $failed = 0 ] && result=ok || result=FAILED
echo "test result: $result. $passed passed; $failed failed; 0 ignored; 0 measured; 0 filtered out"
[ $failed = 0 ]
