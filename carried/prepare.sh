#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Prepare the carried crates for the kernel in KDIR, which has no CONFIG_RUST: prepare.sh KDIR KSRC BUILD.
# KSRC is a source tree of Linux, or an archive of one. The script copies the needed parts of KSRC to the
# directory BUILD, and edits them there for the kernel in KDIR.
set -euo pipefail

kdir=$(realpath "$1") ksrc=$(realpath "$2") build=$3
here=$(realpath "$(dirname "$0")")
release=$(cat "$kdir/include/config/kernel.release")

# The result depends on these inputs.
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
	# Debian's archives have one directory with the name of the archive.
	name=$(basename "${ksrc%.tar.*}")
	tar -x -f "$ksrc" -C "$build" --strip-components=1 "${parts[@]/#/$name/}"
fi

# has WORD HEADER: succeed if a header of the kernel has a word.
source=$kdir
[ ! -e "$kdir/source/Makefile" ] || source=$kdir/source
[ -e "$source/include/linux/kernel.h" ] || source=$(dirname "$(sed -n 's/^include //p' "$kdir/Makefile")")
has() { grep -qsw "$1" "$source/include/linux/$2"; }

# edited FILE: replace a file by the standard input, which must differ from the file.
edited() {
	cat >"$build/edited"
	! cmp -s "$build/edited" "$1" || { echo "error: nothing to edit in ${1#"$build"/}" >&2; exit 1; }
	mv "$build/edited" "$1"
}

# Leave out modules, and the attributes before them.
awk -v list="$here/left-out" '
	BEGIN { while ((getline name <list) > 0) if (name !~ /^#/) left["pub mod " name ";"] = 1 }
	/^#\[/ { held = held $0 "\n"; next }
	{ if (!($0 in left)) printf "%s%s\n", held, $0; held = "" }
' "$build/rust/kernel/lib.rs" | edited "$build/rust/kernel/lib.rs"

cfgs=(CONFIG_RUST CONFIG_RUST_OVERFLOW_CHECKS)
# Since 7.0 the driver core drops the data of a driver after all callbacks.
if ! has post_unbind_rust device/driver.h; then
	cfgs+=(before_7_0)
	sed 's/^\( *\)unsafe { (\*base)\.p_cb\.post_unbind_rust = Some(\(.*\)) };$/\1let _: (_, extern "C" fn(_)) = (base, \2);/' \
		"$build/rust/kernel/driver.rs" | edited "$build/rust/kernel/driver.rs"
fi
# Since 7.2 attributes of devices can be constant.
has show_const device.h || cfgs+=(before_7_2)

# Conditions that depend on the version of rustc.
version=$("${RUSTC:-rustc}" --version | awk '{ split($2, v, "."); print v[1] * 100000 + v[2] * 100 + v[3] }')
mapfile -t -O ${#cfgs[@]} cfgs < <(awk -v version="$version" '
	/^config RUSTC_HAS_/ { name = $2 }
	/def_bool RUSTC_VERSION >= / && name != "" { if (version >= $4) print "CONFIG_" name; name = "" }
' "$build/init/Kconfig")
printf -- '--cfg=%s\n' "${cfgs[@]}" >"$build/cfgs"

# The flags of each crate are those of rust/Makefile.
{
	echo "rustc-min-version = \$(shell [ $version -ge \$1 ] && echo y)"
	sed -n -e '/^cfgs-to-flags = /,/^rustdoc/ { /^rustdoc/!p }' \
		-e '/^redirect-intrinsics = /,/^$/p' "$build/rust/Makefile"
	sed -n '/^rust_allowed_features := /p' "$build/scripts/Makefile.build"
} >"$build/flags.mk"

# The assembly of a WARN for kernels that have no header with it.
if ! grep -qs ARCH_WARN_ASM "$source/arch/s390/include/asm/bug.h"; then
	cp "$here/warn-before-7.0.rs" "$build/rust/kernel/generated_arch_warn_asm.rs"
	touch "$build/warn-is-old"
fi
echo '""' >"$build/rust/kernel/generated_arch_reachable_asm.rs"

# The bindings include these headers, if the kernel has them. versions.h is the last header, and the
# constants are those of KSRC.
{
	sed 's,^\([a-z].*\)$,#if __has_include(<\1>)\n#include <\1>\n#endif,; s,^#  *,// ,' "$here/headers"
	echo '#include "versions.h"'
	grep RUST_CONST_HELPER "$build/rust/bindings/bindings_helper.h" | grep -Ev 'GENL|BLK_FEAT|GPU_BUDDY|=$'
} >"$build/rust/bindings/bindings_helper.h.new"
mv "$build/rust/bindings/bindings_helper.h.new" "$build/rust/bindings/bindings_helper.h"
echo '#include <uapi/asm-generic/ioctl.h>' >"$build/rust/uapi/uapi_helper.h"
# The bindings have all helpers of the list. Only the helpers before "Declared" are compiled.
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

# BTF of the modules that the module uses, from the running kernel or from the files of the modules.
# Without it, the types of these modules are not compared.
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
