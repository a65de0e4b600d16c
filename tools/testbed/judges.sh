#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Run foreign suites of tests against the driver and the emulation:
#
#   judges.sh [--update]     run the given suites, and compare with their known results
#
# A variable gives the path of a suite's checkout. The script builds the suite in the toolchain root,
# and runs it in an emulated machine with each driver. tools/judges/SUITE.toml has the known results.
# --update writes the new results to that file, and to Documentation/judges.rst.
. "$(dirname "$0")/lib.sh"

# Name, variable and source.
suites=(
	"kvm-unit-tests KVM_UNIT_TESTS https://gitlab.com/kvm-unit-tests/kvm-unit-tests.git"
)

options=()
case "$*" in
"") ;;
--update) options=(--into "$repo/Documentation") ;;
*) die "usage: judges.sh [--update]" ;;
esac
make_own
"$testbed/toolchain.sh" >/dev/null

# version_of CHECKOUT: print the last public commit, and the number of commits after it.
version_of() {
	local common own
	common=$(git -C "$1" merge-base HEAD origin/HEAD 2>/dev/null || git -C "$1" rev-parse HEAD) || return
	own=$(git -C "$1" rev-list --count "$common..HEAD")
	git -C "$1" log -1 --format='%h of %cs' "$common"
	[ "$own" = 0 ] || echo " and $own commits"
}

# judge NAME CHECKOUT: build the suite of a checkout, and run it.
judge() {
	local name=$1 from=$2 version work=$own/judges/$1
	[ -d "$from" ] || die "$name: there is no directory $from"
	version=$(version_of "$from") ||
		die "$name: $from is no git checkout, and has no version"
	[ -z "$(git -C "$from" status --porcelain -uno)" ] || version+=", changed"
	mkdir -p "$work"
	rm -rf "$work/source"
	cp -a "$from" "$work/source"
	progress "$work/build.log" "building $name" \
		"$testbed/enter" "$repo/tools/judges/$name.build" "$work/source" "$work/build" "$work/disk"
	rm -f "$work/disk.ext4"
	# shellcheck disable=SC2016
	"$testbed/enter" sh -c 'mke2fs -q -t ext4 -O ^has_journal -d "$1" "$1.ext4" \
		$(($(du -sm "$1" | cut -f 1) * 2 + 16))M' sh "$work/disk"
	VM_BENCHES=$repo/tools/judges VM_SUITE=$work/disk.ext4 \
		"$testbed/vm" judge "$name" --version "$version" "${options[@]}"
}

rc=0 given=
for suite in "${suites[@]}"; do
	read -r name variable where <<<"$suite"
	if [ -n "${!variable:-}" ]; then
		given=1
		judge "$name" "${!variable}" || rc=1
	else
		say "skipped: $name is not given. Clone $where, then run: make judges $variable=DIRECTORY"
	fi
done
[ -n "$given" ] || exit 0
exit $rc
