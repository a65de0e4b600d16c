// SPDX-License-Identifier: GPL-2.0

//! The one object that callbacks without any context find.
//!
//! The AP bus calls a driver about the host configuration without saying which driver. So the
//! driver's object has to be found in a static; this module sees to it that the static holds a count
//! of its own, and that it is given back: statics are never dropped.

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Release, //
        },
        Arc, //
    }, //
};

use crate::driver::VfioAp;

kernel::sync::global_lock! {
    // SAFETY: `Published::new` initialises it, once. `get` does not use it before `READY` says so.
    unsafe(uninit) static DRIVER: Mutex<Option<Arc<VfioAp>>> = None;
}

/// Somebody initialises `DRIVER`, or has done so.
static TAKEN: Atomic<bool> = Atomic::new(false);

/// `DRIVER` is initialised.
static READY: Atomic<bool> = Atomic::new(false);

/// The object can be found until this is dropped.
pub(crate) struct Published(());

impl Published {
    /// Publishes the object. This can be done once as long as the module is loaded.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it was done before.
    pub(crate) fn new(driver: Arc<VfioAp>) -> Result<Self> {
        if TAKEN.xchg(true, Full) {
            return Err(EBUSY);
        }
        // SAFETY: Not called before, as seen above.
        unsafe { DRIVER.init() };
        *DRIVER.lock() = Some(driver);
        READY.store(true, Release);
        Ok(Self(()))
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let driver = DRIVER.lock().take();
        drop(driver);
    }
}

/// The object, if there is one.
pub(crate) fn get() -> Option<Arc<VfioAp>> {
    if READY.load(Acquire) {
        DRIVER.lock().clone()
    } else {
        None
    }
}
