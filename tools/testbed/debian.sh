#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Print the path of a directory with an unmodified kernel of Debian for the emulated machine. The
# kernel and its modules are in the same places as with kernel.sh. `build` has the contents of the
# packages of headers, for building the driver.
#
#   debian.sh --plan          print the time and space of the build (see room in lib.sh)
#   debian.sh --make-flags    print the arguments of make for this kernel
. "$(dirname "$0")/lib.sh"

suite=trixie series=6.12
case ${1:-} in
--make-flags)
	echo "BTFDIR=$(exec "$0")"
	exit
	;;
esac

# The modules that a machine loads, and their dependencies.
modules=(irqbypass vfio vfio_iommu_type1 kvm zcrypt zcrypt_cex4)

# The commands inside the toolchain root. The headers contain programs for the build host. apt is
# told that the dependencies of the headers and of the kernel are installed. If the archive lists a
# newer kernel than it has, the script takes an older one of the same series.
# shellcheck disable=SC2016
fetch='
	set -eu
	testbed=$1 dir=$2 suite=$3 series=$4
	. "$testbed/suites.sh"
	apt=$dir/apt
	configure "$apt" "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" "$(mirror_of "$suite")" "$suite"
	sed -i "/ $suite-\(security\|updates\) /!d" "$apt/etc/apt/more.list"
	native=$(dpkg --print-architecture)
	cat >>"$apt/apt.conf" <<-END
		APT::Architecture "$native";
		#clear APT::Architectures;
		APT::Architectures { "$native"; "s390x"; };
	END
	cat >"$apt/var/lib/dpkg/status" <<-END
		Package: toolchain-root
		Status: install ok installed
		Maintainer: nobody
		Architecture: all
		Multi-Arch: foreign
		Version: 1
		Provides: kmod, linux-base (= 99), initramfs-tools (= 99), gcc-14, pahole, libc6 (= 99), libelf1t64 (= 99), libssl3t64 (= 99), zlib1g (= 2:99)
		Description: what is there already

	END
	export APT_CONFIG=$apt/apt.conf
	apt-get -qq update
	found=
	for headers in $(apt-cache pkgnames "linux-headers-$series" | grep -- "-s390x$" | sort -rV); do
		release=${headers#linux-headers-}
		if "$testbed/fetch.sh" "$apt" install "linux-image-$release:s390x" "$headers:s390x"; then
			found=$release
			break
		fi
		echo "note: the archive names Linux $release, but does not have it"
	done
	[ -n "$found" ] || { echo "the archive has no Linux $series for s390x" >&2; exit 1; }
	for deb in "$apt"/var/cache/apt/archives/linux-*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir" --no-same-owner --exclude="./usr/share/*"
	done
	rm -r "$apt"
	cd "$dir"
	for name in $modules; do
		file=$(find . -name "$name.ko" -o -name "$name.ko.xz" | head -n 1)
		in_tree=${file#*/kernel/}
		mkdir -p "$(dirname "$in_tree")"
		case $file in
		*.xz) xz -dc "$file" >"${in_tree%.xz}" ;;
		*) cp "$file" "$in_tree" ;;
		esac
	done
	mkdir -p arch/s390/boot
	mv "boot/vmlinuz-$found" arch/s390/boot/bzImage
	rm -rf boot lib usr/lib/modules
	ln -s "usr/src/linux-headers-$found" build
	# The headers refer to the directory of their installation.
	sed -i "s,^include /usr/src/,include $5/usr/src/," build/Makefile
	echo "$found" >release
'

build() {
	say "Debian's own kernel of $suite, with its headers"
	progress "$cache/debian.log" "Debian's kernel" "$testbed/enter" env modules="${modules[*]}" \
		sh -c "$fetch" fetch "$testbed" "$1" "$suite" "$series" "$cache/$name"
}

name=debian-$suite-$(key "$testbed/debian.sh" "$testbed/suites.sh" "$testbed/fetch.sh")
if [ "${1:-}" = --plan ]; then
	[ -d "$cache/$name" ] || echo "1 150 Debian's own kernel"
	exit
fi
"$testbed/toolchain.sh" >/dev/null
entry "$name" build
