#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Print the path of the toolchain root, a Debian trixie (with backports) made by
# mmdebstrap. Nothing outside the cache is changed, but for the packages
# that make it possible, which are installed if we are root and asked for if not.
#
#   toolchain.sh --path    print the path alone
#   toolchain.sh --plan    print what it takes: see room in lib.sh
. "$(dirname "$0")/lib.sh"

suite=trixie

need_host_tools() {
	local missing=()
	command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
	command -v bwrap >/dev/null || missing+=(bubblewrap)
	[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
	# Who is not root needs other users to be in the toolchain root.
	[ "$(id -u)" = 0 ] || command -v newuidmap >/dev/null || missing+=(uidmap)
	if [ ${#missing[@]} = 0 ]; then
		return
	elif [ "$(id -u)" = 0 ]; then
		say "installing ${missing[*]}"
		apt-get -qq update
		DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
	else
		die "this needs once, as root: apt-get install ${missing[*]}"
	fi
}

# What no package brings: that one may make namespaces, and has other users for them.
need_namespaces() {
	local user
	user=$(id -un)
	if [ "$(id -u)" = 0 ]; then
		bwrap --bind / / true 2>/dev/null ||
			die "bubblewrap may not make namespaces here. In Docker that needs" \
				"--cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined."
	else
		if ! bwrap --bind / / true 2>/dev/null; then
			if [ "$(cat /proc/sys/kernel/apparmor_restrict_unprivileged_userns 2>/dev/null)" = 1 ]; then
				die "AppArmor lets only root make namespaces, as Ubuntu has it since 24.04. This allows it:" \
					"sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
			fi
			die "bubblewrap may not make namespaces here. This may allow it:" \
				"sudo sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000"
		fi
		[ "$(cat /etc/subuid /etc/subgid 2>/dev/null | grep -c "^$user:")" -ge 2 ] ||
			die "$user has no users of its own in /etc/subuid and /etc/subgid. This gives it some:" \
				"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $user"
	fi
}

# need_temporary MEGABYTES: mmdebstrap keeps a root there that becomes an archive.
need_temporary() {
	local directory free
	for directory in "${TMPDIR:-/tmp}" /var/tmp; do
		free=$(df -Pm "$directory" | awk 'END { print $4 }')
		if [ "$free" -ge "$1" ]; then
			export TMPDIR=$directory
			return
		fi
	done
	die "mmdebstrap needs $1 MB for a while, and neither ${TMPDIR:-/tmp} nor /var/tmp has that." \
		"Set TMPDIR to a directory that everybody may enter and that has room."
}

# The Debian mirror of this machine, if it has one; mmdebstrap knows the default.
mirror() {
	# shellcheck disable=SC2016 # the format is for apt
	apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(LABEL)' 2>/dev/null |
		awk '$2 == "Debian" && $3 == "Debian" { print $1; exit }'
}

# Run by mmdebstrap before anything is downloaded; $1 is the root, $2 the testbed, $3 the suite.
# Backports come from wherever mmdebstrap takes the release from. What the root cannot do without
# is fetched by the apt of this machine, so that what cannot be had is replaced.
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

# Run by mmdebstrap before the rest is installed; $1 is the root, with an apt of its own, which
# need not prefer a suite as a whole.
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
	# Root owns what is in the root. For others it is a tar archive first, as files that belong to
	# other users would be in their way.
	# All goes in one transaction: two suites in two transactions do not fit together.
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
		# What it mounts is not to be seen here, and goes with it.
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

# PACKAGE VERSION of what decides about the results, as installed.
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
