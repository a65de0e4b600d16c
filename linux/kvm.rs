// SPDX-License-Identifier: GPL-2.0

//! A virtual machine of KVM.
//!
//! Owns a count of it. Knows nothing about architectures.
//!
//! C header: [`include/linux/kvm_host.h`](srctree/include/linux/kvm_host.h)

use core::ptr::NonNull;

use kernel::sync::lock::{
    mutex::MutexBackend,
    Lock, //
};

use crate::bindings as b;

/// A counted reference to a virtual machine.
///
/// # Invariants
///
/// The pointer is valid, and a count is owned.
pub(crate) struct Kvm(NonNull<b::kvm>);

// SAFETY: Reference counted, with its own locks.
unsafe impl Send for Kvm {}
// SAFETY: As above.
unsafe impl Sync for Kvm {}

impl Clone for Kvm {
    fn clone(&self) -> Self {
        // SAFETY: By the type invariant.
        unsafe { Self::get(self.0) }
    }
}

impl Drop for Kvm {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { b::kvm_put_kvm(self.0.as_ptr()) }
    }
}

impl Kvm {
    /// Takes a count of its own.
    ///
    /// # Safety
    ///
    /// `kvm` must be valid, with a count that somebody holds.
    pub(crate) unsafe fn get(kvm: NonNull<b::kvm>) -> Self {
        // SAFETY: By the safety requirement.
        unsafe { b::kvm_get_kvm(kvm.as_ptr()) };
        // INVARIANT: The count was taken just now.
        Self(kvm)
    }

    /// The lock of the VM, `kvm->lock`.
    pub(crate) fn lock(&self) -> &Lock<(), MutexBackend> {
        // SAFETY: The mutex lives as long as the VM.
        unsafe { Lock::from_raw(&raw mut (*self.0.as_ptr()).lock) }
    }

    /// The VM, which is valid as long as this lives.
    pub(crate) fn as_ptr(&self) -> *mut b::kvm {
        self.0.as_ptr()
    }
}
