# SPDX-License-Identifier: GPL-2.0
# Shared by the testbed's scripts: where things are kept, how progress is shown,
# and how a cache entry comes into being.
# shellcheck shell=bash

set -euo pipefail
shopt -s inherit_errexit

testbed=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$testbed/../.." && pwd)
cache=${VFIO_AP_RS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vfio-ap-rs}
mkdir -p "$cache"

# The scripts that one calls go on with its clock.
export VFIO_AP_RS_BEGUN=${VFIO_AP_RS_BEGUN:-$EPOCHSECONDS}

# elapsed: seconds since the first script began.
elapsed() { echo $((EPOCHSECONDS - VFIO_AP_RS_BEGUN)); }

# say TEXT...: one line of progress, with the time.
say() {
	local now
	now=$(elapsed)
	printf '[%3d:%02d] %s\n' $((now / 60)) $((now % 60)) "$*" >&2
}

# die TEXT...: what went wrong and what to do about it.
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# key FILE-OR-TEXT...: a short hash of the contents of files and of plain texts.
key() {
	local x
	for x in "$@"; do
		if [ -f "$x" ]; then cat "$x"; else printf '%s\n' "$x"; fi
	done | sha256sum | cut -c1-12
}

# What is built from this clone, and what comes of its tests. Others have directories of their own.
own=$cache/clone-$(key "$repo")

# make_own: have that directory.
make_own() {
	mkdir -p "$own"
	[ -e "$own/clone" ] || echo "$repo" >"$own/clone"
}

# lock DIRECTORY WHAT: have it for oneself until this shell ends; tell who has to wait for it.
lock() {
	exec 9<"$1"
	if ! flock -n 9; then
		say "$2: waiting for another one that does the same"
		flock 9
	fi
}

# warm_target: have CARGO_TARGET_DIR. In a new clone it begins as a copy of that of another one,
# since the crates of others are the same; cargo sees what is not.
warm_target() {
	local old file fd
	export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$own/target}
	make_own
	[ ! -d "$CARGO_TARGET_DIR" ] || return 0
	for old in "$cache"/clone-*/target "$cache"/target; do
		[ -d "$old" ] || continue
		(
			trap - EXIT
			# Nobody builds there in the meantime.
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

# entry NAME COMMAND...: print the path of the cache directory NAME. If it does
# not exist, COMMAND is run with the path of a directory as its last argument, and
# what it leaves there becomes the entry. The entry gets its name in one rename(2)
# after COMMAND has succeeded, so that what an interruption leaves behind is never
# mistaken for it; a lock on the directory keeps two builders apart. It is empty,
# or with KEEP=1 what an interruption has left.
entry() {
	local name=$1 dir=$cache/$1 half=$cache/$1.half
	shift
	while [ ! -d "$dir" ]; do
		(
			mkdir -p "$half"
			lock "$half" "$name"
			# It may have got its name, or be gone, by now.
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

# group COMMAND...: start it in a group of processes of its own, $!, so that all of it can be ended.
group() {
	set -m
	"$@" </dev/null &
	set +m
}

# progress LOG LABEL COMMAND...: run COMMAND with its output in LOG, and show
# every 20 seconds how far it is: what METER prints, a command that gets LOG as its
# last argument, or else the last line. Lines that begin with "note: " are shown in
# any case. COMMAND's whole group of processes ends with this shell. A subshell that calls this
# has to have a trap for EXIT of its own, or none.
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

# module_sources: the Rust files of the module, as paths from the top.
module_sources() {
	(cd "$repo" && find . -maxdepth 1 -name '*.rs' ! -name '*_generated.rs' &&
		find ap_bus driver linux matrix -name '*.rs') | sed 's,^\./,,' | sort
}

# last_line LOG
last_line() { tr '\r' '\n' <"$1" | grep . | tail -n 1 | cut -c1-90; }

# crates LOG: how far cargo is.
crates() {
	tr '\r' '\n' <"$1" | sed -n 's,.*Building \[[=> ]*\] \([0-9]*\)/\([0-9]*\).*,\1 of \2 crates,p' | tail -n 1
}

# cargo_step LOG LABEL WORD...: run cargo in tools/, and show how far it is.
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

# room LINES: each of them is MINUTES MEGABYTES WHAT, and is ahead. Say so, and whether the
# disk has room for it.
room() {
	local minutes megabytes what sum=0 all=0 text='' free
	while read -r minutes megabytes what; do
		[ -n "$what" ] || continue
		sum=$((sum + minutes)) all=$((all + megabytes))
		text+="${text:+, }$what ($minutes min, $((megabytes / 1000)).$((megabytes % 1000 / 100)) GB)"
	done < <(awk '!seen[$0]++' <<<"$1")
	[ -n "$text" ] || return 0
	say "ahead, this time only: $text"
	say "that is about $sum min on 2 cores, and $(((all + 999) / 1000)) GB in $cache"
	free=$(df -Pm "$cache" | awk 'END { print $4 }')
	[ "$free" -ge "$all" ] || die "there is room for $free MB in $cache, and that takes $all MB." \
		"Make room, or set VFIO_AP_RS_CACHE to a directory on a larger disk."
}
