#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Check that safe code that would break memory does not build: misuse.sh [CASE]...
#
# Each case of tools/misuse is appended to a source file of a copy of the module. rustc has to
# refuse it with only the error that the case names.
. "$(dirname "$0")/lib.sh"

kernel=$("$testbed/kernel.sh")
read -ra flags <<<"$("$testbed/kernel.sh" usual --make-flags)"
dir=$own/module-misuse
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# build: build the Rust part of the copy.
build() { "$testbed/enter" make -C "$kernel" M="$dir" "${flags[@]}" vfio_ap_rs.o >"$log" 2>&1; }

# directive NAME FILE: print the value of a directive.
directive() { sed -n "s,^// $1: ,,p" "$2"; }

rm -rf "$dir"
mkdir -p "$dir"
cd "$repo"
mapfile -t sources < <(module_sources)
cp --parents Kbuild "${sources[@]}" ./*.[ch] bindgen_parameters "$dir"
build || {
	cat "$log" >&2
	die "the module does not build as it is"
}

failed=0
[ $# -gt 0 ] || set -- tools/misuse/*.rs
for case; do
	file=$(directive "appended to" "$case")
	expected=$(directive error "$case")
	cat "$file" "$case" >"$dir/$file"
	if build; then
		say "FAILED: $case builds"
		failed=1
	else
		actual=$(sed -n 's/^error\[\(E[0-9]*\)\].*/\1/p' "$log" | sort -u | xargs)
		if [ "$actual" = "$expected" ]; then
			say "ok: $case: $expected"
		else
			cat "$log" >&2
			say "FAILED: $case: $expected was expected, got ${actual:-no error of rustc}"
			failed=1
		fi
	fi
	cp "$file" "$dir/$file"
done
exit $failed
