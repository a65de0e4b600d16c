#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Test check-kdir.sh on trees that are made of nothing but what it looks at. The output is that
# of a Rust test.
set -euo pipefail

check=$(dirname "$(realpath "$0")")/check-kdir.sh
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
export RUSTC=true BINDGEN=true ARCH=s390
passed=0 failed=0

# tree NAME RELEASE [OPTION=VALUE...]: a tree that has all options, but for those as given.
tree() {
	local dir=$top/$1 option
	mkdir -p "$dir/drivers/s390/crypto" "$dir/include/config"
	touch "$dir/Makefile" "$dir/drivers/s390/crypto/ap_bus.h"
	echo "$2" >"$dir/include/config/kernel.release"
	printf 'CONFIG_%s\n' RUST=y AP=y KVM=m VFIO=m VFIO_MDEV=m VFIO_AP=m >"$dir/include/config/auto.conf"
	for option in "${@:3}"; do
		sed -i "s/^CONFIG_${option%=*}=.*/CONFIG_$option/" "$dir/include/config/auto.conf"
	done
}

# says NAME TEXT KDIR: it refuses KDIR and says TEXT; without TEXT it does not.
says() {
	local rc=0 out
	out=$(cd "$top" && "$check" "$3" 2>&1) || rc=$?
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
tree norust 7.3.4 RUST=n
tree source 7.3.4
mkdir -p "$top/headers/include/config" "$top/output/include/config"
touch "$top/headers/Makefile" "$top/output/Makefile"
ln -s ../source "$top/output/source"
mv "$top/source/include/config"/* "$top/output/include/config"

says good "" "$top/good"
says newer "" "$top/newer"
says output_of_its_own "" "$top/output"
says old "it is Linux 6.12.9" "$top/old"
says built_in "CONFIG_VFIO_AP=y" "$top/builtin"
says no_rust "CONFIG_RUST is not set" "$top/norust"
says headers "headers are not enough" "$top/headers"
says empty "there is no kernel" ""
says nothing "there is no kernel" "$top/nothing"
says space "spaces" "$top/a space"
BINDGEN=no-such-bindgen says no_bindgen "there is no no-such-bindgen" "$top/good"
ARCH='' says demo "$([ "$(uname -m)" = s390x ] && echo "there is no kernel" || echo "make demo")" ""
[ $failed = 0 ] && result=ok || result=FAILED
echo "test result: $result. $passed passed; $failed failed; 0 ignored; 0 measured; 0 filtered out"
[ $failed = 0 ]
