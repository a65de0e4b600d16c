#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Have the driver and the emulation judged by suites of tests that others have written:
#
#   judges.sh [--update]     run all that are given, and compare with what is known of them
#
# A suite is given by a variable with the path of a checkout. It is built in the toolchain
# root, and run in an emulated machine with each driver. What is known is in
# tools/judges/SUITE.toml; --update writes what was seen there, and Documentation/judges.rst.
. "$(dirname "$0")/lib.sh"

# Name, variable, and where to have it.
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

# version_of CHECKOUT: the last commit that others have as well, and how many there are besides.
version_of() {
	local common own
	common=$(git -C "$1" merge-base HEAD origin/HEAD 2>/dev/null || git -C "$1" rev-parse HEAD) || return
	own=$(git -C "$1" rev-list --count "$common..HEAD")
	git -C "$1" log -1 --format='%h of %cs' "$common"
	[ "$own" = 0 ] || echo " and $own commits"
}

# judge NAME CHECKOUT: build the suite in there, and run it.
judge() {
	local name=$1 from=$2 version work=$own/judges/$1
	[ -d "$from" ] || die "$name: there is no directory $from"
	version=$(version_of "$from") ||
		die "$name: $from is no checkout of git, so nobody could tell which version it is"
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
		say "skipped: $name, as it is not given. It is to be had from $where; then: make judges $variable=DIRECTORY"
	fi
done
[ -n "$given" ] || exit 0
exit $rc
