#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Print the path of the toolchain root, a Debian trixie (with backports) made by
# mmdebstrap. Nothing outside the cache is changed, but for the three packages
# that make it possible, which are installed if we are root and asked for if not.
. "$(dirname "$0")/lib.sh"

suite=trixie

need_host_tools() {
	local missing=()
	command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
	command -v bwrap >/dev/null || missing+=(bubblewrap)
	[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
	[ ${#missing[@]} = 0 ] && return
	if [ "$(id -u)" = 0 ]; then
		say "installing ${missing[*]}"
		apt-get -qq update
		DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
	else
		die "this needs once, as root: apt-get install ${missing[*]}"
	fi
}

# The Debian mirror of this machine, if it has one; mmdebstrap knows the default.
mirror() {
	# shellcheck disable=SC2016 # the format is for apt
	apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(LABEL)' 2>/dev/null |
		awk '$2 == "Debian" && $3 == "Debian" { print $1; exit }'
}

build() {
	local root=$1 packages
	packages=$(grep -v '^#' "$testbed/packages" | paste -sd,)
	need_host_tools
	say "toolchain: Debian $suite and backports, about 2.5 GB unpacked"
	# Backports come from wherever mmdebstrap takes the release from. All goes
	# in one transaction: two suites in two transactions do not fit together.
	# shellcheck disable=SC2016,SC2046,SC2329 # the hook and "no mirror" are for mmdebstrap
	make_root() {
		mmdebstrap --variant=apt --format=tar --include="$packages" \
			--aptopt="APT::Default-Release \"$suite-backports\"" \
			--aptopt='APT::Install-Recommends "false"' \
			--dpkgopt='path-exclude=/usr/share/doc/*' \
			--dpkgopt='path-exclude=/usr/share/man/*' \
			--dpkgopt='path-exclude=/usr/share/locale/*' \
			--setup-hook='sed -n "s/ '"$suite"' / '"$suite"'-backports /p" "$1"/etc/apt/sources.list \
				>"$1"/etc/apt/sources.list.d/backports.list' \
			--skip=cleanup/apt/lists \
			"$suite" - $(mirror) |
			tar -x -C "$root" --no-same-owner --exclude='./dev/*'
	}
	progress "$cache/toolchain.log" toolchain make_root
	[ -e "$root/usr/bin/rustc" ] || die "the toolchain root has no rustc; see $cache/toolchain.log"
	chroot_versions "$root" >"$root/versions"
}

# PACKAGE VERSION of what decides about the results, as installed.
chroot_versions() {
	awk '/^Package: /{p=$2} /^Version: /{print p, $2}' "$1/var/lib/dpkg/status" |
		grep -E '^(rustc|bindgen|clang-[0-9]+|gcc-s390x-linux-gnu|linux-source-[0-9.]+|qemu-system-s390x) '
}

entry "toolchain-$(key "$testbed/packages" "$suite")" build
