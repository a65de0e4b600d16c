// SPDX-License-Identifier: GPL-2.0

//! A virtual machine of KVM, as far as AP is concerned.
//!
//! Owns the commit of masks to the CRYCB and the hook for intercepted PQAP instructions. Knows
//! nothing about what the masks mean.
//!
//! C header: [`arch/s390/include/asm/kvm_host_s390.h`](srctree/arch/s390/include/asm/kvm_host_s390.h)

use core::{
    ops::Deref,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    ffi,
    prelude::*,
    sync::lock::{
        mutex::MutexBackend,
        Lock, //
    }, //
};

use crate::{
    bindings as b,
    matrix::Matrix,
    pqap::Status, //
};

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

    fn lock(&self) -> &Lock<(), MutexBackend> {
        // SAFETY: The mutex lives as long as the VM.
        unsafe { Lock::from_raw(&raw mut (*self.0.as_ptr()).lock) }
    }

    /// Commits masks to the CRYCB.
    ///
    /// Every vCPU is kicked out of SIE and kept out until the masks have changed.
    pub(crate) fn set_masks(&self, matrix: &Matrix) {
        let word = |words: &[u64; 4]| words.as_ptr().cast_mut().cast();
        let _guard = self.lock().lock();
        // SAFETY: Valid by the type invariant and locked as it has to be. The masks have 256 bits,
        // in this order, and are not written to.
        unsafe {
            b::kvm_arch_crypto_set_masks(
                self.0.as_ptr(),
                word(matrix.apm.words()),
                word(matrix.aqm.words()),
                word(matrix.adm.words()),
            )
        }
    }

    /// Commits empty masks to the CRYCB.
    pub(crate) fn clear_masks(&self) {
        let _guard = self.lock().lock();
        // SAFETY: As for `set_masks`.
        unsafe { b::kvm_arch_crypto_clear_masks(self.0.as_ptr()) }
    }
}

/// An intercepted PQAP instruction of a guest: what is in its general registers 0 to 2.
pub(crate) struct Request {
    /// The function and the APQN.
    pub(crate) gr0: u64,
    /// Operands of the function.
    pub(crate) gr1: u64,
    /// An address.
    pub(crate) gr2: u64,
}

/// Handles PQAP instructions that are intercepted.
pub(crate) trait PqapHandler {
    /// Executes the instruction on behalf of the guest.
    fn pqap(&self, request: &Request) -> Status;
}

/// What the C side points to, and what it leads to.
#[repr(C)]
struct Hooked<H> {
    /// First, so that a pointer to it is a pointer to all.
    hook: b::crypto_hook,
    handler: H,
}

/// A handler for the PQAP instructions of a VM, until it is dropped.
///
/// # Invariants
///
/// `kvm` has `hooked` as its hook.
pub(crate) struct Hook<H> {
    kvm: Kvm,
    hooked: Pin<KBox<Hooked<H>>>,
}

impl<H> Hook<H>
where
    H: Deref<Target: PqapHandler> + Send + Sync,
{
    /// Installs a handler.
    ///
    /// # Errors
    ///
    /// `EPERM` if the VM has one already.
    pub(crate) fn install(kvm: Kvm, handler: H) -> Result<Self> {
        let mut hooked = KBox::pin(
            Hooked {
                hook: Some(Self::callback),
                handler,
            },
            GFP_KERNEL,
        )?;
        // SAFETY: Nothing is moved.
        let hook = unsafe { &raw mut hooked.as_mut().get_unchecked_mut().hook };
        let old = replace_hook(&kvm, |old| if old.is_null() { hook } else { old });
        if !old.is_null() {
            return Err(EPERM);
        }
        // INVARIANT: Just installed.
        Ok(Self { kvm, hooked })
    }

    /// # Safety
    ///
    /// Only to be called by KVM, with the semaphore of the hook held.
    unsafe extern "C" fn callback(vcpu: *mut b::kvm_vcpu) -> ffi::c_int {
        // SAFETY: The vCPU is valid and loaded. The hook is ours, as it led to here, and `Hook`
        // does not go away while KVM holds the semaphore.
        let (hooked, gprs) = unsafe {
            let hook = (*(*vcpu).kvm).arch.crypto.pqap_hook;
            (
                &*hook.cast::<Hooked<H>>(),
                &mut (*(*vcpu).run).s.regs.gprs,
            )
        };
        let status = hooked.handler.pqap(&Request {
            gr0: gprs[0],
            gr1: gprs[1],
            gr2: gprs[2],
        });
        // KVM derives the condition code from it.
        gprs[1] = status.word().into();
        0
    }
}

impl<H> Hook<H> {
    /// The VM.
    pub(crate) fn kvm(&self) -> &Kvm {
        &self.kvm
    }
}

impl<H> Drop for Hook<H> {
    fn drop(&mut self) {
        // By the type invariant it is ours. A handler that is running is waited for.
        replace_hook(&self.kvm, |_| core::ptr::null_mut());
        let _ = &self.hooked;
    }
}

/// Replaces the hook by what `new` makes of it; returns the old one.
fn replace_hook(
    kvm: &Kvm,
    new: impl FnOnce(*mut b::crypto_hook) -> *mut b::crypto_hook,
) -> *mut b::crypto_hook {
    let kvm = kvm.0.as_ptr();
    // SAFETY: The VM is valid by the type invariant, and the semaphore guards the hook.
    unsafe {
        let semaphore = &raw mut (*kvm).arch.crypto.pqap_hook_rwsem;
        bindings::down_write(semaphore);
        let old = (*kvm).arch.crypto.pqap_hook;
        (*kvm).arch.crypto.pqap_hook = new(old);
        bindings::up_write(semaphore);
        old
    }
}
