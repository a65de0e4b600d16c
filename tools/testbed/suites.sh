# SPDX-License-Identifier: GPL-2.0
# Sourced where packages are fetched: the suites of Debian's archive, and which is preferred.
# shellcheck shell=sh

# What is newer than a release, in the order in which it is taken.
newer_suites="forky sid"

# mirror_of SUITE: where this root has come from.
mirror_of() { sed -n "s/^deb \(\[[^]]*\] \)\?\([^ ]*\) $1 .*/\2/p" /etc/apt/sources.list | head -n 1; }

# more_sources OPTIONS MIRROR SUITE: where something is when it is not in SUITE as it should be.
more_sources() {
	echo "deb $1 ${2%/}-security $3-security main"
	for more in "$3-updates" "$3-backports" $newer_suites; do
		echo "deb $1 $2 $more main"
	done
}

# pin PACKAGE SUITE PRIORITY
pin() { printf 'Package: %s\nPin: release n=%s\nPin-Priority: %s\n\n' "$1" "$2" "$3"; }

# preferences SUITE [PREFERRED]: SUITE before its updates, those before its backports, and these
# before newer suites; but before all of them PREFERRED, if it is given.
preferences() {
	[ -z "${2:-}" ] || pin '*' "$2" 990
	pin '*' "$1" 900
	pin '*' "$1-security" 800
	pin '*' "$1-updates" 800
	[ "${2:-}" = "$1-backports" ] || pin '*' "$1-backports" 500
	priority=400
	for newer in $newer_suites; do
		pin '*' "$newer" $priority
		priority=$((priority - 10))
	done
}

# prefer_newer PACKAGE/SUITE: PACKAGE from SUITE, or from what is newer still.
prefer_newer() {
	priority=980 found=
	for newer in $newer_suites; do
		[ "$newer" != "${1#*/}" ] || found=1
		[ -z "$found" ] || pin "${1%/*}" "$newer" $priority
		priority=$((priority - 10))
	done
}

# configure DIR OPTIONS MIRROR SUITE PACKAGE[/NEWER]...: write what apt is to know below DIR.
configure() {
	apt=$1 etc=$1/etc/apt options=$2 mirror=$3 suite=$4
	shift 4
	mkdir -p "$etc/preferences.d" "$etc/sources.list.d" "$etc/apt.conf.d" "$apt/var/lib/dpkg"
	: >"$apt/var/lib/dpkg/status"
	cat >"$apt/apt.conf" <<-END
		Dir "$apt";
		Dir::State::Status "$apt/var/lib/dpkg/status";
		APT::Architecture "s390x";
		APT::Architectures "s390x";
		APT::Install-Recommends "false";
		Acquire::Check-Valid-Until "false";
		Debug::NoLocking "true";
	END
	preferences "$suite" >"$etc/preferences.d/suites"
	more_sources "$options" "$mirror" "$suite" >"$etc/more.list"
	echo "deb $options $mirror $suite main" >"$etc/sources.list"
	for package; do
		newer=${package#*/}
		[ "$newer" != "$package" ] || continue
		grep " $newer main" "$etc/more.list" >>"$etc/sources.list"
		sed -i "/ $newer main/d" "$etc/more.list"
		prefer_newer "$package" >>"$etc/preferences.d/newer"
	done
}
