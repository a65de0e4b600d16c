// SPDX-License-Identifier: GPL-2.0

//! File descriptors for event notification.
//!
//! C header: [`include/linux/eventfd.h`](srctree/include/linux/eventfd.h)

use core::ptr::NonNull;

use kernel::{
    error::from_err_ptr,
    prelude::*, //
};

use crate::bindings as b;

/// A reference to the context of an eventfd.
///
/// # Invariants
///
/// The pointer is valid, and this object owns one reference to the context.
pub(crate) struct EventFd(NonNull<b::eventfd_ctx>);

// SAFETY: The context is reference counted and has its own lock.
unsafe impl Send for EventFd {}
// SAFETY: As above.
unsafe impl Sync for EventFd {}

impl EventFd {
    /// Looks up a file descriptor of the current process.
    ///
    /// # Errors
    ///
    /// - `EBADF` if the descriptor is not open.
    /// - `EINVAL` if the descriptor is not an eventfd.
    pub(crate) fn from_fd(fd: i32) -> Result<Self> {
        // SAFETY: The function takes any number.
        let context = from_err_ptr(unsafe { b::eventfd_ctx_fdget(fd) })?;
        // INVARIANT: The function has taken a reference.
        NonNull::new(context).map(Self).ok_or(EBADF)
    }

    /// Adds one to the counter of the eventfd.
    pub(crate) fn signal(&self) {
        // SAFETY: By the type invariant.
        unsafe { b::eventfd_signal_mask(self.0.as_ptr(), 0) }
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { b::eventfd_ctx_put(self.0.as_ptr()) }
    }
}
