// SPDX-License-Identifier: GPL-2.0

//! Virtual machines of KVM.
//!
//! Owns the reference to a virtual machine. Does not depend on the architecture.
//!
//! C header: [`include/linux/kvm_host.h`](srctree/include/linux/kvm_host.h)

use core::ptr::NonNull;

use kernel::sync::lock::{
    mutex::MutexBackend,
    Lock, //
};

use crate::bindings as b;

/// A reference to a virtual machine.
///
/// # Invariants
///
/// The pointer is valid, and this object owns one reference.
pub(crate) struct Kvm(NonNull<b::kvm>);

// SAFETY: A virtual machine is reference counted and has its own locks.
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
    /// Takes a reference to a virtual machine.
    ///
    /// # Safety
    ///
    /// `kvm` must be valid, and someone must hold a reference to it during this call.
    pub(crate) unsafe fn get(kvm: NonNull<b::kvm>) -> Self {
        // SAFETY: By the safety requirement.
        unsafe { b::kvm_get_kvm(kvm.as_ptr()) };
        // INVARIANT: The reference was taken above.
        Self(kvm)
    }

    /// Returns the lock of the virtual machine, `kvm->lock`.
    pub(crate) fn lock(&self) -> &Lock<(), MutexBackend> {
        // SAFETY: The mutex lives as long as the virtual machine.
        unsafe { Lock::from_raw(&raw mut (*self.0.as_ptr()).lock) }
    }

    /// Returns the C structure, which is valid as long as `self`.
    pub(crate) fn as_ptr(&self) -> *mut b::kvm {
        self.0.as_ptr()
    }
}
