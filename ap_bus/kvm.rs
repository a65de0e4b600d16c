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
    /// Every vCPU is kicked out of SIE and kept out until the masks have changed.
    pub(crate) fn set_masks(&self, matrix: &Matrix) {
        let word = |words: &[u64; 4]| words.as_ptr().cast_mut().cast();
        let _guard = self.lock().lock();
        // SAFETY: Valid by the type invariant and locked as it has to be. The masks have 256 bits,
        // in this order, and are not written to.
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
    gisa: u64,
}

impl Gisc {
    /// Registers a subclass of the VM of a vCPU.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the VM has no guest interruption state area, `ERANGE` if there is no such
    /// subclass.
    pub(crate) fn register(vcpu: &Vcpu<'_>, guest_isc: u8) -> Result<Self> {
        // When a guest becomes a protected one, KVM clears AIV in each vCPU, with its mutex held,
        // and takes the area away after that. So it stays during this call.
        if !vcpu.has_adapter_interruptions() {
            return Err(ENODEV);
        }
        let kvm = vcpu.kvm();
        // SAFETY: Valid by the type invariant of `Kvm`.
        let isc = unsafe { b::kvm_s390_gisc_register(kvm.as_ptr(), guest_isc.into()) };
        to_result(isc)?;
        // SAFETY: As above. There is an area, as a subclass could be registered. Its memory is that
        // of the VM: it stays, at the same place, if the area is taken away.
        let gisa = unsafe {
            let origin = (*kvm.as_ptr()).arch.gisa_int.origin;
            b::vfio_ap_virt_to_phys(origin.cast())
        };
        // INVARIANT: Registered just now.
        Ok(Self {
            kvm,
            guest_isc,
            host_isc: isc as u8,
            gisa,
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

    /// The absolute address of the guest interruption state area. Its memory lives as long as the
    /// VM does, so as long as this does.
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

/// A vCPU whose instruction was intercepted.
///
/// # Invariants
///
/// It is valid, and loaded by the current thread, which holds its mutex, and `kvm->srcu` for
/// reading.
pub(crate) struct Vcpu<'a>(NonNull<b::kvm_vcpu>, PhantomData<&'a ()>);

impl Vcpu<'_> {
    /// The VM.
    fn kvm(&self) -> Kvm {
        // SAFETY: By the type invariant. A VM exists as long as its vCPUs do.
        unsafe { Kvm::get(NonNull::new_unchecked((*self.0.as_ptr()).kvm)) }
    }

    /// Whether a guest address is that of memory.
    pub(crate) fn has_memory_at(&self, address: u64) -> bool {
        // SAFETY: By the type invariant: the memory slots are protected by `kvm->srcu`.
        unsafe { b::vfio_ap_is_memory((*self.0.as_ptr()).kvm, address) }
    }

    /// The general registers, which user space has mapped, and may write to at any time.
    fn registers(&self) -> *mut [u64; 16] {
        // SAFETY: By the type invariant. This only computes an address.
        unsafe { &raw mut (*(*self.0.as_ptr()).run).s.regs.gprs }
    }

    /// General registers 0 to 2, as they are now.
    pub(crate) fn gprs(&self) -> [u64; 3] {
        let registers = self.registers().cast::<u64>();
        // SAFETY: There are 16 of them, in the memory of the vCPU.
        core::array::from_fn(|i| unsafe { registers.add(i).read_volatile() })
    }

    /// Sets general register 1.
    fn set_gpr1(&self, value: u64) {
        // SAFETY: As for `gprs`.
        unsafe { self.registers().cast::<u64>().add(1).write_volatile(value) }
    }

    /// Whether interruptions of adapters can be made pending in the guest's state area.
    pub(crate) fn has_adapter_interruptions(&self) -> bool {
        // SAFETY: By the type invariant. The offset is that of a field of 32 bits in the SIE block.
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
        let hooked = KBox::pin(
            Hooked {
                hook: Some(Self::callback),
                handler,
            },
            GFP_KERNEL,
        )?;
        // A pointer to all of it, as `callback` makes one to the handler of this one. KVM only reads.
        let hook = core::ptr::from_ref(&*hooked).cast_mut().cast();
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
        let (hooked, vcpu) = unsafe {
            (
                &*(*(*vcpu).kvm).arch.crypto.pqap_hook.cast::<Hooked<H>>(),
                NonNull::new_unchecked(vcpu),
            )
        };
        // INVARIANT: KVM calls the hook for a vCPU that the current thread runs, in the handling of
        // an intercepted instruction.
        let vcpu = Vcpu(vcpu, PhantomData);
        match hooked.handler.pqap(&vcpu) {
            Some(status) => {
                // KVM derives the condition code from the register.
                vcpu.set_gpr1(status.word().into());
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
    let kvm = kvm.as_ptr();
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
