// SPDX-License-Identifier: GPL-2.0
//! The C declarations: QEMU's plugin API, version 7, and the two GLib containers in its interface.
//!
//! The declarations are written by hand. The existing crates (`qemu-plugin-sys` and its users) end
//! at version 5, and QEMU 11.1 accepts only version 7. QEMU resolves all symbols when it loads the
//! plugin, so no library is linked.
//!
//! Source: include/plugins/qemu-plugin.h of QEMU 11.1.

use std::ffi::{c_char, c_int, c_uint, c_void};

/// The version of the API in these declarations.
pub(crate) const API_VERSION: c_int = 7;

/// `qemu_plugin_id_t`
pub(crate) type PluginId = u64;

/// `qemu_info_t`
#[repr(C)]
pub(crate) struct Info {
    pub(crate) target_name: *const c_char,
    pub(crate) min_version: c_int,
    pub(crate) current_version: c_int,
    pub(crate) system_emulation: bool,
    pub(crate) smp_vcpus: c_int,
    pub(crate) max_vcpus: c_int,
}

/// Declares types that are used only by address.
macro_rules! opaque {
    ($($name:ident)*) => { $(
        #[repr(C)]
        pub(crate) struct $name {
            _private: [u8; 0],
        }
    )* };
}

opaque!(TranslationBlock Instruction Register Scoreboard);

/// `qemu_plugin_reg_descriptor`
#[repr(C)]
pub(crate) struct RegisterDescriptor {
    pub(crate) handle: *mut Register,
    pub(crate) name: *const c_char,
    pub(crate) feature: *const c_char,
    pub(crate) is_readonly: bool,
}

/// `qemu_plugin_u64`: a member of each entry of a scoreboard.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct U64 {
    pub(crate) score: *mut Scoreboard,
    pub(crate) offset: usize,
}

/// `GByteArray`
#[repr(C)]
pub(crate) struct GByteArray {
    pub(crate) data: *mut u8,
    pub(crate) len: c_uint,
}

/// `GArray`
#[repr(C)]
pub(crate) struct GArray {
    pub(crate) data: *mut c_char,
    pub(crate) len: c_uint,
}

/// `enum qemu_plugin_cb_flags`: a callback's access to registers.
pub(crate) mod flags {
    use std::ffi::c_int;
    /// The callback reads and writes registers.
    pub(crate) const RW_REGS: c_int = 2;
    /// The callback reads and writes registers and sets the program counter.
    pub(crate) const RW_REGS_PC: c_int = 3;
}

/// `QEMU_PLUGIN_INLINE_ADD_U64`
pub(crate) const INLINE_ADD_U64: c_int = 0;

/// `QEMU_PLUGIN_COND_NE`
pub(crate) const COND_NE: c_int = 3;

/// `QEMU_PLUGIN_COND_GE`, for unsigned numbers.
pub(crate) const COND_GE: c_int = 7;

/// `QEMU_PLUGIN_DISCON_EXCEPTION`
pub(crate) const DISCON_EXCEPTION: c_int = 1 << 1;
/// `QEMU_PLUGIN_DISCON_ALL`
pub(crate) const DISCON_ALL: c_int = -1;

/// `qemu_plugin_udata_cb_t`
pub(crate) type Callback = extern "C" fn(*mut c_void);
/// `qemu_plugin_vcpu_udata_cb_t`
pub(crate) type VcpuCallback = extern "C" fn(c_uint, *mut c_void);
/// `qemu_plugin_vcpu_tb_trans_cb_t`
pub(crate) type TranslationCallback = extern "C" fn(*mut TranslationBlock, *mut c_void);
/// `qemu_plugin_vcpu_discon_cb_t`
pub(crate) type DiscontinuityCallback = extern "C" fn(c_uint, c_int, u64, u64, *mut c_void);

unsafe extern "C" {
    pub(crate) fn qemu_plugin_register_vcpu_init_cb(
        id: PluginId,
        cb: VcpuCallback,
        userdata: *mut c_void,
    );
    pub(crate) fn qemu_plugin_register_vcpu_tb_trans_cb(
        id: PluginId,
        cb: TranslationCallback,
        userdata: *mut c_void,
    );
    pub(crate) fn qemu_plugin_register_vcpu_discon_cb(
        id: PluginId,
        kind: c_int,
        cb: DiscontinuityCallback,
        userdata: *mut c_void,
    );
    pub(crate) fn qemu_plugin_register_atexit_cb(id: PluginId, cb: Callback, userdata: *mut c_void);
    pub(crate) fn qemu_plugin_register_vcpu_tb_exec_cond_cb(
        tb: *mut TranslationBlock,
        cb: VcpuCallback,
        flags: c_int,
        cond: c_int,
        entry: U64,
        imm: u64,
        userdata: *mut c_void,
    );
    pub(crate) fn qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(
        tb: *mut TranslationBlock,
        op: c_int,
        entry: U64,
        imm: u64,
    );
    pub(crate) fn qemu_plugin_register_vcpu_insn_exec_cb(
        insn: *mut Instruction,
        cb: VcpuCallback,
        flags: c_int,
        userdata: *mut c_void,
    );

    pub(crate) fn qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
        insn: *mut Instruction,
        op: c_int,
        entry: U64,
        imm: u64,
    );

    pub(crate) fn qemu_plugin_tb_n_insns(tb: *const TranslationBlock) -> usize;
    pub(crate) fn qemu_plugin_tb_vaddr(tb: *const TranslationBlock) -> u64;
    pub(crate) fn qemu_plugin_tb_get_insn(
        tb: *const TranslationBlock,
        index: usize,
    ) -> *mut Instruction;
    pub(crate) fn qemu_plugin_insn_data(
        insn: *const Instruction,
        dest: *mut c_void,
        len: usize,
    ) -> usize;
    pub(crate) fn qemu_plugin_insn_vaddr(insn: *const Instruction) -> u64;
    pub(crate) fn qemu_plugin_insn_haddr(insn: *const Instruction) -> *mut c_void;

    pub(crate) fn qemu_plugin_scoreboard_new(element_size: usize) -> *mut Scoreboard;
    pub(crate) fn qemu_plugin_scoreboard_find(
        score: *mut Scoreboard,
        vcpu_index: c_uint,
    ) -> *mut c_void;
    pub(crate) fn qemu_plugin_num_vcpus() -> c_int;
    pub(crate) fn qemu_plugin_u64_set(entry: U64, vcpu_index: c_uint, val: u64);

    pub(crate) fn qemu_plugin_get_registers() -> *mut GArray;
    pub(crate) fn qemu_plugin_read_register(handle: *mut Register, buf: *mut GByteArray) -> bool;
    pub(crate) fn qemu_plugin_write_register(handle: *mut Register, buf: *mut GByteArray) -> bool;
    pub(crate) fn qemu_plugin_set_pc(vaddr: u64) -> !;

    pub(crate) fn qemu_plugin_read_memory_vaddr(
        addr: u64,
        data: *mut GByteArray,
        len: usize,
    ) -> bool;
    pub(crate) fn qemu_plugin_write_memory_vaddr(addr: u64, data: *mut GByteArray) -> bool;
    pub(crate) fn qemu_plugin_read_memory_hwaddr(
        addr: u64,
        data: *mut GByteArray,
        len: usize,
    ) -> c_int;
    pub(crate) fn qemu_plugin_write_memory_hwaddr(addr: u64, data: *mut GByteArray) -> c_int;
    pub(crate) fn qemu_plugin_translate_vaddr(vaddr: u64, hwaddr: *mut u64) -> bool;

    pub(crate) fn g_byte_array_new() -> *mut GByteArray;
    pub(crate) fn g_byte_array_append(
        array: *mut GByteArray,
        data: *const u8,
        len: c_uint,
    ) -> *mut GByteArray;
    pub(crate) fn g_byte_array_unref(array: *mut GByteArray);
    pub(crate) fn g_array_unref(array: *mut GArray);
}
