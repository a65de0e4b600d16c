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
            ordering::Full,
            Atomic, //
        },
        Arc, //
    }, //
};

use crate::driver::Driver;

kernel::sync::global_lock! {
    // SAFETY: `Published::new` initialises it, once. `get` is called by callbacks of what is
    // registered after that.
    unsafe(uninit) static DRIVER: Mutex<Option<Arc<Driver>>> = None;
}

static INITIALISED: Atomic<bool> = Atomic::new(false);

/// The object can be found until this is dropped.
pub(crate) struct Published(());

impl Published {
    /// Publishes the object.
    pub(crate) fn new(driver: Arc<Driver>) -> Result<Self> {
        if INITIALISED.xchg(true, Full) {
            return Err(EBUSY);
        }
        // SAFETY: Not called before, as seen above.
        unsafe { DRIVER.init() };
        *DRIVER.lock() = Some(driver);
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
///
/// Must not be called before [`Published::new`].
pub(crate) fn get() -> Option<Arc<Driver>> {
    if INITIALISED.load(kernel::sync::atomic::ordering::Acquire) {
        DRIVER.lock().clone()
    } else {
        None
    }
}
