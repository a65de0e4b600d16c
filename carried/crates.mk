# SPDX-License-Identifier: GPL-2.0
#
# Compiles the crates that a Rust module needs, for the configuration of a kernel without CONFIG_RUST.
# The sources are in carried/build, where prepare.sh puts them. The linker adds the needed parts to the
# module. Documentation/carried-crates.rst has the design.

carried := $(obj)/carried/build
crates := $(carried)/rust

carried-includes := -I$(src)/carried -I$(src)/carried/include -I$(carried)/include

# The flags of each crate, from rust/Makefile of the kernel.
-include $(carried)/flags.mk

carried-rustflags := --edition=2021 -Zunstable-options -Zbinary_dep_depinfo=y \
	-Astable_features -Aunused_features -Cpanic=abort -Cembed-bitcode=n -Clto=n \
	-Cforce-unwind-tables=n -Ccodegen-units=1 -Csymbol-mangling-version=v0 \
	-Crelocation-model=static --target=s390x-unknown-none-softfloat -Zpacked-stack \
	-Ctarget-feature=+backchain \
	$(patsubst -march=%,-Ctarget-cpu=%,$(filter -march=%,$(KBUILD_CFLAGS))) -Copt-level=2 \
	-Cdebug-assertions=n -Coverflow-checks=y --sysroot=/dev/null \
	@$(objtree)/include/generated/rustc_cfg @$(carried)/cfgs
# The first Rust source among the prerequisites of a crate.
crate-root = $(firstword $(filter %.rs,$^))
carried-rustc = OBJTREE=$(abspath $(carried)) RUSTC_BOOTSTRAP=1 $(RUSTC)

# Procedural macros and their libraries run on the build machine.

carried-hostflags := --edition=2021 -O -Cstrip=debuginfo -Astable_features -L$(crates)/host

quiet_cmd_carried_host = RUSTC H $@
      cmd_carried_host = mkdir -p $(@D); $(carried-rustc) \
	$(filter-out $(crate-skip),$(carried-hostflags)) $(crate-flags) \
	--emit=dep-info=$(depfile) --emit=link=$@ --crate-type rlib \
	--crate-name $(patsubst lib%.rlib,%,$(notdir $@)) $(crate-root)

quiet_cmd_carried_macros = RUSTC P $@
      cmd_carried_macros = $(carried-rustc) $(carried-hostflags) $(crate-flags) \
	-Clinker-flavor=gcc -Clinker=$(HOSTCC) @$(carried)/cfgs --extern proc_macro \
	--extern proc_macro2 --extern quote --extern syn --emit=dep-info=$(depfile) \
	--emit=link=$@ --crate-type proc-macro --crate-name $(patsubst lib%.so,%,$(notdir $@)) $(crate-root)

host-libraries := $(addprefix $(crates)/host/,libproc_macro2.rlib libquote.rlib libsyn.rlib)
macros := $(addprefix $(crates)/,libmacros.so libpin_init_internal.so libzerocopy_derive.so)

$(crates)/host/libproc_macro2.rlib: private crate-flags = $(proc_macro2-flags)
$(crates)/host/libproc_macro2.rlib: $(crates)/proc-macro2/lib.rs
$(crates)/host/libquote.rlib: private crate-flags = $(quote-flags)
$(crates)/host/libquote.rlib: private crate-skip = $(quote-skip_flags)
$(crates)/host/libquote.rlib: $(crates)/quote/lib.rs $(crates)/host/libproc_macro2.rlib
$(crates)/host/libsyn.rlib: private crate-flags = $(syn-flags)
$(crates)/host/libsyn.rlib: $(crates)/syn/lib.rs $(crates)/host/libquote.rlib
$(host-libraries): FORCE
	+$(call if_changed_dep,carried_host)

$(crates)/libmacros.so: $(crates)/macros/lib.rs
$(crates)/libpin_init_internal.so: private crate-flags = $(pin_init_internal-flags)
$(crates)/libpin_init_internal.so: $(crates)/pin-init/internal/src/lib.rs
$(crates)/libzerocopy_derive.so: private crate-flags = $(zerocopy_derive-flags)
$(crates)/libzerocopy_derive.so: $(crates)/zerocopy-derive/lib.rs
$(macros): $(host-libraries) FORCE
	+$(call if_changed_dep,carried_macros)

# Bindings for the crates, and the helpers in C.

carried-c-flags = $(carried-includes) -DKBUILD_MODNAME='"carried"'

# $(1): the additional parameters.
carried-bindgen = $(BINDGEN) $< $(1) $(vfio-ap-bindgen-flags) -o $@ -- $(vfio-ap-bindgen-cflags) \
	$(carried-c-flags)
carried-bindgen-params = $(shell grep -Ehv '^\#|^$$' $(crates)/bindgen_parameters)

quiet_cmd_carried_bindings = BINDGEN $@
      cmd_carried_bindings = $(call carried-bindgen,$(carried-bindgen-params) \
	--blocklist-function '_copy_(from|to)_user'); \
	awk -f $(src)/carried/bindings.awk $@ >$@.new; mv $@.new $@

quiet_cmd_carried_uapi = BINDGEN $@
      cmd_carried_uapi = $(call carried-bindgen,$(carried-bindgen-params))

quiet_cmd_carried_helpers = BINDGEN $@
      cmd_carried_helpers = $(call carried-bindgen,--blocklist-type '.*' --allowlist-var '' \
	--allowlist-function 'rust_helper_.*'); \
	sed -Ei 's/pub fn rust_helper_(\w*)/\#[link_name="rust_helper_\1"]\n    pub fn \1/' $@

$(crates)/bindings/bindings_generated.rs: $(crates)/bindings/bindings_helper.h FORCE
	$(call if_changed_dep,carried_bindings)
$(crates)/uapi/uapi_generated.rs: $(crates)/uapi/uapi_helper.h FORCE
	$(call if_changed_dep,carried_uapi)
$(crates)/bindings/bindings_helpers_generated.rs: $(crates)/helpers/declared.c FORCE
	$(call if_changed_dep,carried_helpers)

# These objects are not traced, because the function tracer needs a table entry for each function.
carried-objects := $(crates)/helpers/needed.o $(obj)/carried/printing.o
$(carried-objects): private part-of-module := y
$(carried-objects): private ccflags-y += $(carried-includes) -ffunction-sections -Wno-missing-prototypes \
	-Wno-missing-declarations
$(carried-objects): private ccflags-remove-y += $(CC_FLAGS_FTRACE)

# The crates.

quiet_cmd_carried_crate = RUSTC L $@
      cmd_carried_crate = $(crate-envs) $(carried-rustc) \
	$(filter-out $(crate-skip),$(carried-rustflags)) -Zfunction-sections=y --cap-lints=allow \
	$(crate-flags) --emit=dep-info=$(depfile) --emit=obj=$@ \
	--emit=metadata=$(@D)/lib$(basename $(@F)).rmeta --crate-type rlib -L$(crates) \
	--crate-name $(basename $(@F)) $(crate-root) \
	$(if $(crate-objcopy),; $(OBJCOPY) $(crate-objcopy) $@)

crate-objects := $(addprefix $(crates)/,core.o compiler_builtins.o ffi.o zerocopy.o build_error.o \
	pin_init.o bindings.o uapi.o kernel.o)

$(crates)/core.o: private crate-flags = $(core-flags)
$(crates)/core.o: private crate-skip = $(core-skip_flags)
$(crates)/core.o: private crate-objcopy = \
	$(foreach symbol,$(redirect-intrinsics),--redefine-sym $(symbol)=__rust$(symbol))
$(crates)/core.o: $(shell $(RUSTC) --print sysroot)/lib/rustlib/src/rust/library/core/src/lib.rs

$(crates)/compiler_builtins.o: private crate-objcopy = -w -W '__*'
$(crates)/compiler_builtins.o: $(crates)/compiler_builtins.rs $(crates)/core.o

$(crates)/ffi.o: $(crates)/ffi.rs $(crates)/compiler_builtins.o

$(crates)/zerocopy.o: private crate-envs = $(zerocopy-envs)
$(crates)/zerocopy.o: private crate-flags = $(zerocopy-flags)
$(crates)/zerocopy.o: $(crates)/zerocopy/src/lib.rs $(crates)/compiler_builtins.o

$(crates)/build_error.o: $(crates)/build_error.rs $(crates)/compiler_builtins.o

$(crates)/pin_init.o: private crate-flags = $(pin_init-flags)
$(crates)/pin_init.o: $(crates)/pin-init/src/lib.rs $(crates)/compiler_builtins.o $(macros)

$(crates)/bindings.o: private crate-flags = --extern ffi --extern pin_init
$(crates)/bindings.o: $(crates)/bindings/lib.rs $(crates)/ffi.o $(crates)/pin_init.o \
	$(crates)/bindings/bindings_generated.rs $(crates)/bindings/bindings_helpers_generated.rs

$(crates)/uapi.o: private crate-flags = --extern ffi --extern pin_init
$(crates)/uapi.o: $(crates)/uapi/lib.rs $(crates)/ffi.o $(crates)/pin_init.o \
	$(crates)/uapi/uapi_generated.rs

$(crates)/kernel.o: private crate-flags = --extern ffi --extern pin_init --extern build_error \
	--extern macros --extern bindings --extern uapi --extern zerocopy --extern zerocopy_derive
$(crates)/kernel.o: $(crates)/kernel/lib.rs $(filter-out %/kernel.o,$(crate-objects)) $(macros) \
	$(crates)/kernel/generated_arch_warn_asm.rs

$(crate-objects): FORCE
	+$(call if_changed_dep,carried_crate)

# The assembly of a WARN has the form of the kernel's table, if the kernel has a header for it.
quiet_cmd_carried_asm = RSCPP   $@
      cmd_carried_asm = $(CPP) $(c_flags) -xc -C -P $< | sed '1,/^\/\/ Cut here.$$/d' >$@
$(crates)/kernel/generated_arch_warn_asm.rs: $(crates)/kernel/generated_arch_warn_asm.rs.S FORCE
	$(if $(wildcard $(src)/carried/build/warn-is-old),,$(call if_changed_dep,carried_asm))

# Compares the layouts that bindgen has computed with BTF of the kernel.

carried-layouts := $(obj)/bindings_generated.rs $(crates)/bindings/bindings_generated.rs

quiet_cmd_carried_layouts = BTF     $@
      cmd_carried_layouts = $(carried)/btf check $(carried-layouts) -- $$(cat $(carried)/btf-files) >$@; \
	cat $@

$(carried)/layouts: $(carried-layouts) $(carried)/btf-files FORCE
	$(call if_changed,carried_layouts)

# The module, and the parts of the crates that it needs.

quiet_cmd_carried_module = RUSTC [M] $@
      cmd_carried_module = RUST_MODFILE=vfio_ap $(carried-rustc) $(carried-rustflags) \
	--cfg MODULE $(RUSTFLAGS_vfio_ap_rs.o) -Zallow-features=$(rust_allowed_features) \
	-Zcrate-attr=no_std -Zcrate-attr='feature($(rust_allowed_features))' --extern pin_init \
	--extern kernel --extern zerocopy --extern zerocopy_derive --emit=dep-info=$(depfile) \
	--emit=obj=$@ --crate-type rlib --crate-name vfio_ap_rs -L$(crates) $<

$(obj)/vfio_ap_rs.o: $(src)/vfio_ap_rs.rs $(crates)/kernel.o $(carried)/layouts FORCE
	+$(call if_changed_dep,carried_module)

quiet_cmd_carried_link = LD [M]  $@
      cmd_carried_link = $(LD) $(ld_flags) -r --gc-sections -T $(src)/carried/carried.lds \
	$$($(NM) -u $(obj)/vfio_ap_rs.o | sed -n 's/.* U /-u /p') --print-gc-sections -o $@ \
	$(crate-objects) $(carried-objects) 2>$(carried)/dropped || { cat $(carried)/dropped; false; }; \
	$(OBJDUMP) -r -j __bug_table $(crates)/kernel.o | \
		awk -f $(src)/carried/lost.awk $(carried)/dropped -

$(obj)/carried.o: $(crate-objects) $(carried-objects) $(obj)/vfio_ap_rs.o \
		$(src)/carried/carried.lds $(src)/carried/lost.awk FORCE
	$(call if_changed,carried_link)

vfio_ap-y += carried.o

targets += $(patsubst $(obj)/%,%,$(host-libraries) $(macros) $(crate-objects) $(carried-objects) \
	$(crates)/bindings/bindings_generated.rs $(crates)/bindings/bindings_helpers_generated.rs \
	$(crates)/uapi/uapi_generated.rs $(crates)/kernel/generated_arch_warn_asm.rs $(carried)/layouts) vfio_ap_rs.o carried.o

# Builds mdev for a kernel without mediated devices.
ifndef CONFIG_VFIO_MDEV
obj-m += mdev.o
mdev-y := $(addprefix carried/build/drivers/vfio/mdev/,mdev_core.o mdev_sysfs.o mdev_driver.o)
$(addprefix $(obj)/,$(mdev-y)): private ccflags-y += -include $(src)/carried/versions.h -I$(src)/carried
endif
