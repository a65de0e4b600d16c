// SPDX-License-Identifier: GPL-2.0

//! What differs between versions of Linux, so that nothing else of the module has to know.
//!
//! A kernel with `CONFIG_RUST` is as new as can be. For one without it, `carried/prepare.sh` looks
//! into its headers and sets these:
//!
//! - `before_7_0`: a group of attributes is not constant, nor is what the reader of a binary attribute
//!   is given; and the driver core does not drop the data of a driver when a device was unbound.
//! - `before_7_2`: an attribute of a device is not constant.

use core::pin::Pin;

use kernel::{
    bindings,
    ffi,
    prelude::*,
    types::ForeignOwnable, //
};

/// Shows an attribute of a device.
pub(super) type Show = extern "C" fn(
    *mut bindings::device,
    *mut bindings::device_attribute,
    *mut ffi::c_char,
) -> isize;

/// Stores an attribute of a device.
pub(super) type Store = extern "C" fn(
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

/// Ends a callback of a driver by which a device is unbound.
///
/// # Safety
///
/// The device must have a `T` as its data, and nobody may use that after this.
pub(crate) unsafe fn unbound<T: 'static>(dev: *mut bindings::device) {
    if cfg!(before_7_0) {
        // SAFETY: By the safety requirement.
        drop(unsafe { Pin::<KBox<T>>::from_foreign(bindings::dev_get_drvdata(dev)) });
    }
}
