// SPDX-License-Identifier: GPL-2.0

//! C declarations that the kernel crate has no bindings for; see `bindgen_parameters`.
//!
//! For the abstraction modules only.

#![allow(
    clippy::all,
    clippy::as_underscore,
    clippy::cast_lossless,
    clippy::missing_safety_doc,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unnecessary_transmutes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

mod generated {
    use kernel::bindings::*;
    use kernel::ffi;
    use pin_init::{
        MaybeZeroable,
        Zeroable, //
    };

    // SAFETY: This is a newtype around the storage; bindgen does not derive it.
    unsafe impl<Storage: Zeroable> Zeroable for __BindgenBitfieldUnit<Storage> {}

    include!(concat!(env!("VFIO_AP_RS_OBJ"), "/bindings_generated.rs"));
}

pub(crate) use generated::*;
