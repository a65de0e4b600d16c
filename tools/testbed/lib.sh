# SPDX-License-Identifier: GPL-2.0
# Functions that the scripts of the testbed share: paths, progress, and the cache.
# shellcheck shell=bash

set -euo pipefail
shopt -s inherit_errexit

testbed=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$testbed/../.." && pwd)
cache=${VFIO_AP_RS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vfio-ap-rs}
mkdir -p "$cache"

# Scripts that a script calls use the same clock.
export VFIO_AP_RS_BEGUN=${VFIO_AP_RS_BEGUN:-$EPOCHSECONDS}

# elapsed: print the seconds since the start of the first script.
elapsed() { echo $((EPOCHSECONDS - VFIO_AP_RS_BEGUN)); }

# say TEXT...: print a line of progress with the time.
say() {
	local now
	now=$(elapsed)
	printf '[%3d:%02d] %s\n' $((now / 60)) $((now % 60)) "$*" >&2
}

# die TEXT...: print the error and its remedy, and exit.
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# key FILE-OR-TEXT...: print a short hash of the contents of files and of plain texts.
key() {
	local x
	for x in "$@"; do
		if [ -f "$x" ]; then cat "$x"; else printf '%s\n' "$x"; fi
	done | sha256sum | cut -c1-12
}

# The builds and the test results of this clone. Other clones have their own directories.
own=$cache/clone-$(key "$repo")

# make_own: create that directory.
make_own() {
	mkdir -p "$own"
	[ -e "$own/clone" ] || echo "$repo" >"$own/clone"
}

# lock DIRECTORY WHAT: lock the directory until this shell ends. Print a message if the lock is
# taken.
lock() {
	exec 9<"$1"
	if ! flock -n 9; then
		say "$2: waiting for another process that does the same"
		flock 9
	fi
}

# warm_target: create CARGO_TARGET_DIR. In a new clone, it starts as a copy of the directory of
# another clone, because external crates are the same. cargo rebuilds the rest.
warm_target() {
	local old file fd
	export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$own/target}
	make_own
	[ ! -d "$CARGO_TARGET_DIR" ] || return 0
	for old in "$cache"/clone-*/target "$cache"/target; do
		[ -d "$old" ] || continue
		(
			trap - EXIT
			# The lock keeps others from building there during the copy.
			while read -r file; do
				exec {fd}<"$file"
				flock -n -s "$fd" || exit 1
			done < <(find "$old" -maxdepth 3 -name '.cargo*lock')
			rm -rf "$CARGO_TARGET_DIR.half"
			progress "$own/copy.log" "taking over what was compiled for another clone" \
				cp -a --reflink=auto "$old" "$CARGO_TARGET_DIR.half"
			mv "$CARGO_TARGET_DIR.half" "$CARGO_TARGET_DIR"
		) && return
	done
	mkdir -p "$CARGO_TARGET_DIR"
}

# entry NAME COMMAND...: print the path of the cache directory NAME. If it does not exist, COMMAND
# fills a directory, whose path is its last argument. That directory becomes the entry by one
# rename(2) after COMMAND has succeeded, so an interrupted build never becomes an entry. A lock on
# the directory excludes other builders. The directory is empty, or with KEEP=1 has the files of an
# interrupted build.
entry() {
	local name=$1 dir=$cache/$1 half=$cache/$1.half
	shift
	while [ ! -d "$dir" ]; do
		(
			mkdir -p "$half"
			lock "$half" "$name"
			# Another builder may have renamed or removed the directory.
			[ ! -d "$dir" ] && [ "$half" -ef /proc/self/fd/9 ] || exit 0
			if [ -z "${KEEP:-}" ]; then
				find "$half" -xdev -mindepth 1 -delete
				trap 'rm -rf --one-file-system "$half"' EXIT
			fi
			"$@" "$half" >&2
			sync -f "$half"
			mv "$half" "$dir"
			trap - EXIT
		)
	done
	echo "$dir"
}

# group COMMAND...: start COMMAND in its own process group $!, which can be ended as a whole.
group() {
	set -m
	"$@" </dev/null &
	set +m
}

# progress LOG LABEL COMMAND...: run COMMAND with its output in LOG, and print the progress every 20
# seconds. The progress is the output of METER, a command that gets LOG as its last argument, or the
# last line of LOG. Lines that begin with "note: " are always printed. The process group of COMMAND
# ends with this shell. A subshell that calls this function needs its own trap for EXIT, or none.
progress() {
	local log=$1 label=$2 pid rc=0 note old_trap next=$((EPOCHSECONDS + 20))
	shift 2
	group "$@" >"$log" 2>&1
	pid=$!
	old_trap=$(trap -p EXIT | sed "s/^trap -- '\(.*\)' EXIT$/\1/")
	# shellcheck disable=SC2064 # what it is now
	trap "kill -- -$pid 2>/dev/null || :; $old_trap" EXIT
	while kill -0 $pid 2>/dev/null; do
		sleep 0.2
		if [ "$EPOCHSECONDS" -ge $next ]; then
			next=$((EPOCHSECONDS + 20))
			say "$label: $(${METER:-last_line} "$log" || :)"
		fi
	done
	wait $pid || rc=$?
	# shellcheck disable=SC2064
	trap "${old_trap:--}" EXIT
	while read -r note; do
		say "$label: $note"
	done < <(sed -n 's/^note: //p' "$log")
	if [ $rc != 0 ]; then
		tr '\r' '\n' <"$log" | grep -v '^ *Building \[' | tail -n 40 >&2
		die "$label failed; the whole log is $log"
	fi
}

# module_sources: print the Rust files of the module, as paths from the top directory.
module_sources() {
	(cd "$repo" && find . -maxdepth 1 -name '*.rs' ! -name '*_generated.rs' &&
		find ap_bus driver linux matrix -name '*.rs') | sed 's,^\./,,' | sort
}

# last_line LOG
last_line() { tr '\r' '\n' <"$1" | grep . | tail -n 1 | cut -c1-90; }

# crates LOG: print the progress of cargo.
crates() {
	tr '\r' '\n' <"$1" | sed -n 's,.*Building \[[=> ]*\] \([0-9]*\)/\([0-9]*\).*,\1 of \2 crates,p' | tail -n 1
}

# cargo_step LOG LABEL WORD...: run cargo in tools/, and print the progress.
cargo_step() {
	local log=$1 label=$2
	shift 2
	(
		trap - EXIT
		cd "$repo/tools"
		export CARGO_TERM_PROGRESS_WHEN=always CARGO_TERM_PROGRESS_WIDTH=100
		METER=crates progress "$log" "$label" "$testbed/enter" cargo "$@"
	)
}

# room LINES: print the expected time and space of builds. Each line is MINUTES MEGABYTES WHAT. Exit
# if the disk does not have enough space.
room() {
	local minutes megabytes what sum=0 all=0 text='' free
	while read -r minutes megabytes what; do
		[ -n "$what" ] || continue
		sum=$((sum + minutes)) all=$((all + megabytes))
		text+="${text:+, }$what ($minutes min, $((megabytes / 1000)).$((megabytes % 1000 / 100)) GB)"
	done < <(awk '!seen[$0]++' <<<"$1")
	[ -n "$text" ] || return 0
	say "the first run builds: $text"
	say "the builds take about $sum min on 2 cores, and $(((all + 999) / 1000)) GB in $cache"
	free=$(df -Pm "$cache" | awk 'END { print $4 }')
	[ "$free" -ge "$all" ] || die "the builds need $all MB in $cache, and $free MB are free." \
		"Free space, or set VFIO_AP_RS_CACHE to a directory on a larger disk."
}
