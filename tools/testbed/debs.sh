# SPDX-License-Identifier: GPL-2.0
# Sourced by the scripts that make images for the machine: Debian packages for
# s390x. Nothing of them is executed here, and it needs no root: apt only
# downloads, with lists and state of its own, and dpkg-deb unpacks.
#
# PACKAGE/SUITE comes from a newer suite than the rest, and with it what it needs in a
# version that the rest does not have, and nothing else. The index of such a suite is
# signed, but may have expired: mirrors are seen to be weeks behind.
# shellcheck shell=bash

suite=trixie

# What runs inside the toolchain root.
# shellcheck disable=SC2016
unpack='
	set -eu
	dir=$1 suite=$2
	shift 2
	mirror=$(sed -n "s/^deb \([^ ]*\) $suite .*/\1/p" /etc/apt/sources.list | head -n 1)
	apt=$(mktemp -d -p "${dir%/*}" apt.XXXXXX)
	mkdir -p "$apt"/lists/partial "$apt"/archives/partial
	touch "$apt"/status
	options="arch=s390x signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
	echo "deb [$options] $mirror $suite main" >"$apt"/sources.list
	for newer in $(printf "%s\n" "$@" | sed -n "s,.*/,,p" | sort -u); do
		echo "deb [$options check-valid-until=no] $mirror $newer main" >>"$apt"/sources.list
	done
	get() {
		apt-get -qq -o APT::Architecture=s390x -o APT::Architectures=s390x \
			-o Dir::Etc::SourceList="$apt"/sources.list -o Dir::Etc::SourceParts=/dev/null \
			-o Dir::State::Lists="$apt"/lists -o Dir::State::Status="$apt"/status \
			-o Dir::Cache="$apt" -o Debug::NoLocking=1 -o APT::Sandbox::User=root \
			-o APT::Default-Release="$suite" -o APT::Solver::Strict-Pinning=false \
			-o APT::Install-Recommends=0 "$@"
	}
	get update
	get install --yes --download-only "$@"
	# As an installed system has them.
	mkdir -p "$dir"/usr/bin "$dir"/usr/sbin "$dir"/usr/lib "$dir"/usr/lib64
	ln -s usr/bin usr/sbin usr/lib usr/lib64 "$dir"
	for deb in "$apt"/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir" --keep-directory-symlink --no-same-owner \
			--exclude="./usr/share/doc/*" --exclude="./usr/share/info/*" \
			--exclude="./usr/share/man/*" --exclude="./usr/share/locale/*"
	done
	rm -rf "$apt"
'

# unpack_debs DIR PACKAGE...: fill the empty DIR with the files of packages for
# s390x and of all that they depend on. Their maintainers' scripts do not run.
unpack_debs() {
	local dir=$1
	shift
	# shellcheck disable=SC2154 # that is from lib.sh
	"$testbed/enter" sh -c "$unpack" debs "$dir" "$suite" "$@" ||
		die "these could not be fetched from Debian $suite for s390x: $*"
}
