#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Build the driver for a kernel: module.sh DIR KDIR MAKE-FLAG... The build uses a copy of the
# sources, so it is independent of builds for other kernels.
. "$(dirname "$0")/lib.sh"

dir=$1 kdir=$2
shift 2
mkdir -p "$dir"
cd "$repo"
(
	flock 9
	for file in Kbuild Makefile ./*.rs ./{ap_bus,driver,linux,matrix}/*.rs ./*.[ch] bindgen_parameters dkms.conf \
		tools/testbed/check-kdir.sh $(find carried -type f ! -path 'carried/build/*'); do
		[[ $file != *_generated.rs ]] && [[ $file != *.mod.c ]] || continue
		# Unchanged files keep their times, so make does not rebuild them.
		cmp -s "$file" "$dir/$file" || install -D "$file" "$dir/$file"
	done
	"$testbed/enter" make -C "$dir" KDIR="$kdir" "$@"
) 9>"$dir/lock"
