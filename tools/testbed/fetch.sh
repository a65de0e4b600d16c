#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Download packages and all their dependencies, in available versions:
#
#   fetch.sh DIR COMMAND...    COMMAND is one of apt-get: install PACKAGE..., dist-upgrade
#
# DIR contains etc/apt, var/lib/apt and var/cache/apt. If DIR is not the root, APT_CONFIG refers to
# it. At the end, var/cache/apt/archives contains exactly the packages.
#
# The index of a mirror can list files that the mirror does not have. This happens on the days after
# a release, for some architectures. The script removes such a file from the lists, and apt looks
# for another solution, first in the configured suites, and then also in those of etc/apt/more.list.
# The priorities in etc/apt/preferences.d determine the order of suites. After a temporary error,
# the script tries again. After an installation, the lists contain only available files. A line that
# begins with "note: " reports each replacement.
#
# The script runs in the system that the packages are for: a complete or incomplete toolchain root,
# or this machine. It therefore needs only apt, awk and bash.
set -euo pipefail
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

dir=${1%/}
shift
lists=$dir/var/lib/apt/lists archives=$dir/var/cache/apt/archives more=$dir/etc/apt/more.list
tries=3 pause=${FETCH_PAUSE:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$lists/partial" "$archives/partial" "$work/empty/partial"
: >"$work/struck"

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

options=(-qq --yes -o Acquire::Retries=2 -o Acquire::GzipIndexes=false -o Acquire::Languages=none
	-o Dpkg::Use-Pty=0 -o APT::Sandbox::User=root)
# The older solver considers only the version with the highest priority of each package.
version=$(apt-get --version | awk '{ print int($2); exit }')
[ "${FETCH_SOLVER:-}" != old ] || version=2
[ "$version" -lt 3 ] || options+=(-o APT::Solver=3.0 -o APT::Solver::Strict-Pinning=false)
get() { apt-get "${options[@]}" "$@"; }

# The error messages of apt, without the lines that it adds to each.
complaints() { sed -n 's/^[EW]: \(Failed to fetch .*\)/\1/p' "$1"; }

# doing TEXT...: print the current step.
doing() { printf 'fetch: %s\n' "$*" >&2; }

# update TRIES: fetch the lists. Missing lists of some suites are ignored, but not those of all.
update() {
	local try
	for ((try = 1; ; try++)); do
		doing "the lists of suites"
		if get update >"$work/log" 2>&1 && [ -z "$(complaints "$work/log")" ]; then
			return
		fi
		[ "$try" -lt "$1" ] || break
		sleep "$pause"
	done
	complaints "$work/log" | sed -n 's,.*/dists/\([^ ]*\)/main/.*,\1,p' | sort -u | paste -sd' ' |
		sed 's/^/note: the archive has no list of /' >&2
	if ! find "$lists" -maxdepth 1 -name '*_Packages' | grep -q .; then
		cat "$work/log" >&2
		die "the archive has no lists of packages"
	fi
}

# names: print the names of the files in the output of --print-uris, in the form of an archive.
names() {
	local uri
	while read -r uri _; do
		[[ $uri == \'*\' ]] || continue
		decode "${uri:1:-1}"
	done
}

# decode URI: print the name of its file.
decode() {
	local name=${1##*/}
	printf '%b\n' "${name//%/\\x}"
}

# stanzas KEEP: keep the stanzas of the lists whose file is (1) or is not (0) in $work/files. Print
# the package, the version and the file of each removed stanza.
stanzas() {
	local list
	for list in "$lists"/*_Packages; do
		awk -v RS= -v ORS='\n\n' -v keep="$1" -v names="$work/files" -v left="$work/left" '
			BEGIN {
				RS = "\n"
				while ((getline name <names) > 0) known[name] = 1
				RS = ""
			}
			{
				file = package = version = ""
				n = split($0, lines, "\n")
				for (i = 1; i <= n; i++) {
					if (lines[i] ~ /^Package: /) package = substr(lines[i], 10)
					else if (lines[i] ~ /^Version: /) version = substr(lines[i], 10)
					else if (lines[i] ~ /^Filename: /) {
						file = lines[i]
						sub(/^.*[ \/]/, "", file)
					}
				}
				if ((file in known) == keep) print
				else if (!keep) printf "%s %s %s\n", package, version, file >left
			}
		' "$list" >"$work/list"
		cat "$work/list" >"$list"
	done
	rm -f "$dir"/var/cache/apt/*pkgcache.bin
}

# strike: remove the files in $work/files from the lists.
strike() {
	: >"$work/left"
	stanzas 0
	[ -s "$work/left" ] || die "the lists do not name $(paste -sd' ' "$work/files")"
	sort -u "$work/left" >>"$work/struck"
}

# add_more: add the other suites.
add_more() {
	[ -e "$more" ] || return 1
	mkdir -p "$dir/etc/apt/sources.list.d"
	mv "$more" "$dir/etc/apt/sources.list.d/more.list"
	# This fetches all lists again.
	update 1
	if [ -s "$work/struck" ]; then
		cut -d ' ' -f 3 "$work/struck" >"$work/files"
		stanzas 0
	fi
}

# promote: give the next suite priority for all packages, because the older solver takes only one
# version of a package.
promote() {
	local suite
	[ "$version" -lt 3 ] || return 1
	while read -r suite; do
		if [ ! -e "$work/promoted-$suite" ]; then
			touch "$work/promoted-$suite"
			printf 'Package: *\nPin: release n=%s\nPin-Priority: 995\n' "$suite" \
				>"$dir/etc/apt/preferences.d/00promoted"
			return
		fi
	done < <(cat "$dir"/etc/apt/sources.list.d/more.list 2>/dev/null |
		sed -n 's/^deb \(\[[^]]*\] \)\?[^ ]* \([^ ]*\) .*/\2/p')
	return 1
}

# hopeless: print the packages that cause the failure.
hopeless() {
	local package versions missing=()
	while read -r package; do
		if ! grep -qsx "Package: $package" "$lists"/*_Packages; then
			versions=$(awk -v p="$package" '$1 == p { print $2 }' "$work/struck" | sort -uV | paste -sd, | sed 's/,/, /g')
			missing+=("$package${versions:+ (not $versions)}")
		fi
	done < <({
		cut -d ' ' -f 1 "$work/struck"
		sed -n -e 's/^E: Unable to locate package \(.*\)/\1/p' \
			-e "s/^E: Package '\(.*\)' has no installation candidate/\1/p" "$work/log"
	} | sort -u)
	if [ ${#missing[@]} = 0 ]; then
		cat "$work/log" >&2
		die "the available packages of the archive cannot be installed together"
	fi
	printf -v missing '%s, ' "${missing[@]}"
	die "the archive has these packages in no version and no suite: ${missing%, }"
}

update $tries
failures=0
while :; do
	if ! get --print-uris "$@" >"$work/log" 2>&1; then
		add_more || promote || hopeless
		continue
	fi
	doing "$(grep -c "^'" "$work/log" || :) packages"
	if get --download-only "$@" >"$work/log" 2>&1; then
		break
	fi
	: >"$work/files"
	while read -r uri reason; do
		case $reason in
		*404* | *410* | *403* | *"File not found"* | *"Hash Sum mismatch"* | *"unexpected size"*)
			decode "$uri" >>"$work/files"
			;;
		esac
	done < <(sed -n 's/^E: Failed to fetch //p' "$work/log")
	if [ -s "$work/files" ]; then
		strike
		# The lists of the first suites are wrong, so the best version may be in another suite.
		add_more || true
		continue
	fi
	failures=$((failures + 1))
	if [ $failures = $tries ]; then
		cat "$work/log" >&2
		die "the archive answers with errors, see above"
	fi
	sleep "$pause"
done

# Remove the packages of an earlier solution.
get --print-uris -o Dir::Cache::Archives="$work/empty" "$@" | names >"$work/files"
for deb in "$archives"/*.deb; do
	# Names in the cache contain escaped colons. Names in the archive contain no epoch.
	name=${deb##*/}
	[ -e "$deb" ] || continue
	package=${name%%_*} rest=${name#*_}
	case $rest in *%3a*) rest=${rest#*%3a} ;; esac
	grep -qFx -e "${package}_$rest" "$work/files" || rm "$deb"
done

# The lists of available files leave an installation no choice, with any solver. An upgrade is
# excluded, because it does not fetch all packages.
[ "$1" != install ] || stanzas 1

if [ -s "$work/struck" ]; then
	replaced=() gone=0
	while read -r package wanted _; do
		found=$(find "$archives" -name "${package}_*.deb" | sed -e 's,.*/[^_]*_,,' -e 's/_[^_]*$//' -e 's/%3a/:/')
		if [ -n "$found" ]; then replaced+=("$package $found for $wanted"); else gone=$((gone + 1)); fi
	done < <(sort -u -k 1,1 "$work/struck")
	text="$(sort -u -k 1,1 "$work/struck" | wc -l) packages are in the lists of the archive but not in the archive; replacements:"
	shown=0
	for one in "${replaced[@]}"; do
		[ $shown -lt 3 ] || break
		text+="${shown:+ }$one,"
		shown=$((shown + 1))
	done
	text=${text%,}
	[ ${#replaced[@]} -le 3 ] || text+=", and $((${#replaced[@]} - 3)) more"
	[ $gone = 0 ] || text+="; $gone are no longer needed"
	echo "note: $text" >&2
fi
