// SPDX-License-Identifier: GPL-2.0

//! A virtual machine of KVM, as far as AP is concerned.
//!
//! Owns the commit of masks to the CRYCB and the hook for intercepted PQAP instructions. Knows
//! nothing about what the masks mean.
//!
//! C header: [`arch/s390/include/asm/kvm_host_s390.h`](srctree/arch/s390/include/asm/kvm_host_s390.h)

use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    error::to_result,
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

/// The registration of an interruption subclass of a guest for alerts, until it is dropped.
///
/// # Invariants
///
/// `guest_isc` is registered with `kvm`, and one registration is ours.
pub(crate) struct Gisc {
    kvm: Kvm,
    guest_isc: u8,
    host_isc: u8,
}

impl Gisc {
    /// Registers a subclass.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the VM has no guest interruption state area.
    pub(crate) fn register(kvm: Kvm, guest_isc: u8) -> Result<Self> {
        // SAFETY: Valid by the type invariant.
        let isc = unsafe { b::kvm_s390_gisc_register(kvm.0.as_ptr(), guest_isc.into()) };
        to_result(isc)?;
        // INVARIANT: Registered just now.
        Ok(Self {
            kvm,
            guest_isc,
            host_isc: isc as u8,
        })
    }

    /// The subclass of the guest.
    pub(crate) fn guest_isc(&self) -> u8 {
        self.guest_isc
    }

    /// The subclass of the host by which alerts come.
    pub(crate) fn host_isc(&self) -> u8 {
        self.host_isc
    }

    /// The absolute address of the guest interruption state area.
    pub(crate) fn gisa(&self) -> u64 {
        // SAFETY: Valid by the type invariant; there is an area, as a subclass could be registered,
        // and it does not move.
        unsafe {
            let origin = (*self.kvm.0.as_ptr()).arch.gisa_int.origin;
            b::vfio_ap_virt_to_phys(origin.cast())
        }
    }
}

impl Drop for Gisc {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { b::kvm_s390_gisc_unregister(self.kvm.0.as_ptr(), self.guest_isc.into()) };
    }
}

/// A vCPU whose instruction was intercepted.
///
/// # Invariants
///
/// It is valid, and loaded by the current thread, which holds its mutex.
pub(crate) struct Vcpu<'a>(NonNull<b::kvm_vcpu>, PhantomData<&'a ()>);

impl Vcpu<'_> {
    /// The VM.
    pub(crate) fn kvm(&self) -> Kvm {
        // SAFETY: By the type invariant. A VM exists as long as its vCPUs do.
        unsafe { Kvm::get(NonNull::new_unchecked((*self.0.as_ptr()).kvm)) }
    }

    /// Returns true if a guest address is that of memory.
    pub(crate) fn has_memory_at(&self, address: u64) -> bool {
        // SAFETY: Valid by the type invariant. KVM keeps the memory slots while it handles an
        // intercepted instruction.
        unsafe { b::kvm_s390_is_gpa_in_memslot((*self.0.as_ptr()).kvm, address) }
    }

    /// General registers 0 to 2.
    pub(crate) fn gprs(&self) -> [u64; 3] {
        // SAFETY: By the type invariant.
        let gprs = unsafe { (*(*self.0.as_ptr()).run).s.regs.gprs };
        [gprs[0], gprs[1], gprs[2]]
    }

    /// Whether interruptions of adapters can be made pending in the guest's state area.
    pub(crate) fn has_adapter_interruptions(&self) -> bool {
        // SAFETY: By the type invariant. The offset is that of a field of 32 bits in the SIE block.
        let eca = unsafe {
            (*self.0.as_ptr())
                .arch
                .sie_block
                .byte_add(b::VFIO_AP_RS_SIE_ECA)
                .cast::<u32>()
                .read()
        };
        eca & b::ECA_AIV != 0
    }

    /// Whether the guest is protected from the host.
    pub(crate) fn is_protected(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { b::kvm_s390_pv_cpu_is_protected(self.0.as_ptr()) }
    }
}

/// Handles PQAP instructions that are intercepted.
pub(crate) trait PqapHandler {
    /// Executes the instruction on behalf of the guest; what comes back goes to general register 1
    /// and to the condition code. [`None`] leaves the instruction to user space.
    fn pqap(&self, vcpu: &Vcpu<'_>) -> Option<Status>;
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
/// `kvm` has `_hooked` as its hook.
pub(crate) struct Hook<H> {
    kvm: Kvm,
    _hooked: Pin<KBox<Hooked<H>>>,
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
        Ok(Self {
            kvm,
            _hooked: hooked,
        })
    }

    extern "C" fn callback(vcpu: *mut b::kvm_vcpu) -> ffi::c_int {
        // SAFETY: The vCPU is valid. The hook is ours, as it led to here, and `Hook` does not go
        // away while KVM holds the semaphore.
        let hooked = unsafe { &*(*(*vcpu).kvm).arch.crypto.pqap_hook.cast::<Hooked<H>>() };
        let Some(valid) = NonNull::new(vcpu) else {
            return -(bindings::EOPNOTSUPP as ffi::c_int);
        };
        // INVARIANT: KVM calls the hook for a vCPU that the current thread has loaded.
        match hooked.handler.pqap(&Vcpu(valid, PhantomData)) {
            Some(status) => {
                // SAFETY: As above. KVM derives the condition code from the register.
                unsafe { (*(*vcpu).run).s.regs.gprs[1] = status.word().into() };
                0
            }
            None => -(bindings::EOPNOTSUPP as ffi::c_int),
        }
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
