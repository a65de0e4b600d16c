// SPDX-License-Identifier: GPL-2.0

//! Bindings for C declarations that the kernel crate does not have. See `bindgen_parameters`.
//!
//! Only the abstractions use them.

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

    // SAFETY: The type is a newtype of the storage. bindgen does not derive the trait for it.
    unsafe impl<Storage: Zeroable> Zeroable for __BindgenBitfieldUnit<Storage> {}

    include!(concat!(env!("VFIO_AP_RS_OBJ"), "/bindings_generated.rs"));
}

pub(crate) use generated::*;

/// Offsets and sizes from the C compiler. See `layouts.c`.
pub(crate) mod layouts {
    include!(concat!(env!("VFIO_AP_RS_OBJ"), "/layouts_generated.rs"));
}

/// Compares offsets and sizes of bindgen with those of the C compiler, for all members that the
/// abstractions access.
const _: () = {
    use core::mem::offset_of;

    macro_rules! same {
        ($($name:ident = $value:expr;)*) => {
            $(assert!(layouts::$name == $value, stringify!($name));)*
        };
    }

    same! {
        AP_CONFIG_INFO = size_of::<ap_config_info>();
        AP_CONFIG_INFO_APM = offset_of!(ap_config_info, apm);
        AP_DEVICE_DEVICE = offset_of!(ap_device, device);
        AP_DEVICE_ID = size_of::<ap_device_id>();
        AP_DRIVER = size_of::<ap_driver>();
        AP_DRIVER_DRIVER = offset_of!(ap_driver, driver);
        AP_DRIVER_IDS = offset_of!(ap_driver, ids);
        AP_DRIVER_ON_SCAN_COMPLETE = offset_of!(ap_driver, on_scan_complete);
        AP_QUEUE_AP_DEV = offset_of!(ap_queue, ap_dev);
        AP_QUEUE_QID = offset_of!(ap_queue, qid);

        DEBUG_INFO_LEVEL = offset_of!(debug_info_t, level);

        KVM_GISA_ORIGIN = offset_of!(kvm, arch.gisa_int.origin);
        KVM_LOCK = offset_of!(kvm, lock);
        KVM_PQAP_HOOK = offset_of!(kvm, arch.crypto.pqap_hook);
        KVM_PQAP_HOOK_RWSEM = offset_of!(kvm, arch.crypto.pqap_hook_rwsem);
        KVM_RUN_GPRS = offset_of!(kvm_run, s.regs.gprs);
        KVM_VCPU_KVM = offset_of!(kvm_vcpu, kvm);
        KVM_VCPU_RUN = offset_of!(kvm_vcpu, run);
        KVM_VCPU_SIE_BLOCK = offset_of!(kvm_vcpu, arch.sie_block);

        MDEV_DEVICE_DEV = offset_of!(mdev_device, dev);
        MDEV_DRIVER = size_of::<mdev_driver>();
        MDEV_DRIVER_DRIVER = offset_of!(mdev_driver, driver);
        MDEV_DRIVER_PROBE = offset_of!(mdev_driver, probe);
        MDEV_PARENT = size_of::<mdev_parent>();
        MDEV_TYPE = size_of::<mdev_type>();
        MDEV_TYPE_KOBJ = offset_of!(mdev_type, kobj);

        VFIO_DEVICE = size_of::<vfio_device>();
        VFIO_DEVICE_DEV = offset_of!(vfio_device, dev);
        VFIO_DEVICE_DEVICE = offset_of!(vfio_device, device);
        VFIO_DEVICE_KVM = offset_of!(vfio_device, kvm);
        VFIO_DEVICE_OPS = offset_of!(vfio_device, ops);
        VFIO_DEVICE_OPERATIONS = size_of::<vfio_device_ops>();
        VFIO_DEVICE_OPERATIONS_REQUEST = offset_of!(vfio_device_ops, request);
    }
};
