// SPDX-License-Identifier: GPL-2.0

//! The end of an object that the driver core counts references to.
//!
//! An object may be used by whoever has a reference, also when its owner has given back his own. So
//! an owner whose code or memory goes away waits until the last reference is his.
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

/// Waits until nobody else has a reference, and gives back the last one, so that the object is
/// released here.
///
/// This waits for those who are about to give back what they have, so it must not be called with a
/// lock that they take. With `CONFIG_DEBUG_KOBJECT_RELEASE` the object is released some seconds later
/// even so: who needs to know has to look at what its release does.
///
/// # Safety
///
/// The caller owns a reference. Nobody can take one any more who has none, as the object can no
/// longer be found.
pub(crate) unsafe fn put_last(kobj: *mut bindings::kobject) {
    // SAFETY: The caller owns a reference. All accesses to the count are atomic.
    let count = unsafe { Atomic::from_ptr(&raw mut (*kobj).kref.refcount.refs.counter) };
    // Others have done with the object what they did before they gave their references back.
    while count.load(Acquire) != 1 {
        fsleep(Delta::from_millis(1));
    }
    // SAFETY: The caller owns a reference.
    unsafe { bindings::kobject_put(kobj) };
}
