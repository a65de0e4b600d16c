#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Print the path of the toolchain root, a Debian trixie (with backports) made by
# mmdebstrap. Everything goes into the cache, except for the packages that mmdebstrap
# needs. Root installs them, and other users are asked to have them installed.
#
#   toolchain.sh --path    print the path without building it
#   toolchain.sh --plan    print the time and space that the build takes; see room in lib.sh
. "$(dirname "$0")/lib.sh"

suite=trixie

need_host_tools() {
	local missing=()
	command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
	command -v bwrap >/dev/null || missing+=(bubblewrap)
	[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
	# Other users need subordinate user ids for the owners of files in the toolchain root.
	[ "$(id -u)" = 0 ] || command -v newuidmap >/dev/null || missing+=(uidmap)
	if [ ${#missing[@]} = 0 ]; then
		return
	elif [ "$(id -u)" = 0 ]; then
		say "installing ${missing[*]}"
		apt-get -qq update
		DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
	else
		die "packages are missing. Install them as root: apt-get install ${missing[*]}"
	fi
}

# Check the permission to create namespaces, and the subordinate ids. No package brings these.
need_namespaces() {
	local user
	user=$(id -un)
	if [ "$(id -u)" = 0 ]; then
		bwrap --bind / / true 2>/dev/null ||
			die "bubblewrap may not create namespaces here. In Docker this takes" \
				"--cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined."
	else
		if ! bwrap --bind / / true 2>/dev/null; then
			if [ "$(cat /proc/sys/kernel/apparmor_restrict_unprivileged_userns 2>/dev/null)" = 1 ]; then
				die "AppArmor allows only root to create user namespaces, as is the default of Ubuntu 24.04" \
					"and later. To allow it until the next boot:" \
					"sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
			fi
			die "bubblewrap may not create user namespaces here. To allow it until the next boot:" \
				"sudo sysctl user.max_user_namespaces=10000," \
				"and on older Debian: sudo sysctl kernel.unprivileged_userns_clone=1"
		fi
		[ "$(cat /etc/subuid /etc/subgid 2>/dev/null | grep -c "^$user:")" -ge 2 ] ||
			die "$user has no subordinate ids in /etc/subuid and /etc/subgid. To add some:" \
				"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $user"
	fi
}

# need_temporary MEGABYTES: find a directory with so much space, where mmdebstrap keeps a root that
# becomes an archive.
need_temporary() {
	local directory free
	for directory in "${TMPDIR:-/tmp}" /var/tmp; do
		free=$(df -Pm "$directory" | awk 'END { print $4 }')
		if [ "$free" -ge "$1" ]; then
			export TMPDIR=$directory
			return
		fi
	done
	die "mmdebstrap temporarily needs $1 MB, and neither ${TMPDIR:-/tmp} nor /var/tmp has them." \
		"Set TMPDIR to a directory with enough space that all users may enter."
}

# Print the Debian mirror of this machine, if it has one. mmdebstrap knows the default.
mirror() {
	# shellcheck disable=SC2016 # the format is for apt
	apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(LABEL)' 2>/dev/null |
		awk '$2 == "Debian" && $3 == "Debian" { print $1; exit }'
}

# mmdebstrap runs this before it downloads anything; $1 is the root, $2 the testbed, $3 the suite.
# Backports come from the mirror of the release. The apt of this machine fetches the essential packages,
# and replaces missing ones.
# shellcheck disable=SC2016
before='
	set -eu
	. "$2"/suites.sh
	etc=$1/etc/apt
	line=$(sed -n "/^deb .* $3 /p" "$etc"/sources.list | head -n 1)
	printf "%s\n" "$line" | sed "s/ $3 / $3-backports /" >"$etc"/sources.list.d/backports.list
	options=$(printf "%s\n" "$line" | sed -n "s/^deb \(\[[^]]*\]\) .*/\1/p")
	uri=$(printf "%s\n" "$line" | sed "s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/")
	more_sources "$options" "$uri" "$3" | grep -v " $3-backports " >"$etc"/more.list
	preferences "$3" "$3-backports" >"$etc"/preferences.d/suites
	cp "$2"/fetch.sh "$1"/fetch.sh
	APT_CONFIG=$MMDEBSTRAP_APT_CONFIG "$2"/fetch.sh "$1" dist-upgrade
'

# mmdebstrap runs this before it installs the rest; $1 is the root. Its own apt need not prefer one
# suite for all packages.
# shellcheck disable=SC2016
rest='
	set -eu
	rm -f "$1"/etc/apt/preferences.d/00promoted
	chroot "$1" env -u APT_CONFIG -u TMPDIR /fetch.sh / install $(echo "$MMDEBSTRAP_INCLUDE" | tr , " ")
	rm "$1"/fetch.sh
'

build() {
	local root=$1 packages
	packages=$(grep -v '^#' "$testbed/packages" | paste -sd,)
	need_host_tools
	need_namespaces
	say "toolchain: Debian $suite and backports, about 2.5 GB unpacked"
	# Root makes a directory. Other users make a tar archive and unpack it, because they could not
	# remove files of other users.
	# Everything is installed in one transaction: two suites in two transactions do not fit together.
	# shellcheck disable=SC2046,SC2329 # "no mirror" is for mmdebstrap
	make_root() {
		local target=$1
		shift
		"${private[@]}" mmdebstrap --variant=apt --include="$packages" "$@" \
			--aptopt='APT::Install-Recommends "false"' \
			--aptopt='Acquire::Check-Valid-Until "false"' \
			--aptopt='Acquire::Languages "none"' \
			--dpkgopt=force-unsafe-io \
			--dpkgopt='path-exclude=/usr/share/doc/*' \
			--dpkgopt='path-exclude=/usr/share/man/*' \
			--dpkgopt='path-exclude=/usr/share/locale/*' \
			--setup-hook="sh -c '$before' before \"\$1\" '$testbed' '$suite'" \
			--skip=update \
			--essential-hook="sh -c '$rest' rest \"\$1\"" \
			"$suite" "$target" $(mirror)
	}
	# shellcheck disable=SC2329
	unpack_root() {
		make_root - --format=tar |
			tar -x -C "$root" --no-same-owner --exclude='./dev/*'
	}
	# shellcheck disable=SC2329
	megabytes() { echo "$(du -smx "$root" 2>/dev/null | cut -f 1) of about 2,500 MB"; }
	private=()
	if [ "$(id -u)" = 0 ]; then
		# Mounts of mmdebstrap stay in its own namespace.
		private=(unshare --mount)
		METER=megabytes progress "$cache/toolchain.log" toolchain make_root "$root" --format=directory
		rm -rf "${root:?}"/dev/*
	else
		need_temporary 3500
		progress "$cache/toolchain.log" toolchain unpack_root
	fi
	[ -e "$root/usr/bin/rustc" ] || die "the toolchain root has no rustc; see $cache/toolchain.log"
	chroot_versions "$root" >"$root/versions"
}

# Print PACKAGE VERSION of the installed packages that affect results.
chroot_versions() {
	awk '/^Package: /{p=$2} /^Version: /{print p, $2}' "$1/var/lib/dpkg/status" |
		grep -E '^(rustc|bindgen|clang-[0-9]+|gcc-s390x-linux-gnu|linux-source-[0-9.]+|qemu-system-s390x) '
}

name=toolchain-$(key "$testbed/packages" "$suite")
case ${1:-} in
--path) echo "$cache/$name" ;;
--plan) [ -d "$cache/$name" ] || echo "3 2600 a toolchain" ;;
*) entry "$name" build ;;
esac
