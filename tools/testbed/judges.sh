#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Run foreign suites of tests against the driver and the emulation:
#
#   judges.sh [--update] [SUITE...]    run suites, and compare with their known results
#
# A variable gives the path of a suite's checkout. kernel-selftests needs none: it is part of the
# kernel's source. The script builds a suite in the toolchain root, and runs it in an emulated machine,
# with each driver if it uses one. tools/judges/SUITE.toml has the known results. --update writes the
# new results to that file, and to Documentation/judges.rst. Without a SUITE, the script runs all that
# have a source.
. "$(dirname "$0")/lib.sh"

# Name, variable and source.
suites=(
	"kvm-unit-tests KVM_UNIT_TESTS https://gitlab.com/kvm-unit-tests/kvm-unit-tests.git"
	"s390-tools S390_TOOLS https://github.com/ibm-s390-linux/s390-tools.git"
)

options=()
if [ "${1:-}" = --update ]; then
	options=(--into "$repo/Documentation")
	shift
fi
for name; do
	[[ $name = kernel-selftests || " ${suites[*]} " == *" $name "* ]] ||
		die "no suite '$name': kernel-selftests, $(printf '%s\n' "${suites[@]}" | cut -d ' ' -f 1 | paste -sd, | sed 's/,/, /g')"
done
wanted=" $* "
make_own
root=$("$testbed/toolchain.sh")

# is_wanted NAME: succeed if the suite is to run.
is_wanted() { [ "$wanted" = "  " ] || [[ $wanted == *" $1 "* ]]; }

# version_of CHECKOUT: print the last public commit, and the number of commits after it.
version_of() {
	local common own
	common=$(git -C "$1" merge-base HEAD origin/HEAD 2>/dev/null || git -C "$1" rev-parse HEAD) || return
	own=$(git -C "$1" rev-list --count "$common..HEAD")
	git -C "$1" log -1 --format='%h of %cs' "$common"
	[ "$own" = 0 ] || echo " and $own commits"
}

# begin NAME: set $work, and remove the source of the last run.
begin() {
	work=$own/judges/$1
	mkdir -p "$work"
	rm -rf "$work/source"
}

# take_checkout NAME CHECKOUT: copy a checkout to $work/source, and set its $version.
take_checkout() {
	begin "$1"
	[ -d "$2" ] || die "$1: there is no directory $2"
	version=$(version_of "$2") ||
		die "$1: $2 is no git checkout, and has no version"
	[ -z "$(git -C "$2" status --porcelain -uno)" ] || version+=", changed"
	cp -a "$2" "$work/source"
}

# take_kernel: copy the selftests of the kernel to $work/source, with their includes.
take_kernel() {
	local tree
	begin kernel-selftests
	tree=$("$testbed/kernel.sh")
	version=$(sed -n 's/^linux-source-[^ ]* //p' "$root/versions")
	mkdir -p "$work/source/scripts"
	cp "$tree/scripts/subarch.include" "$work/source/scripts"
	cp -a "$tree/tools" "$work/source"
}

# judge NAME [OPTION...]: build the suite in $work/source, and run it.
judge() {
	local name=$1
	shift
	progress "$work/build.log" "building $name" \
		"$testbed/enter" "$repo/tools/judges/$name.build" "$work/source" "$work/build" "$work/disk"
	rm -f "$work/disk.ext4"
	# shellcheck disable=SC2016
	"$testbed/enter" sh -c 'mke2fs -q -t ext4 -O ^has_journal -d "$1" "$1.ext4" \
		$(($(du -sm "$1" | cut -f 1) * 2 + 16))M' sh "$work/disk"
	VM_BENCHES=$repo/tools/judges VM_SUITE=$work/disk.ext4 \
		"$testbed/vm" judge "$name" --version "$version" "${options[@]}" "$@"
}

rc=0
for suite in "${suites[@]}"; do
	read -r name variable where <<<"$suite"
	is_wanted "$name" || continue
	if [ -n "${!variable:-}" ]; then
		take_checkout "$name" "${!variable}"
		judge "$name" || rc=1
	else
		say "skipped: $name is not given. Clone $where, then run: make judges $variable=DIRECTORY"
	fi
done
if is_wanted kernel-selftests; then
	take_kernel
	judge kernel-selftests --driver rust || rc=1
fi
exit $rc
