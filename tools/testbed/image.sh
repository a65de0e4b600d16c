#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Print the path of the base of the machine's initramfs. It is a cpio archive with a static busybox
# for s390x and the directories of a root file system. The files that change during development
# (init, modules, programs of the machine, the scenario) are in a second archive, which the harness
# appends.
. "$(dirname "$0")/lib.sh"
. "$testbed/debs.sh"

root=$("$testbed/toolchain.sh")

# The commands inside the toolchain root. $1 is the directory with the package.
# shellcheck disable=SC2016
archive='
	set -eu
	cd "$1"
	mkdir root
	cd root
	mkdir -p bin sbin dev proc sys run tmp etc lib/modules usr/bin usr/sbin
	mv ../debs/bin/busybox bin/busybox
	ln -s busybox bin/sh
	find . -print0 | sort -z |
		cpio --quiet --null --create --format=newc --owner=0:0 --reproducible >../base.cpio
	rm -rf ../root ../debs
'

build() {
	say "image: busybox for s390x"
	mkdir "$1/debs"
	progress "$cache/image.log" "image" unpack_debs "$1/debs" busybox-static
	"$testbed/enter" sh -c "$archive" image "$1"
	[ -s "$1/base.cpio" ] || die "the image is empty"
}

dir=$(entry "image-$(key "$testbed/image.sh" "$testbed/debs.sh" "$testbed/suites.sh" "$(basename "$root")")" build)
echo "$dir/base.cpio"
