// SPDX-License-Identifier: GPL-2.0

//! The PQAP instruction: process adjunct processor queue.
//!
//! Owns the operands and the results of the functions of the instruction. The inline functions of the
//! kernel execute it; `helpers.c` wraps them.
//!
//! C header: [`arch/s390/include/asm/ap.h`](srctree/arch/s390/include/asm/ap.h)

use kernel::{
    error::to_result,
    page::PAGE_SIZE, //
};

use crate::{
    ap_bus::kvm::Gisc,
    bindings as b,
    linux::vfio::Frame,
    matrix::{
        interrupts::{
            self,
            Interruption, //
        },
        mask::{
            Apqn,
            Mask, //
        },
        migration::QueueInfo,
        queues::{
            self,
            response, //
        },
        Limits,
        Matrix, //
    }, //
};

/// The response codes of the functional core are those of `drivers/s390/crypto/ap_bus.h`.
const _: () = {
    assert!(response::NORMAL as u32 == b::AP_RESPONSE_NORMAL);
    assert!(response::NOT_AVAILABLE as u32 == b::AP_RESPONSE_Q_NOT_AVAIL);
    assert!(response::RESET_IN_PROGRESS as u32 == b::AP_RESPONSE_RESET_IN_PROGRESS);
    assert!(response::DECONFIGURED as u32 == b::AP_RESPONSE_DECONFIGURED);
    assert!(response::CHECKSTOPPED as u32 == b::AP_RESPONSE_CHECKSTOPPED);
    assert!(response::BUSY as u32 == b::AP_RESPONSE_BUSY);
    assert!(response::INVALID_ADDRESS as u32 == b::AP_RESPONSE_INVALID_ADDRESS);
    assert!(response::OTHERWISE_CHANGED as u32 == b::AP_RESPONSE_OTHERWISE_CHANGED);
    assert!(response::STATE_CHANGE_IN_PROGRESS as u32 == b::AP_RESPONSE_STATE_CHANGE_IN_PROGRESS);
    assert!(response::ASSOC_SECRET_NOT_UNIQUE as u32 == b::AP_RESPONSE_ASSOC_SECRET_NOT_UNIQUE);
    assert!(response::ASSOC_FAILED as u32 == b::AP_RESPONSE_ASSOC_FAILED);
};

/// Bit 16 of general register 1 of AQIC: enable interruptions. Layout: `union ap_qirq_ctrl`.
const INTERRUPTIONS: u64 = 1 << 47;

/// The AP queue status word. Layout: `struct ap_queue_status`.
#[derive(Clone, Copy)]
pub(crate) struct Status(u32);

impl Status {
    /// Creates a status with a response code. All other fields are zero.
    pub(crate) const fn with_code(code: u8) -> Self {
        Self((code as u32) << 16)
    }

    /// Returns the response code. See [`queues::response`].
    pub(crate) const fn code(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// Returns true if interruptions of the queue are enabled.
    pub(crate) const fn irq_enabled(self) -> bool {
        self.0 & 1 << 24 != 0
    }

    /// Returns the whole word.
    pub(crate) const fn word(self) -> u32 {
        self.0
    }
}

/// PQAP(TAPQ): tests a queue.
pub(crate) fn tapq(apqn: Apqn) -> Status {
    // SAFETY: TAPQ has no operand in storage. An APQN that does not exist gets a response code.
    Status(unsafe { b::vfio_ap_tapq(apqn.to_raw().into()) })
}

/// PQAP(TAPQ): returns the properties of a queue, or the response code if there are none.
pub(crate) fn queue_info(apqn: Apqn) -> Result<QueueInfo, u8> {
    let mut info = 0;
    // SAFETY: As for `tapq`. `info` is valid.
    let status = Status(unsafe { b::vfio_ap_tapq_info(apqn.to_raw().into(), &mut info) });
    match status.code() {
        response::NORMAL => Ok(QueueInfo(info)),
        code => Err(code),
    }
}

/// PQAP(ZAPQ): resets a queue, and zeroizes what it holds.
pub(crate) fn zapq(apqn: Apqn) -> Status {
    // SAFETY: As for `tapq`.
    Status(unsafe { b::vfio_ap_zapq(apqn.to_raw().into()) })
}

/// The memory that a queue writes to when it interrupts a guest.
pub(crate) struct Target {
    /// The registration of an interruption subclass of the guest. The queue makes it pending in the
    /// guest interruption state area.
    pub(crate) gisc: Gisc,
    /// The frame with the notification indicator byte.
    pub(crate) frame: Frame,
    /// The guest address of the notification indicator byte.
    pub(crate) nib: u64,
}

/// PQAP(AQIC): enables interruptions of a queue for a guest.
///
/// If the machine accepts, it may write to the target of `interruption` from then on. `interruption`
/// keeps the target until the machine was seen to have stopped that.
pub(crate) fn enable_interruptions<O>(
    apqn: Apqn,
    interruption: &mut Interruption<Target, O>,
) -> Status {
    const GISA_ORIGIN: u64 = 0x7fff_fff0;

    let Target { gisc, frame, nib } = interruption.target();
    let address = frame.address() + nib % PAGE_SIZE as u64;
    let control = INTERRUPTIONS
        | u64::from(gisc.guest_isc() & 7) << 40
        | gisc.gisa() & GISA_ORIGIN
        | u64::from(gisc.host_isc() & 7);
    // SAFETY: If the machine accepts, `interruption` keeps the frame and the GISA as long as the
    // machine may write to them.
    let status = Status(unsafe { b::vfio_ap_aqic(apqn.to_raw().into(), control, address) });
    if status.code() == response::NORMAL {
        interruption.enable_accepted();
    }
    status
}

/// PQAP(AQIC): disables interruptions of a queue.
pub(crate) fn disable_interruptions(apqn: Apqn) -> Status {
    // SAFETY: AQIC uses no address when it disables interruptions.
    Status(unsafe { b::vfio_ap_aqic(apqn.to_raw().into(), 0, 0) })
}

/// The operands of PQAP(AQIC) of a guest.
pub(crate) struct AqicRequest {
    /// The queue.
    pub(crate) apqn: Apqn,
    /// True to enable interruptions, false to disable them.
    pub(crate) enable: bool,
    /// The interruption subclass of the guest.
    pub(crate) isc: u8,
    /// The guest address of the notification indicator byte.
    pub(crate) nib: u64,
}

impl AqicRequest {
    /// Decodes general registers 0 to 2.
    pub(crate) fn new([gr0, gr1, gr2]: [u64; 3]) -> Self {
        Self {
            // The rightmost two bytes are the APQN.
            apqn: Apqn::from_raw(gr0 as u16),
            enable: gr1 & INTERRUPTIONS != 0,
            isc: (gr1 & 7) as u8,
            nib: gr2,
        }
    }
}

/// The AP instructions, for the functional core.
pub(crate) struct Machine;

impl queues::Instructions for Machine {
    fn zapq(&mut self, apqn: Apqn) -> u8 {
        zapq(apqn).code()
    }

    fn tapq(&mut self, apqn: Apqn) -> u8 {
        tapq(apqn).code()
    }
}

impl interrupts::Control for Machine {
    fn disable(&mut self, apqn: Apqn) -> u8 {
        disable_interruptions(apqn).code()
    }

    fn test(&mut self, apqn: Apqn) -> (u8, bool) {
        let status = tapq(apqn);
        (status.code(), status.irq_enabled())
    }
}

/// The configuration of the machine, as PQAP(QCI) stores it.
#[repr(transparent)]
pub(crate) struct ConfigInfo(b::ap_config_info);

impl ConfigInfo {
    /// There are more than 64 adapters and 16 domains (APXA).
    const APXA: u32 = 1 << 30;

    /// Wraps the structure of C.
    pub(crate) fn from_raw(info: &b::ap_config_info) -> &Self {
        // SAFETY: `ConfigInfo` is transparent.
        unsafe { &*core::ptr::from_ref(info).cast() }
    }

    /// Returns the adapters, usage domains and control domains of the machine.
    pub(crate) fn matrix(&self) -> Matrix {
        Matrix {
            apm: mask(&self.0.apm),
            aqm: mask(&self.0.aqm),
            adm: mask(&self.0.adm),
        }
    }

    /// Returns the greatest numbers that can exist.
    pub(crate) fn limits(&self) -> Limits {
        // SAFETY: All bits of the union may have any value.
        if unsafe { self.0.__bindgen_anon_1.flags } & Self::APXA != 0 {
            Limits {
                apid: self.0.na,
                apqi: self.0.nd,
            }
        } else {
            Limits::WITHOUT_APXA
        }
    }
}

fn mask<I>(words: &[u32; 8]) -> Mask<I> {
    let word = |i: usize| u64::from(words[2 * i]) << 32 | u64::from(words[2 * i + 1]);
    Mask::from_words(core::array::from_fn(word))
}

/// Returns true if the AP instructions are installed.
pub(crate) fn installed() -> bool {
    // SAFETY: Without the instructions, the program check is handled by the exception table.
    unsafe { b::vfio_ap_instructions_available() }
}

/// PQAP(QCI): queries the configuration. Returns [`None`] if the machine does not have the function.
pub(crate) fn qci() -> Option<ConfigInfo> {
    let mut info = pin_init::zeroed();
    // SAFETY: QCI writes an `ap_config_info`. Without the function, the program check is handled by
    // the exception table.
    to_result(unsafe { b::vfio_ap_qci(&mut info) }).ok()?;
    Some(ConfigInfo(info))
}
