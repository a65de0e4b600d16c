// SPDX-License-Identifier: GPL-2.0

//! The differences between versions of Linux. No other file of the module depends on a version.
//!
//! A kernel with `CONFIG_RUST` is Linux 7.3 or newer. For a kernel without it, `carried/prepare.sh`
//! reads the headers and sets these conditions:
//!
//! - `before_7_0`: Groups of attributes, and the binary attribute that a reader gets, are not constant.
//!   The driver core does not drop the data of a driver after a device is unbound.
//! - `before_7_2`: Attributes of devices are not constant.

use core::pin::Pin;

use kernel::{
    bindings,
    ffi,
    prelude::*,
    types::ForeignOwnable, //
};

/// Shows an attribute of a device.
pub(super) type Show = unsafe extern "C" fn(
    *mut bindings::device,
    *mut bindings::device_attribute,
    *mut ffi::c_char,
) -> isize;

/// Stores an attribute of a device.
pub(super) type Store = unsafe extern "C" fn(
    *mut bindings::device,
    *mut bindings::device_attribute,
    *const ffi::c_char,
    usize,
) -> isize;

/// Sets how an attribute is shown.
pub(super) const fn set_show(attribute: &mut bindings::device_attribute, show: Show) {
    #[cfg(not(before_7_2))]
    {
        attribute.__bindgen_anon_1.show = Some(show);
    }
    #[cfg(before_7_2)]
    {
        attribute.show = Some(show);
    }
}

/// Sets how an attribute is stored.
pub(super) const fn set_store(attribute: &mut bindings::device_attribute, store: Store) {
    #[cfg(not(before_7_2))]
    {
        attribute.__bindgen_anon_2.store = Some(store);
    }
    #[cfg(before_7_2)]
    {
        attribute.store = Some(store);
    }
}

/// Sets the attributes of a group.
pub(super) const fn set_attributes(
    group: &mut bindings::attribute_group,
    attributes: *mut *mut bindings::attribute,
) {
    #[cfg(not(before_7_0))]
    {
        group.__bindgen_anon_2.attrs = attributes;
    }
    #[cfg(before_7_0)]
    {
        group.attrs = attributes;
    }
}

/// The binary attribute that is being read.
#[cfg(not(before_7_0))]
pub(super) type ReadAttribute = *const bindings::bin_attribute;
/// The binary attribute that is being read.
#[cfg(before_7_0)]
pub(super) type ReadAttribute = *mut bindings::bin_attribute;

/// Drops the data of a device at the end of the callback that unbinds the device, if the driver core
/// does not.
///
/// # Safety
///
/// The data of the device must be a `T`, and must not be used after this call.
pub(crate) unsafe fn unbound<T: 'static>(dev: *mut bindings::device) {
    if cfg!(before_7_0) {
        // SAFETY: By the safety requirement.
        drop(unsafe { Pin::<KBox<T>>::from_foreign(bindings::dev_get_drvdata(dev)) });
    }
}
