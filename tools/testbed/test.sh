#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Run all tests or some tiers of them: test.sh [lint|host|vm]...
#
# The last line has the numbers of tests. Each check of `lint` counts as one test.
. "$(dirname "$0")/lib.sh"

[ $# -gt 0 ] || set -- lint host vm
passed=0 failed=0 skipped=0
make_own
log=$(mktemp)
trap '[ -z "${pid:-}" ] || kill -- -"$pid" 2>/dev/null || :; rm -f "$log" "$log".*' EXIT

# count HOW WHAT [N]: count N tests (1) that could not run. HOW is failed or skipped.
count() {
	local n=${3:-1}
	if [ "$1" = failed ]; then failed=$((failed + n)); else skipped=$((skipped + n)); fi
	say "${1/failed/FAILED}: $2$([ "$n" = 1 ] || echo " ($n tests)")"
}

# waiting WHAT LOG PID: while PID runs, print a message whenever LOG has not grown for 20 seconds.
waiting() {
	local next=$((EPOCHSECONDS + 20)) size=0 now
	while kill -0 "$3" 2>/dev/null; do
		sleep 0.2
		now=$(stat -c %s "$2")
		if [ "$now" != "$size" ]; then
			size=$now next=$((EPOCHSECONDS + 20))
		elif [ "$EPOCHSECONDS" -ge $next ]; then
			next=$((EPOCHSECONDS + 20))
			say "$1: still running$(tail -c 200 "$2" | tail -n 1 | sed 's/^\(..*\)/, after: \1/' | cut -c1-90)"
		fi
	done
}

# check WHAT COMMAND...: run a command as one test.
check() {
	local what=$1
	shift
	group "$@" >"$log" 2>&1
	pid=$!
	waiting "$what" "$log" $pid
	if wait $pid; then
		passed=$((passed + 1))
		say "ok: $what"
	else
		failed=$((failed + 1))
		cat "$log" >&2
		say "FAILED: $what"
	fi
}

# suite WHAT N COMMAND...: run a command whose output has the lines of libtest. Without such lines,
# N tests could not run.
suite() {
	local what=$1 n=$2 rc=0 p=0 f=0 s=0 a b c
	shift 2
	say "$what"
	: >"$log"
	group "$@" > >(tee "$log") 2>&1
	pid=$!
	waiting "$what" "$log" $pid
	wait $pid || rc=$?
	# The last output may still be in transit.
	sleep 0.5
	while read -r a b c; do
		p=$((p + a)) f=$((f + b)) s=$((s + c))
	done < <(sed -n 's/^test result: .*\. \([0-9]*\) passed; \([0-9]*\) failed; \([0-9]*\) ignored.*/\1 \2 \3/p' "$log")
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	if [ $((p + f + s)) = 0 ]; then
		count failed "$what: $(sed -n 's/^error: //p' "$log" | tail -n 1)" "$n"
	elif [ $rc != 0 ] && [ $f = 0 ]; then
		count failed "$what: it ended with status $rc"
	fi
	[ $((p + f + s)) != 0 ] && [ $rc = 0 ]
}

# nothing COMMAND...: succeed if COMMAND finds nothing.
nothing() { ! "$@" | tee /dev/stderr | grep -q .; }

# Build the module from scratch, with lints and without warnings.
module() {
	rm -rf "$own/module-lint"
	# shellcheck disable=SC2046 # several flags
	"$testbed/module.sh" "$own/module-lint" "$kernel" \
		$("$testbed/kernel.sh" usual --make-flags) "$@" >"$log.make" 2>&1 || {
		cat "$log.make"
		return 1
	}
	# rustc does not know a feature of s390 that the kernel uses, and warns of it.
	nothing grep -E '^warning|: warning:' <(grep -v 'backchain' "$log.make" | grep -v 'warning emitted')
}

# The number of lines with the word in each file is that in Documentation/unsafe.rst, or 0.
unsafe_is_documented() {
	local file n
	module_sources | while read -r file; do
		n=$(sed 's,//.*,,' "$repo/$file" | grep -cw unsafe || true)
		[ "$n" = 0 ] || echo "$file $n"
	done | diff - <(awk '$1 ~ /\.rs$/ { print $1, $2 }' "$repo/Documentation/unsafe.rst")
}

# Kbuild deletes files with the names of its own files. This check works on a copy.
clean_keeps_sources() {
	local copy rc=0
	copy=$(mktemp -d "$cache/clean.XXXXXX")
	git -C "$repo" ls-files -z | tar -c -C "$repo" --null -T - | tar -x -C "$copy"
	"$testbed/enter" make -s -C "$copy" KDIR="$kernel" ARCH=s390 clean || rc=1
	(cd "$copy" && git -C "$repo" ls-files -z | xargs -0 ls -d >/dev/null) || rc=1
	rm -rf "$copy"
	return $rc
}

# All files except data, files without comments, and files whose contents decide if the kernel and
# the toolchain are rebuilt.
every_file_has_a_licence() {
	nothing git -C "$repo" grep -L 'SPDX-License-Identifier: GPL-2.0' -- \
		':!COPYING' ':!Documentation/ABI' ':!Documentation/benchmarks' ':!tools/Cargo.lock' \
		':!tools/machine/ap-model/src/control/help.txt' \
		':!tools/testbed/kernel*.config' ':!tools/testbed/*packages' \
		':!tools/apmap/tests/hosts/*.json' ':!tools/apmap/tests/expected'
}

# with_kernel WHAT COMMAND...: run a check that needs the usual kernel.
with_kernel() {
	if [ -n "$kernel" ]; then check "$@"; else count failed "$1: $no_kernel"; fi
}

lint() {
	cd "$repo"
	with_kernel "rustfmt" "$testbed/format.sh" --check
	check "documentation" "$testbed/docs.sh" "$own/docs"
	check "shellcheck" "$testbed/enter" shellcheck -x carried/prepare.sh tools/testbed/*.sh tools/testbed/enter tools/testbed/vm .ci/run
	with_kernel "the module builds without warnings" module
	with_kernel "clippy: the module" module CLIPPY=1
	with_kernel "rustdoc: the module" module RUSTDOC_TOO=1
	with_kernel "safe code that would break memory does not build" "$testbed/misuse.sh"
	check "unsafe is where Documentation/unsafe.rst says" unsafe_is_documented
	check "rooms of the module import from those below only" "$testbed/rooms.sh"
	check "every file names its licence" every_file_has_a_licence
	with_kernel "make clean keeps what is not built" clean_keeps_sources
	check "licences of third-party crates" "$testbed/enter" tools/testbed/licences.py check
	cd tools
	compile clippy clippy --workspace --all-targets
	check "clippy: the tools" "$testbed/enter" cargo clippy -q --workspace --all-targets -- -D warnings
	check "rustdoc: the tools" "$testbed/enter" env RUSTDOCFLAGS="-D warnings" cargo doc -q --workspace --exclude fuzz --no-deps --document-private-items
	cd ..
	with_kernel "checkpatch" "$testbed/enter" perl "$kernel/scripts/checkpatch.pl" --no-tree --quiet --terse \
		--ignore SPDX_LICENSE_TAG --file Kbuild carried/crates.mk carried/printing.c carried/include/ap_bus.h helpers.c helpers.h trace.h layouts.c bindings_helper.h
}

# compile LOG WORD...: build the programs of a test with cargo, and print the progress. After a
# failure, the test reports the error.
compile() {
	(cargo_step "$own/$1.log" "compiling for $1" "${@:2}") || :
}

host() {
	cd "$repo/tools"
	suite "packages that the archive lists but does not have" 9 "$testbed/enter" "$testbed/fetch-test.sh" || :
	suite "kernels that the module cannot be built for" 30 "$testbed/check-kdir-test.sh" || :
	# The fuzz targets are built with other flags.
	local all=(test --workspace --exclude fuzz)
	compile tests "${all[@]}" --no-run
	suite "unit and property tests" 1 "$testbed/enter" cargo "${all[@]}" -q || :
}

# scenarios: print the number of scenarios for both drivers.
scenarios() {
	local n=0 file
	for file in "$repo"/tools/scenarios/*.sh; do
		case ${file##*/} in
		lib*.sh | demo.sh) ;;
		*) if grep -q '^# drivers: *[a-z]*$' "$file"; then n=$((n + 1)); else n=$((n + 2)); fi ;;
		esac
	done
	echo $n
}

# in_one_machine KERNEL FLAVOUR PATIENCE NAME...: run scenarios in one machine with a kernel of a
# kind.
in_one_machine() {
	local what="on $1" flavour=$2 patience=$3 names=("${@:4}")
	local name reason rc=0 good=0 list
	if [ "$(elapsed)" -gt 3300 ]; then
		count skipped "scenarios $what: there have been 55 minutes of tests already" ${#names[@]}
		return
	fi
	# This check runs separately, because a successful check prints nothing.
	if ! "$testbed/kernel.sh" "$flavour" >/dev/null 2> >(tee "$log.flavour" >&2); then
		sleep 0.5
		reason=$(sed -n 's/^error: //p' "$log.flavour" | tail -n 1)
		for name in "${names[@]}"; do
			count failed "$name $what: $reason"
		done
		return
	fi
	printf -v list '%s,' "${names[@]}"
	group env VM_FLAVOUR="$flavour" VM_PATIENCE="$patience" "$testbed/vm" \
		run in-one-machine --set ONLY="${list%,}" >"$log" 2>&1
	pid=$!
	waiting "scenarios $what" "$log" $pid
	wait $pid || rc=$?
	for name in "${names[@]}"; do
		if tr -d '\r' <"$log" | sed -n "/^== $name\$/,/^== /p" | grep -q '^passed: '; then
			good=$((good + 1)) passed=$((passed + 1))
			say "ok: $name $what"
		elif grep -q "^== $name" "$log"; then
			count failed "$name $what"
		else
			count failed "$name $what: not run"
		fi
	done
	if [ $rc != 0 ] && [ $good = ${#names[@]} ]; then
		count failed "$1 or the end of the run"
	fi
	[ $rc = 0 ] || cat "$log" >&2
}

# One scenario of each kind; `make test-debug` runs all.
debug() {
	in_one_machine "a debug kernel" debug 10 mixed-scan live-unassign reset-fails interruptions-end unmap
}

# The same for the kernel of Debian 13. `make test-debian` runs all scenarios.
debian() {
	in_one_machine "the kernel of Debian 13" debian "$VM_PATIENCE" conflict configuration-interrupt \
		debug-feature host-takes-back hotplug-adapter interruptions-end live-unassign load-unload \
		messages mixed-scan report reset-fails reset-never-ends tracepoints \
		unload-with-idle-mdevs unmap
	check "a layout that is not the kernel's is refused" wrong_layout_is_refused
}

# The bindings for that kernel, with one size changed.
wrong_layout_is_refused() {
	local kernel dir out
	kernel=$("$testbed/debian.sh")
	dir=$own/module-$(key "$kernel")
	sed '/"Size of ap_queue"/s/[0-9]*usize/1usize/' "$dir/bindings_generated.rs" >"$own/bindings"
	! cmp "$own/bindings" "$dir/bindings_generated.rs" || return 1
	! out=$("$testbed/enter" "$dir/carried/build/btf" check "$own/bindings" -- "$kernel/build/vmlinux" 2>&1) || return 1
	echo "$out"
	[[ $out == *"struct ap_queue is not that of the kernel: 1 bytes, and "* ]]
}

# The source prints the stream, which the destination takes.
two_machines() {
	local scenario=migration-between-machines stream
	"$testbed/vm" run $scenario | tee "$own/source"
	stream=$(tr -d '\r' <"$own/source" | sed -n 's/^@STREAM //p')
	[ -n "$stream" ] && "$testbed/vm" run $scenario --set "STREAM=$stream"
}

vm() {
	# The time limit then skips scenarios, and does not fail them.
	export VM_PATIENCE=${VM_PATIENCE:-3}
	local all
	all=$(scenarios)
	if [ -z "$kernel" ]; then
		count failed "scenarios in emulated machines: $no_kernel" "$all"
		count failed "scenarios on a debug kernel: $no_kernel" 5
		count failed "scenarios on the kernel of Debian 13: $no_kernel" 17
		count failed "a guest moves between two machines: $no_kernel"
		count failed "a random walk: $no_kernel"
		count failed "a bench runs: $no_kernel"
		return
	fi
	if suite "scenarios in emulated machines" "$all" "$testbed/vm" test ||
		[ -z "$("$testbed/kernel.sh" debug --plan)" ]; then
		debug
	else
		count skipped "scenarios on a debug kernel: not built, because scenarios have failed" 5
	fi
	debian
	check "a guest moves between two machines" two_machines
	check "a random walk" "$testbed/vm" walk --seed 1 --steps 300
	check "a bench runs" "$testbed/vm" bench probe --sizes 4 --runs 1
}

# Print the expected builds, and build the ingredients that a tier needs for its start.
for tier; do
	case $tier in
	lint | host | vm) ;;
	*) die "no tier '$tier': lint, host or vm" ;;
	esac
done
new=
[ -d "${CARGO_TARGET_DIR:-$own/target}" ] || new=1
room "$(
	if [ "$*" = host ]; then "$testbed/toolchain.sh" --plan; else "$testbed/kernel.sh" usual --plan; fi
	if [[ " $* " == *" vm "* ]]; then
		"$testbed/clients.sh" --plan
		"$testbed/kernel.sh" debug --plan
		"$testbed/debian.sh" --plan
		[ -z "$new" ] || echo "4 500 programs of the machine"
	fi
	[ -z "$new" ] || [[ " $* " != *" lint "* ]] || echo "2 600 the build for clippy"
	[ -z "$new" ] || [[ " $* " != *" host "* ]] || echo "4 900 unit tests"
)"
export VFIO_AP_RS_PLANNED=1
say "then the tests themselves: $(for tier; do
	case $tier in
	lint) echo "lint 2 min" ;;
	host) echo "host 1 min" ;;
	vm) echo "scenarios and walks 23 min" ;;
	esac
done | paste -sd, | sed 's/,/, /g')"
kernel='' no_kernel=''
if "$testbed/toolchain.sh" >/dev/null 2> >(tee "$log.toolchain" >&2); then
	warm_target
	if [[ " $* " == *" vm "* || " $* " == *" lint "* ]]; then
		kernel=$("$testbed/kernel.sh" 2> >(tee "$log.kernel" >&2)) || kernel=''
		sleep 0.5
		no_kernel="there is no kernel: $(sed -n 's/^error: //p' "$log.kernel" | tail -n 1)"
	fi
	for tier; do
		$tier
	done
else
	sleep 0.5
	reason="there is no toolchain: $(sed -n 's/^error: //p' "$log.toolchain" | tail -n 1)"
	for tier; do
		case $tier in
		lint) count failed "lint: $reason" \
			"$(sed -n '/^lint() {/,/^}/p' "$0" | grep -cE '^	(check|with_kernel) ')" ;;
		host) count failed "unit and property tests, and those of packages: $reason" 10 ;;
		vm) count failed "scenarios, a debug kernel, a walk, a bench: $reason" $(($(scenarios) + 23)) ;;
		esac
	done
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ] && [ $passed != 0 ]
