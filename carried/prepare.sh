#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Prepare the crates that the module carries, for the kernel in KDIR, which has none: prepare.sh
# KDIR KSRC BUILD. From KSRC, a source tree of Linux or an archive of one, all that is needed goes to
# the directory BUILD, and is edited there as the kernel in KDIR wants it.
set -euo pipefail

kdir=$(realpath "$1") ksrc=$(realpath "$2") build=$3
here=$(realpath "$(dirname "$0")")
release=$(cat "$kdir/include/config/kernel.release")

# All that decides about the result.
id=$({
	echo "$kdir $release $ksrc" "$(stat -c '%s %Y' "$ksrc")" "$("${RUSTC:-rustc}" --version)"
	cat "$kdir/include/generated/autoconf.h" "$kdir/Module.symvers" \
		"$here"/{prepare.sh,btf.rs,headers,helpers,left-out,warn-before-7.0.rs}
} | sha256sum)
[ "$(cat "$build/id" 2>/dev/null)" != "$id" ] || exit 0
rm -rf "$build"
mkdir -p "$build/include"
trap 'rm -rf "$build"' EXIT

# The parts of the source.
parts=(rust drivers/s390/crypto/ap_bus.h drivers/vfio/mdev scripts/Makefile.build init/Kconfig)
echo "  UNPACK  $ksrc"
if [ -d "$ksrc" ]; then
	tar -c -C "$ksrc" --exclude='*.o' --exclude='*.so' --exclude='*.rmeta' --exclude='*.rlib' --exclude='.*.cmd' \
		--exclude='*_generated.*' "${parts[@]}" | tar -x -C "$build"
else
	# In Debian's archives all is in one directory with the name of the archive.
	name=$(basename "${ksrc%.tar.*}")
	tar -x -f "$ksrc" -C "$build" --strip-components=1 "${parts[@]/#/$name/}"
fi

# has TEXT HEADER: whether a header of the kernel has it.
source=$kdir
[ ! -e "$kdir/source/Makefile" ] || source=$kdir/source
[ -e "$source/include/linux/kernel.h" ] || source=$(dirname "$(sed -n 's/^include //p' "$kdir/Makefile")")
has() { grep -qsw "$1" "$source/include/linux/$2"; }

# edited FILE: the standard input becomes that file, which it has to differ from.
edited() {
	cat >"$build/edited"
	! cmp -s "$build/edited" "$1" || { echo "error: nothing to edit in ${1#"$build"/}" >&2; exit 1; }
	mv "$build/edited" "$1"
}

# Modules that need a kernel with more than the module does. An attribute goes with its module.
awk -v list="$here/left-out" '
	BEGIN { while ((getline name <list) > 0) if (name !~ /^#/) left["pub mod " name ";"] = 1 }
	/^#\[/ { held = held $0 "\n"; next }
	{ if (!($0 in left)) printf "%s%s\n", held, $0; held = "" }
' "$build/rust/kernel/lib.rs" | edited "$build/rust/kernel/lib.rs"

cfgs=(CONFIG_RUST CONFIG_RUST_OVERFLOW_CHECKS)
# 7.0: the driver core drops the data of a driver behind all callbacks.
if ! has post_unbind_rust device/driver.h; then
	cfgs+=(before_7_0)
	sed 's/^\( *\)unsafe { (\*base)\.p_cb\.post_unbind_rust = Some(\(.*\)) };$/\1let _: (_, extern "C" fn(_)) = (base, \2);/' \
		"$build/rust/kernel/driver.rs" | edited "$build/rust/kernel/driver.rs"
fi
# 7.2: attributes of devices can be constant.
has show_const device.h || cfgs+=(before_7_2)

# What the version of rustc decides.
version=$("${RUSTC:-rustc}" --version | awk '{ split($2, v, "."); print v[1] * 100000 + v[2] * 100 + v[3] }')
mapfile -t -O ${#cfgs[@]} cfgs < <(awk -v version="$version" '
	/^config RUSTC_HAS_/ { name = $2 }
	/def_bool RUSTC_VERSION >= / && name != "" { if (version >= $4) print "CONFIG_" name; name = "" }
' "$build/init/Kconfig")
printf -- '--cfg=%s\n' "${cfgs[@]}" >"$build/cfgs"

# The flags of each crate are those that the kernel compiles it with.
{
	echo "rustc-min-version = \$(shell [ $version -ge \$1 ] && echo y)"
	sed -n -e '/^cfgs-to-flags = /,/^rustdoc/ { /^rustdoc/!p }' \
		-e '/^redirect-intrinsics = /,/^$/p' "$build/rust/Makefile"
	sed -n '/^rust_allowed_features := /p' "$build/scripts/Makefile.build"
} >"$build/flags.mk"

# A WARN in Rust, in the form that the kernel's table of them has, where that does not say it.
if ! grep -qs ARCH_WARN_ASM "$source/arch/s390/include/asm/bug.h"; then
	cp "$here/warn-before-7.0.rs" "$build/rust/kernel/generated_arch_warn_asm.rs"
	touch "$build/warn-is-old"
fi
echo '""' >"$build/rust/kernel/generated_arch_reachable_asm.rs"

# Bindings are made of these headers, as far as the kernel has them. What is only declared for the
# crates comes last; the constants are those of the source.
{
	sed 's,^\([a-z].*\)$,#if __has_include(<\1>)\n#include <\1>\n#endif,; s,^#  *,// ,' "$here/headers"
	echo '#include "versions.h"'
	grep RUST_CONST_HELPER "$build/rust/bindings/bindings_helper.h" | grep -Ev 'GENL|BLK_FEAT|GPU_BUDDY|=$'
} >"$build/rust/bindings/bindings_helper.h.new"
mv "$build/rust/bindings/bindings_helper.h.new" "$build/rust/bindings/bindings_helper.h"
echo '#include <uapi/asm-generic/ioctl.h>' >"$build/rust/uapi/uapi_helper.h"
# Bindings are made of all helpers in the list; those that the module ends up with are compiled.
sed '/^#include "/d' "$build/rust/helpers/helpers.c" >"$build/rust/helpers/begin.h"
printf '#define RUST_HELPERS\n#include "versions.h"\n' >>"$build/rust/helpers/begin.h"
sed -n 's/^\([a-z].*\)/#include "\1.c"/p' "$here/helpers" | sed '1i #include "begin.h"' >"$build/rust/helpers/declared.c"
sed '/^# Declared/,$d' "$here/helpers" | sed -n 's/^\([a-z].*\)/#include "\1.c"/p' |
	sed '1i #include "begin.h"' >"$build/rust/helpers/needed.c"

# The header of the AP bus is private. Its types come from BTF of the kernel, and the constants of
# the architecture from KSRC.
btf=$kdir/vmlinux
[ -e "$btf" ] || btf=/sys/kernel/btf/vmlinux
"${RUSTC:-rustc}" --edition 2021 -O -o "$build/btf" "$here/btf.rs"
{
	"$build/btf" declare ap_dev_state ap_sm_state ap_device ap_driver ap_queue ap_perms -- "$btf"
	grep -E '^#define AP_(RESPONSE|DEVICE_TYPE)_' "$build/drivers/s390/crypto/ap_bus.h"
	! grep -qw ap_perms_mutex "$kdir/Module.symvers" || echo '#define AP_PERMS_MUTEX'
} >"$build/include/ap_bus_types.h"

# BTF of the modules that the module works with: of the running kernel, or in the files of modules.
# Without them, what only they know is not proved.
files=("$btf")
for name in kvm vfio; do
	file=/sys/kernel/btf/$name
	if [ "$release" != "$(uname -r)" ] || [ ! -e "$file" ]; then
		file=$(find "${BTFDIR:-/lib/modules/$release}" -name "$name.ko*" 2>/dev/null | head -n 1)
		case $file in
		"") continue ;;
		*.xz) xz -dc "$file" >"$build/$name.ko" ;;
		*.zst) zstd -dcq "$file" >"$build/$name.ko" ;;
		*) cp "$file" "$build/$name.ko" ;;
		esac
		file=$build/$name.ko
	fi
	files+=("$(realpath "$file")")
done
echo "${files[*]}" >"$build/btf-files"

echo "$id" >"$build/id"
trap - EXIT
