#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Print the imports between the rooms of the module, and fail if a room imports from one above it.
. "$(dirname "$0")/lib.sh"

# The rooms from the lowest to the highest. The bindings are below all rooms.
rooms=(matrix linux ap_bus driver vfio_ap_rs)

# place ROOM: print its number in that order.
place() {
	local i
	for i in "${!rooms[@]}"; do
		[ "${rooms[i]}" != "$1" ] || echo "$i"
	done
}

# imports FILE: print the rooms that it imports from, in `use crate::{...}` or by a path.
imports() {
	sed 's,//.*,,' "$1" | awk '
		/^use crate::\{/ { inside = 1; next }
		inside && /^\}/ { inside = 0 }
		inside && /^    [a-z]/ { sub(/^ */, ""); sub(/[^a-z_].*/, ""); print }
		{ while (match($0, /crate::[a-z_]+/)) {
			print substr($0, RSTART + 7, RLENGTH - 7); $0 = substr($0, RSTART + RLENGTH) } }'
}

arrows=$(
	module_sources | while read -r file; do
		from=${file%%/*}
		from=${from%.rs}
		imports "$repo/$file" | while read -r to; do
			[ "$from" = "$to" ] || [ -z "$(place "$to")" ] || [ -z "$(place "$from")" ] || echo "$from $to"
		done
	done | sort | uniq -c
)
up=0
while read -r count from to; do
	arrow='->'
	[ "$(place "$from")" -gt "$(place "$to")" ] || { arrow='-> (UP)' up=1; }
	printf '%-10s %s %-8s %3d\n' "$from" "$arrow" "$to" "$count"
done <<<"$arrows"
exit $up
