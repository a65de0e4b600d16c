// SPDX-License-Identifier: GPL-2.0

//! File descriptors that are signalled.
//!
//! C header: [`include/linux/eventfd.h`](srctree/include/linux/eventfd.h)

use core::ptr::NonNull;

use kernel::{
    error::from_err_ptr,
    prelude::*, //
};

use crate::bindings as b;

/// A counted reference to the context of an eventfd.
///
/// # Invariants
///
/// The pointer is valid, and a count is owned.
pub(crate) struct EventFd(NonNull<b::eventfd_ctx>);

// SAFETY: Reference counted, with its own lock.
unsafe impl Send for EventFd {}
// SAFETY: As above.
unsafe impl Sync for EventFd {}

impl EventFd {
    /// Looks up a file descriptor of the current process.
    ///
    /// # Errors
    ///
    /// `EBADF` if there is none, `EINVAL` if it is something else.
    pub(crate) fn from_fd(fd: i32) -> Result<Self> {
        // SAFETY: Any number will do.
        let context = from_err_ptr(unsafe { b::eventfd_ctx_fdget(fd) })?;
        // INVARIANT: The count that the function has taken.
        NonNull::new(context).map(Self).ok_or(EBADF)
    }

    /// Adds one to its counter.
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
