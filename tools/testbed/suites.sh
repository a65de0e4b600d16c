# SPDX-License-Identifier: GPL-2.0
# Sourced by scripts that fetch packages. It has the suites of Debian's archive and their
# priorities.
# shellcheck shell=sh

# The suites that are newer than a release, in the order of preference.
newer_suites="forky sid"

# mirror_of SUITE: print the mirror that this root has come from.
mirror_of() { sed -n "s/^deb \(\[[^]]*\] \)\?\([^ ]*\) $1 .*/\2/p" /etc/apt/sources.list | head -n 1; }

# more_sources OPTIONS MIRROR SUITE: print the sources for packages that SUITE lacks.
more_sources() {
	echo "deb $1 ${2%/}-security $3-security main"
	for more in "$3-updates" "$3-backports" $newer_suites; do
		echo "deb $1 $2 $more main"
	done
}

# pin PACKAGE SUITE PRIORITY
pin() { printf 'Package: %s\nPin: release n=%s\nPin-Priority: %s\n\n' "$1" "$2" "$3"; }

# preferences SUITE [PREFERRED]: print the priorities: PREFERRED, SUITE, its updates, its backports,
# and newer suites, in this order.
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

# prefer_newer PACKAGE/SUITE: take PACKAGE from SUITE or a newer suite.
prefer_newer() {
	priority=980 found=
	for newer in $newer_suites; do
		[ "$newer" != "${1#*/}" ] || found=1
		[ -z "$found" ] || pin "${1%/*}" "$newer" $priority
		priority=$((priority - 10))
	done
}

# configure DIR OPTIONS MIRROR SUITE PACKAGE[/NEWER]...: write the configuration of apt below DIR.
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
		# An earlier package may have added this suite.
		if ! grep -q " $newer main" "$etc/sources.list"; then
			grep " $newer main" "$etc/more.list" >>"$etc/sources.list"
			sed -i "/ $newer main/d" "$etc/more.list"
		fi
		prefer_newer "$package" >>"$etc/preferences.d/newer"
	done
}
