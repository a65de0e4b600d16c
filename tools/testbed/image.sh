#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Print the path of the base of the machine's initramfs: a cpio archive with a
# static busybox for s390x and the directories of a root file system. All that
# changes while one works (init, modules, guest programs, the scenario) comes in
# a second archive, which the harness appends.
#
# Nothing of it is executed here, and it needs no root: apt only downloads, with
# lists and state of its own, and dpkg-deb unpacks.
. "$(dirname "$0")/lib.sh"

suite=trixie
root=$("$testbed/toolchain.sh")

# What runs inside the toolchain root; $1 is the directory to fill.
# shellcheck disable=SC2016
inside='
	set -eu
	dir=$1 suite=$2
	mkdir -p "$dir"/apt/lists/partial "$dir"/apt/cache/archives/partial "$dir"/root
	touch "$dir"/apt/status
	mirror=$(sed -n "s/^deb \([^ ]*\) $suite .*/\1/p" /etc/apt/sources.list | head -n 1)
	echo "deb [arch=s390x signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" \
		>"$dir"/apt/sources.list
	set -- -qq -o APT::Architecture=s390x -o APT::Architectures=s390x \
		-o Dir::Etc::SourceList="$dir"/apt/sources.list -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State::Lists="$dir"/apt/lists -o Dir::State::Status="$dir"/apt/status \
		-o Dir::Cache="$dir"/apt/cache -o Debug::NoLocking=1 -o APT::Sandbox::User=root \
		-o APT::Default-Release= -o APT::Install-Recommends=0
	apt-get "$@" update
	(cd "$dir"/apt && apt-get "$@" download busybox-static)
	dpkg-deb --fsys-tarfile "$dir"/apt/busybox-static_*.deb |
		tar -x -C "$dir"/root --strip-components=1 --wildcards "./*bin/busybox"
	cd "$dir"/root
	busybox=$(find . -name busybox -type f)
	mkdir -p bin sbin dev proc sys run tmp etc lib/modules usr/bin usr/sbin
	[ "$busybox" = ./bin/busybox ] || mv "$busybox" bin/busybox
	ln -s busybox bin/sh
	find . -print0 | sort -z |
		cpio --quiet --null --create --format=newc --owner=0:0 --reproducible >"$dir"/base.cpio
	rm -rf "$dir"/apt "$dir"/root
'

build() {
	say "image: busybox for s390x"
	"$testbed/enter" sh -c "$inside" image "$1" "$suite" ||
		die "busybox-static for s390x could not be fetched from Debian $suite"
	[ -s "$1/base.cpio" ] || die "the image is empty"
}

dir=$(entry "image-$(key "$testbed/image.sh" "$(basename "$root")")" build)
echo "$dir/base.cpio"
