# SPDX-License-Identifier: GPL-2.0
# Sourced by the scripts that make images for the machine. It fetches and unpacks Debian packages
# for s390x. The script executes no programs of the packages and does not need root. apt only
# downloads, with its own lists and state, and dpkg-deb unpacks.
#
# PACKAGE/SUITE comes from a newer suite than the other packages. Of its dependencies, only those
# come from this suite that the other suites do not have in the required version.
# shellcheck shell=bash

suite=trixie

# The commands inside the toolchain root.
# shellcheck disable=SC2016
unpack='
	set -eu
	testbed=$1 dir=$2 suite=$3
	shift 3
	. "$testbed/suites.sh"
	mirror=$(mirror_of "$suite")
	apt=$(mktemp -d -p "${dir%/*}" apt.XXXXXX)
	configure "$apt" "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" "$mirror" "$suite" "$@"
	APT_CONFIG=$apt/apt.conf "$testbed/fetch.sh" "$apt" install $(printf "%s\n" "$@" | sed s,/.*,,)
	echo "fetch: unpacking" >&2
	# The links of an installed system.
	mkdir -p "$dir"/usr/bin "$dir"/usr/sbin "$dir"/usr/lib "$dir"/usr/lib64
	ln -s usr/bin usr/sbin usr/lib usr/lib64 "$dir"
	for deb in "$apt"/var/cache/apt/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir" --keep-directory-symlink --no-same-owner \
			--exclude="./usr/share/doc/*" --exclude="./usr/share/info/*" \
			--exclude="./usr/share/man/*" --exclude="./usr/share/locale/*"
	done
	rm -rf "$apt"
'

# unpack_debs DIR PACKAGE...: fill the empty DIR with the files of packages for s390x and of all
# their dependencies. The scripts of the packages do not run.
unpack_debs() {
	local dir=$1
	shift
	# shellcheck disable=SC2154 # that is from lib.sh
	"$testbed/enter" sh -c "$unpack" debs "$testbed" "$dir" "$suite" "$@"
}
