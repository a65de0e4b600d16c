// SPDX-License-Identifier: GPL-2.0

//! The last reference to a kobject.
//!
//! Anyone with a reference may use an object, even after its owner has dropped the owner's reference.
//! An owner whose code or memory goes away must therefore wait for the other references.
//!
//! C header: [`include/linux/kobject.h`](srctree/include/linux/kobject.h)

use kernel::{
    bindings,
    sync::atomic::{
        Acquire,
        Atomic, //
    },
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// Waits until the caller has the only reference, and drops it.
///
/// The object is released by this call. With `CONFIG_DEBUG_KOBJECT_RELEASE` it is released some seconds
/// later; a caller that depends on the release must wait for an effect of it.
///
/// Must not be called with a lock that others need in order to drop their references.
///
/// # Safety
///
/// The caller must own a reference, and the object must no longer be reachable, so that no new
/// references can be taken.
pub(crate) unsafe fn put_last(kobj: *mut bindings::kobject) {
    // SAFETY: The caller owns a reference, so the object is valid. All accesses to the counter are
    // atomic.
    let count = unsafe { Atomic::from_ptr(&raw mut (*kobj).kref.refcount.refs.counter) };
    // Acquire: the accesses of others to the object come before they drop their references.
    while count.load(Acquire) != 1 {
        fsleep(Delta::from_millis(1));
    }
    // SAFETY: The caller owns a reference.
    unsafe { bindings::kobject_put(kobj) };
}
