#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Run the tests, all or some tiers of them: test.sh [lint|host|vm]...
#
# Ends with one line that counts them. Each check of `lint` counts as one test.
. "$(dirname "$0")/lib.sh"

[ $# -gt 0 ] || set -- lint host vm
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log" "$log".*' EXIT

# check WHAT COMMAND...: a test that is a command.
check() {
	local what=$1
	shift
	if "$@" >"$log" 2>&1; then
		passed=$((passed + 1))
		say "ok: $what"
	else
		failed=$((failed + 1))
		cat "$log" >&2
		say "FAILED: $what"
	fi
}

# suite WHAT COMMAND...: a command whose output has the lines of libtest.
suite() {
	local what=$1 rc=0 p=0 f=0 s=0
	shift
	say "$what"
	"$@" 2>&1 | tee "$log" || rc=$?
	while read -r a b c; do
		p=$((p + a)) f=$((f + b)) s=$((s + c))
	done < <(sed -n 's/^test result: .*\. \([0-9]*\) passed; \([0-9]*\) failed; \([0-9]*\) ignored.*/\1 \2 \3/p' "$log")
	if [ $rc != 0 ] && [ $f = 0 ]; then
		say "FAILED: $what"
		f=1
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# nothing COMMAND...: one that must not find anything.
nothing() { ! "$@" | tee /dev/stderr | grep -q .; }

# The module, from scratch where it is linted, without warnings.
module() {
	rm -rf "$cache/module-lint"
	# shellcheck disable=SC2046 # several flags
	"$testbed/module.sh" "$cache/module-lint" "$kernel" \
		$("$testbed/kernel.sh" usual --make-flags) "$@" >"$log.make" 2>&1 || {
		cat "$log.make"
		return 1
	}
	# rustc does not know a feature of s390 that the kernel asks for, and says so.
	nothing grep -E '^warning|: warning:' <(grep -v 'backchain' "$log.make" | grep -v 'warning emitted')
}

# Each file has as many lines with the word as Documentation/unsafe.rst says, or none.
unsafe_is_documented() {
	local file n
	module_sources | while read -r file; do
		n=$(sed 's,//.*,,' "$repo/$file" | grep -cw unsafe || true)
		[ "$n" = 0 ] || echo "$file $n"
	done | diff - <(awk '$1 ~ /\.rs$/ { print $1, $2 }' "$repo/Documentation/unsafe.rst")
}

# Kbuild deletes whatever has a name like those of its own files. Tried on a copy.
clean_keeps_sources() {
	local copy rc=0
	copy=$(mktemp -d "$cache/clean.XXXXXX")
	git -C "$repo" ls-files -z | tar -c -C "$repo" --null -T - | tar -x -C "$copy"
	"$testbed/enter" make -s -C "$copy" KDIR="$kernel" ARCH=s390 clean || rc=1
	(cd "$copy" && git -C "$repo" ls-files -z | xargs -0 ls -d >/dev/null) || rc=1
	rm -rf "$copy"
	return $rc
}

# All files but those that are data, have no comments, or decide by their contents
# whether the kernel and the toolchain are built anew.
every_file_has_a_licence() {
	nothing git -C "$repo" grep -L 'SPDX-License-Identifier: GPL-2.0' -- \
		':!COPYING' ':!Documentation/ABI' ':!Documentation/benchmarks' ':!tools/Cargo.lock' \
		':!tools/machine/model/src/control/help.txt' \
		':!tools/testbed/kernel*.config' ':!tools/testbed/*packages' \
		':!tools/apmap/tests/hosts/*.json' ':!tools/apmap/tests/expected'
}

lint() {
	kernel=$("$testbed/kernel.sh")
	cd "$repo"
	check "rustfmt" "$testbed/format.sh" --check
	check "documentation" "$testbed/docs.sh" "$cache/docs"
	check "shellcheck" "$testbed/enter" shellcheck -x tools/testbed/*.sh tools/testbed/enter tools/testbed/vm .ci/run
	check "the module builds without warnings" module
	check "clippy: the module" module CLIPPY=1
	check "rustdoc: the module" module RUSTDOC_TOO=1
	check "safe code that would break memory does not build" "$testbed/misuse.sh"
	check "unsafe is where Documentation/unsafe.rst says" unsafe_is_documented
	check "rooms of the module import from those below only" "$testbed/rooms.sh"
	check "every file names its licence" every_file_has_a_licence
	check "make clean keeps what is not built" clean_keeps_sources
	check "licences of third-party crates" "$testbed/enter" tools/testbed/licences.py check
	cd tools
	check "clippy: the tools" "$testbed/enter" cargo clippy -q --workspace --all-targets -- -D warnings
	check "rustdoc: the tools" "$testbed/enter" env RUSTDOCFLAGS="-D warnings" cargo doc -q --no-deps --document-private-items
	cd ..
	check "checkpatch" "$testbed/enter" perl "$kernel/scripts/checkpatch.pl" --no-tree --quiet --terse \
		--ignore SPDX_LICENSE_TAG --file Kbuild helpers.c helpers.h layouts.c bindings_helper.h
}

host() {
	suite "packages that cannot be had as they are named" "$testbed/enter" "$testbed/fetch-test.sh"
	cd "$repo/tools"
	suite "unit and property tests" "$testbed/enter" cargo test -q
}

# One scenario of each kind; `make test-debug` runs all.
debug() {
	local what="scenarios on a debug kernel"
	if [ $SECONDS -gt 3300 ]; then
		skipped=$((skipped + 1))
		say "skipped: $what: there have been 55 minutes of tests already"
		return
	fi
	# By itself, as what is checked is silent.
	"$testbed/kernel.sh" debug >/dev/null || :
	check "$what" env VM_FLAVOUR=debug VM_PATIENCE=10 "$testbed/vm" \
		run in-one-machine --set ONLY=mixed-scan,live-unassign,reset-fails,interruptions-end,unmap
}

vm() {
	# Where time is short, no scenario is to fail for that.
	export VM_PATIENCE=${VM_PATIENCE:-3}
	suite "scenarios in emulated machines" "$testbed/vm" test
	debug
	check "a random walk" "$testbed/vm" walk --seed 1 --steps 300
	check "a bench runs" "$testbed/vm" bench probe --sizes 4 --runs 1
}

for tier; do
	case $tier in
	lint | host | vm) $tier ;;
	*) die "there is no tier '$tier': lint, host or vm" ;;
	esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ] && [ $passed != 0 ]
