#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Print the path of an ext4 file system with programs of Debian for s390x that use the driver.
# Scenarios with `image: clients` have it as a disk. With --plan, print the time and space of the
# build (see room in lib.sh). The packages are unpacked, but not configured.
. "$(dirname "$0")/lib.sh"
. "$testbed/debs.sh"

root=$("$testbed/toolchain.sh" --path)

# The commands inside the toolchain root. $1 is the directory with the packages.
# shellcheck disable=SC2016
file_system='
	set -eu
	cd "$1"/root
	mkdir -p dev proc sys run tmp etc/mdevctl.d
	rm -rf var/run var/lock
	ln -s /run var/run
	ln -s /run/lock var/lock
	# The results of the scripts of packages.
	[ -e usr/bin/awk ] || ln -s gawk usr/bin/awk
	[ -e usr/bin/sh ] || ln -s dash usr/bin/sh
	printf "%s:x:%s:%s::%s:/bin/sh\n" root 0 0 /root libvirt-qemu 64055 64055 /var/lib/libvirt \
		nobody 65534 65534 / >etc/passwd
	printf "%s:x:%s:\n" root 0 kvm 106 libvirt 107 libvirt-qemu 64055 nogroup 65534 >etc/group
	printf "%s: files\n" passwd group hosts >etc/nsswitch.conf
	echo "127.0.0.1 localhost" >etc/hosts
	echo clients >etc/hostname
	echo 0123456789abcdef0123456789abcdef >etc/machine-id
	cd ..
	size=$(du -sm root | cut -f 1)
	# Half of the size is added for the metadata of the file system and for writes of programs.
	mke2fs -q -t ext4 -O ^has_journal -E root_owner=0:0 -d root root.ext4 $((size * 3 / 2))M
	rm -rf root
'

build() {
	local packages
	mapfile -t packages < <(grep -v -e '^#' -e '^$' "$testbed/clients.packages")
	say "image: Debian's clients for s390x, about a minute"
	mkdir "$1/root"
	progress "$cache/clients.log" "image of the clients" unpack_debs "$1/root" "${packages[@]}"
	"$testbed/enter" sh -c "$file_system" clients "$1"
	[ -s "$1/root.ext4" ] || die "the image of the clients is empty"
}

name=clients-$(key "$testbed/clients.sh" "$testbed/debs.sh" "$testbed/suites.sh" \
	"$testbed/clients.packages" "$(basename "$root")")
if [ "${1:-}" = --plan ]; then
	[ -d "$cache/$name" ] || echo "1 900 Debian's clients"
	exit
fi
dir=$(entry "$name" build)
echo "$dir/root.ext4"
