// SPDX-License-Identifier: GPL-2.0

//! AP in virtual machines of KVM.
//!
//! Owns commits of masks to the CRYCB, the hook for intercepted PQAP instructions, and registrations of
//! guest interruption subclasses.
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
    prelude::*, //
};

use crate::{
    ap_bus::pqap::Status,
    bindings as b,
    linux::kvm::Kvm,
    matrix::Matrix, //
};

impl Kvm {
    /// Commits masks to the CRYCB.
    ///
    /// KVM forces every vCPU out of SIE until the masks have changed.
    pub(crate) fn set_masks(&self, matrix: &Matrix) {
        let word = |words: &[u64; 4]| words.as_ptr().cast_mut().cast();
        let _guard = self.lock().lock();
        // SAFETY: The virtual machine is valid by the type invariant, and is locked. The masks have
        // 256 bits each, and are only read.
        unsafe {
            b::kvm_arch_crypto_set_masks(
                self.as_ptr(),
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
        unsafe { b::kvm_arch_crypto_clear_masks(self.as_ptr()) }
    }

    /// Returns true if the guest is a protected one.
    pub(crate) fn is_protected(&self) -> bool {
        let _guard = self.lock().lock();
        // SAFETY: As for `set_masks`.
        unsafe { b::kvm_s390_pv_is_protected(self.as_ptr()) }
    }
}

/// The registration of a guest interruption subclass for adapter interruptions.
///
/// # Invariants
///
/// This object owns one registration of `guest_isc` with `kvm`.
pub(crate) struct Gisc {
    kvm: Kvm,
    guest_isc: u8,
    host_isc: u8,
    gisa: u64,
}

impl Gisc {
    /// Registers a subclass of the virtual machine of a vCPU.
    ///
    /// # Errors
    ///
    /// - `ENODEV` if the virtual machine has no guest interruption state area (GISA).
    /// - `ERANGE` if the subclass does not exist.
    pub(crate) fn register(vcpu: &Vcpu<'_>, guest_isc: u8) -> Result<Self> {
        // When a guest becomes a protected one, KVM first clears AIV of each vCPU, with the mutex of
        // the vCPU held, and then removes the GISA. This vCPU has AIV, so the GISA stays during the
        // call.
        if !vcpu.has_adapter_interruptions() {
            return Err(ENODEV);
        }
        // SAFETY: The GISA stays during the call, as said above.
        unsafe { Self::register_with_gisa(vcpu.kvm(), guest_isc) }
    }

    /// Registers a subclass of a virtual machine whose guest is not a protected one.
    ///
    /// # Errors
    ///
    /// As for [`Self::register`].
    pub(crate) fn register_unprotected(kvm: &Kvm, guest_isc: u8) -> Result<Self> {
        let _guard = kvm.lock().lock();
        // KVM changes the protection of a guest with the lock held, and removes the GISA only then.
        // SAFETY: The virtual machine is valid by the type invariant, and is locked.
        if unsafe { b::kvm_s390_pv_is_protected(kvm.as_ptr()) } {
            return Err(ENODEV);
        }
        // SAFETY: The GISA stays during the call, as said above.
        unsafe { Self::register_with_gisa(kvm.clone(), guest_isc) }
    }

    /// # Safety
    ///
    /// KVM must not remove the GISA during the call. There may be none.
    unsafe fn register_with_gisa(kvm: Kvm, guest_isc: u8) -> Result<Self> {
        // SAFETY: By the type invariant of `Kvm`, and by the safety requirement.
        let isc = unsafe { b::kvm_s390_gisc_register(kvm.as_ptr(), guest_isc.into()) };
        to_result(isc)?;
        // SAFETY: By the type invariant of `Kvm`. There is a GISA, as a subclass was registered. It is
        // part of the memory of the virtual machine, which stays when KVM removes the GISA.
        let gisa = unsafe {
            let origin = (*kvm.as_ptr()).arch.gisa_int.origin;
            b::vfio_ap_virt_to_phys(origin.cast())
        };
        // INVARIANT: The subclass was registered above.
        Ok(Self {
            kvm,
            guest_isc,
            host_isc: isc as u8,
            gisa,
        })
    }

    /// Returns the subclass of the guest.
    pub(crate) fn guest_isc(&self) -> u8 {
        self.guest_isc
    }

    /// Returns the subclass of the host that is used for alerts.
    pub(crate) fn host_isc(&self) -> u8 {
        self.host_isc
    }

    /// Returns the absolute address of the GISA. Its memory lives at least as long as `self`.
    pub(crate) fn gisa(&self) -> u64 {
        self.gisa
    }
}

impl Drop for Gisc {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { b::kvm_s390_gisc_unregister(self.kvm.as_ptr(), self.guest_isc.into()) };
    }
}

/// A vCPU with an intercepted instruction.
///
/// # Invariants
///
/// The vCPU is valid and is loaded by the current thread. The thread holds the mutex of the vCPU, and
/// `kvm->srcu` for reading.
pub(crate) struct Vcpu<'a>(NonNull<b::kvm_vcpu>, PhantomData<&'a ()>);

impl Vcpu<'_> {
    /// Returns the virtual machine.
    fn kvm(&self) -> Kvm {
        // SAFETY: By the type invariant. A virtual machine lives as long as its vCPUs.
        unsafe { Kvm::get(NonNull::new_unchecked((*self.0.as_ptr()).kvm)) }
    }

    /// Returns true if the guest has memory at an address.
    pub(crate) fn has_memory_at(&self, address: u64) -> bool {
        // SAFETY: By the type invariant, the thread holds `kvm->srcu`, which protects the memory slots.
        unsafe { b::vfio_ap_is_memory((*self.0.as_ptr()).kvm, address) }
    }

    /// Returns the address of the general registers. User space may write to them at any time.
    fn registers(&self) -> *mut [u64; 16] {
        // SAFETY: By the type invariant.
        unsafe { &raw mut (*(*self.0.as_ptr()).run).s.regs.gprs }
    }

    /// Returns general registers 0 to 2.
    pub(crate) fn gprs(&self) -> [u64; 3] {
        let registers = self.registers().cast::<u64>();
        // SAFETY: The vCPU has 16 registers, in memory that lives as long as the vCPU.
        core::array::from_fn(|i| unsafe { registers.add(i).read_volatile() })
    }

    /// Sets general register 1.
    fn set_gpr1(&self, value: u64) {
        // SAFETY: As for `gprs`.
        unsafe { self.registers().cast::<u64>().add(1).write_volatile(value) }
    }

    /// Returns true if adapter interruptions can be made pending in the GISA.
    pub(crate) fn has_adapter_interruptions(&self) -> bool {
        // SAFETY: By the type invariant. The SIE block has a field of 32 bits at the offset.
        let eca = unsafe {
            (*self.0.as_ptr())
                .arch
                .sie_block
                .byte_add(b::layouts::KVM_SIE_BLOCK_ECA)
                .cast::<u32>()
                .read()
        };
        eca & b::ECA_AIV != 0
    }

    /// Returns true if the guest is a protected one.
    pub(crate) fn is_protected(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { b::kvm_s390_pv_cpu_is_protected(self.0.as_ptr()) }
    }
}

/// A handler of intercepted PQAP instructions.
pub(crate) trait PqapHandler {
    /// Executes the instruction for the guest. Returns the status for general register 1, from which
    /// KVM derives the condition code. [`None`] leaves the instruction to user space.
    fn pqap(&self, vcpu: &Vcpu<'_>) -> Option<Status>;
}

/// A hook, and the handler that it belongs to.
#[repr(C)]
struct Hooked<H> {
    /// The first field, so that a pointer to it is a pointer to the whole.
    hook: b::crypto_hook,
    handler: H,
}

/// The installation of a handler for PQAP instructions in a virtual machine.
///
/// # Invariants
///
/// `_hooked` is the hook of `kvm`.
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
    /// - `EPERM` if the virtual machine has a handler.
    /// - `ENOMEM` if there is no memory.
    pub(crate) fn install(kvm: Kvm, handler: H) -> Result<Self> {
        let hooked = KBox::pin(
            Hooked {
                hook: Some(Self::callback),
                handler,
            },
            GFP_KERNEL,
        )?;
        // The pointer has the provenance of the whole, as `callback` uses the handler. KVM only reads.
        let hook = core::ptr::from_ref(&*hooked).cast_mut().cast();
        let old = replace_hook(&kvm, |old| if old.is_null() { hook } else { old });
        if !old.is_null() {
            return Err(EPERM);
        }
        // INVARIANT: The hook was installed above.
        Ok(Self {
            kvm,
            _hooked: hooked,
        })
    }

    /// # Safety
    ///
    /// Called by KVM for a vCPU of a virtual machine that has a hook of this type.
    unsafe extern "C" fn callback(vcpu: *mut b::kvm_vcpu) -> ffi::c_int {
        // SAFETY: The vCPU is valid. The hook has this callback, so it is a `Hooked<H>`. KVM holds the
        // semaphore, so `Hook` is not dropped.
        let (hooked, vcpu) = unsafe {
            (
                &*(*(*vcpu).kvm).arch.crypto.pqap_hook.cast::<Hooked<H>>(),
                NonNull::new_unchecked(vcpu),
            )
        };
        // INVARIANT: KVM calls the hook when it handles an intercepted instruction, in the thread that
        // runs the vCPU.
        let vcpu = Vcpu(vcpu, PhantomData);
        match hooked.handler.pqap(&vcpu) {
            Some(status) => {
                vcpu.set_gpr1(status.word().into());
                0
            }
            None => -(bindings::EOPNOTSUPP as ffi::c_int),
        }
    }
}

impl<H> Hook<H> {
    /// Returns the virtual machine.
    pub(crate) fn kvm(&self) -> &Kvm {
        &self.kvm
    }
}

impl<H> Drop for Hook<H> {
    fn drop(&mut self) {
        // By the type invariant, the hook is the one of `self`. The semaphore waits for running
        // handlers.
        replace_hook(&self.kvm, |_| core::ptr::null_mut());
    }
}

/// Replaces the hook by the result of `new`, which gets the old one. Returns the old hook.
fn replace_hook(
    kvm: &Kvm,
    new: impl FnOnce(*mut b::crypto_hook) -> *mut b::crypto_hook,
) -> *mut b::crypto_hook {
    let kvm = kvm.as_ptr();
    // SAFETY: The virtual machine is valid by the type invariant. The semaphore protects the hook.
    unsafe {
        let semaphore = &raw mut (*kvm).arch.crypto.pqap_hook_rwsem;
        bindings::down_write(semaphore);
        let old = (*kvm).arch.crypto.pqap_hook;
        (*kvm).arch.crypto.pqap_hook = new(old);
        bindings::up_write(semaphore);
        old
    }
}
