# SPDX-License-Identifier: GPL-2.0
# Shared by the testbed's scripts: where things are kept, how progress is shown,
# and how a cache entry comes into being.
# shellcheck shell=bash

set -euo pipefail
shopt -s inherit_errexit

testbed=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034 # used by those who read this
repo=$(cd "$testbed/../.." && pwd)
cache=${VFIO_AP_RS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vfio-ap-rs}
mkdir -p "$cache"

# say TEXT...: one line of progress, with the time since the script began.
say() { printf '[%3d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*" >&2; }

# die TEXT...: what went wrong and what to do about it.
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# key FILE-OR-TEXT...: a short hash of the contents of files and of plain texts.
key() {
	local x
	for x in "$@"; do
		if [ -f "$x" ]; then cat "$x"; else printf '%s\n' "$x"; fi
	done | sha256sum | cut -c1-12
}

# entry NAME COMMAND...: print the path of the cache directory NAME. If it does
# not exist, COMMAND is run with the path of an empty directory as its last
# argument, and what it leaves there becomes the entry. The entry gets its name
# in one rename(2) after COMMAND has succeeded, so that what an interruption
# leaves behind is never mistaken for it; a lock keeps two builders apart.
entry() {
	local name=$1 dir=$cache/$1 half=$cache/$1.half
	shift
	if [ ! -d "$dir" ]; then
		(
			flock 9
			if [ ! -d "$dir" ]; then
				rm -rf "$half"
				mkdir "$half"
				"$@" "$half" >&2
				sync -f "$half"
				mv "$half" "$dir"
			fi
		) 9>"$cache/$name.lock"
		rm -f "$cache/$name.lock"
	fi
	echo "$dir"
}

# progress LOG LABEL COMMAND...: run COMMAND with its output in LOG, and show
# once in a while how many lines it has come along and what the last one is. Lines
# that begin with "note: " are shown in any case.
progress() {
	local log=$1 label=$2 pid rc=0 note
	shift 2
	"$@" >"$log" 2>&1 &
	pid=$!
	trap 'kill $pid 2>/dev/null || true' EXIT
	while kill -0 $pid 2>/dev/null; do
		sleep 1
		if [ $((SECONDS % 20)) = 0 ]; then
			say "$label: $(wc -l <"$log") lines, $(tail -n 1 "$log" | cut -c1-70)"
		fi
	done
	wait $pid || rc=$?
	trap - EXIT
	while read -r note; do
		say "$label: $note"
	done < <(sed -n 's/^note: //p' "$log")
	if [ $rc != 0 ]; then
		tail -n 40 "$log" >&2
		die "$label failed; the whole log is $log"
	fi
}

# module_sources: the Rust files of the module, as paths from the top.
module_sources() {
	(cd "$repo" && find . -maxdepth 1 -name '*.rs' ! -name '*_generated.rs' &&
		find ap_bus driver linux matrix -name '*.rs') | sed 's,^\./,,' | sort
}
