// SPDX-License-Identifier: GPL-2.0

//! The shared object, for callbacks without a context.
//!
//! The AP bus calls drivers about the host configuration without a pointer to the driver. These
//! callbacks find the shared object in a static, which owns a reference. [`Published`] drops that
//! reference, as statics are never dropped.

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
    // SAFETY: `Published::new` initialises it once. `get` uses it only after `READY` is set.
    unsafe(uninit) static DRIVER: Mutex<Option<Arc<VfioAp>>> = None;
}

/// `DRIVER` is initialised, or is being initialised.
static TAKEN: Atomic<bool> = Atomic::new(false);

/// `DRIVER` is initialised.
static READY: Atomic<bool> = Atomic::new(false);

/// The reference of the static to the object.
pub(crate) struct Published(());

impl Published {
    /// Publishes the object. This is possible once while the module is loaded.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it was done before.
    pub(crate) fn new(driver: Arc<VfioAp>) -> Result<Self> {
        if TAKEN.xchg(true, Full) {
            return Err(EBUSY);
        }
        // SAFETY: `TAKEN` ensures that this is called once.
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

/// Returns the object, if it is published.
pub(crate) fn get() -> Option<Arc<VfioAp>> {
    if READY.load(Acquire) {
        DRIVER.lock().clone()
    } else {
        None
    }
}
