// SPDX-License-Identifier: GPL-2.0

//! The PQAP instruction: process adjunct processor queue.
//!
//! Owns the encoding of its functions. Knows nothing about the driver.
//!
//! C header: [`arch/s390/include/asm/ap.h`](srctree/arch/s390/include/asm/ap.h)

use core::arch::asm;

use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

use crate::{
    ap_bus::kvm::Gisc,
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
        queues,
        Limits,
        Matrix, //
    }, //
};

/// Function codes, in place for general register 0.
const TAPQ: u64 = 0;
const ZAPQ: u64 = 2 << 24;
const AQIC: u64 = 3 << 24;
const QCI: u64 = 4 << 24;

/// In general register 1 of AQIC: interruptions are to be enabled (bit 16).
const INTERRUPTIONS: u64 = 1 << 47;

/// The status word that the instruction leaves in general register 1.
#[derive(Clone, Copy)]
pub(crate) struct Status(u32);

impl Status {
    /// A status with nothing but a response code.
    pub(crate) const fn with_code(code: u8) -> Self {
        Self((code as u32) << 16)
    }

    /// The response code; see [`queues::response`].
    pub(crate) const fn code(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// Whether interruptions are enabled for the queue.
    pub(crate) const fn irq_enabled(self) -> bool {
        self.0 & 1 << 24 != 0
    }

    /// The whole word.
    pub(crate) const fn word(self) -> u32 {
        self.0
    }
}

/// Executes PQAP for a queue: a function that has no operands but general registers 0 to 2, or
/// whose operand in storage is the notification indicator byte of AQIC.
fn pqap(function: u64, apqn: Apqn, gr1: u64, gr2: u64) -> Status {
    let status: u64;
    // SAFETY: The functions that the callers in this file choose change general registers 1 and 2
    // and the condition code, and no storage of ours. An APQN that does not exist is answered by a
    // response code.
    unsafe {
        asm!(
            ".insn rre,0xb2af0000,0,0",
            inout("r0") function | u64::from(apqn.to_raw()) => _,
            inout("r1") gr1 => status,
            inout("r2") gr2 => _,
            options(nostack)
        );
    }
    // The status is the right half of the register.
    Status(status as u32)
}

/// PQAP(TAPQ): test a queue.
pub(crate) fn tapq(apqn: Apqn) -> Status {
    pqap(TAPQ, apqn, 0, 0)
}

/// PQAP(ZAPQ): reset a queue and zeroize what it holds.
pub(crate) fn zapq(apqn: Apqn) -> Status {
    pqap(ZAPQ, apqn, 0, 0)
}

/// What a queue writes to when it interrupts a guest.
pub(crate) struct Target {
    /// The registration of a subclass of the guest. Interruptions become pending for it in the guest
    /// interruption state area.
    pub(crate) gisc: Gisc,
    /// The frame of the page that has the notification indicator byte.
    pub(crate) frame: Frame,
    /// The address that the guest has for the byte.
    pub(crate) nib: u64,
}

/// PQAP(AQIC): enables interruptions of a queue for a guest. Layout: `union ap_qirq_ctrl`.
///
/// If the machine accepts that, it writes to the target of `interruption`, which keeps it until the
/// machine was seen to have let go.
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
    let status = pqap(AQIC, apqn, control, address);
    if status.code() == queues::response::NORMAL {
        interruption.enable_accepted();
    }
    status
}

/// PQAP(AQIC): disables interruptions of a queue.
pub(crate) fn disable_interruptions(apqn: Apqn) -> Status {
    pqap(AQIC, apqn, 0, 0)
}

/// What a guest asks for by PQAP(AQIC).
pub(crate) struct AqicRequest {
    /// For which queue.
    pub(crate) apqn: Apqn,
    /// Whether interruptions are to be enabled, or else disabled.
    pub(crate) enable: bool,
    /// For which interruption subclass of the guest.
    pub(crate) isc: u8,
    /// The guest address of the notification indicator byte.
    pub(crate) nib: u64,
}

impl AqicRequest {
    /// Takes the request out of general registers 0 to 2.
    pub(crate) fn new([gr0, gr1, gr2]: [u64; 3]) -> Self {
        Self {
            // The APQN is in the rightmost two bytes.
            apqn: Apqn::from_raw(gr0 as u16),
            enable: gr1 & INTERRUPTIONS != 0,
            isc: (gr1 & 7) as u8,
            nib: gr2,
        }
    }
}

/// The machine as [`queues::Queues::step`] wants it.
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

/// What PQAP(QCI) stores: the configuration of this machine.
///
/// Layout: `struct ap_config_info`.
#[repr(C, align(8))]
pub(crate) struct ConfigInfo {
    flags: u32,
    max_apid: u8,
    max_apqi: u8,
    _reserved0: [u8; 10],
    apm: [u64; 4],
    aqm: [u64; 4],
    adm: [u64; 4],
    _reserved1: [u8; 16],
}

impl ConfigInfo {
    /// There are more than 64 adapters and 16 domains (APXA).
    const APXA: u32 = 1 << 30;

    const EMPTY: Self = Self {
        flags: 0,
        max_apid: 0,
        max_apqi: 0,
        _reserved0: [0; 10],
        apm: [0; 4],
        aqm: [0; 4],
        adm: [0; 4],
        _reserved1: [0; 16],
    };

    /// Adapters, usage domains and control domains that the machine has.
    pub(crate) fn matrix(&self) -> Matrix {
        Matrix {
            apm: Mask::from_words(self.apm),
            aqm: Mask::from_words(self.aqm),
            adm: Mask::from_words(self.adm),
        }
    }

    /// The greatest numbers that can exist.
    pub(crate) fn limits(&self) -> Limits {
        if self.flags & Self::APXA != 0 {
            Limits {
                apid: self.max_apid,
                apqi: self.max_apqi,
            }
        } else {
            Limits::WITHOUT_APXA
        }
    }
}

/// Executes PQAP where it may not be installed: whether it was executed.
///
/// # Safety
///
/// General register 2 must hold what the function wants there; for QCI that is the address of a
/// [`ConfigInfo`] that may be written.
unsafe fn try_pqap(function: u64, gr2: u64) -> bool {
    let mut done = 0u64;
    // SAFETY: The caller vouches for the operands. Where the function is not installed, the program
    // check is looked up in the exception table, which leads behind the next instruction: `done`
    // stays 0.
    unsafe {
        asm!(
            ".insn rre,0xb2af0000,0,0",
            "0: lghi {done},1",
            "1:",
            // The old PSW of a program check names the instruction behind the one that failed.
            ".pushsection __ex_table,\"a\"",
            ".balign 4",
            ".long (0b) - .",
            ".long (1b) - .",
            ".short {fixup}",
            ".short 0",
            ".popsection",
            done = inout(reg) done,
            fixup = const EX_TYPE_FIXUP,
            inout("r0") function => _,
            out("r1") _,
            inout("r2") gr2 => _,
            options(nostack)
        );
    }
    done != 0
}

/// Whether the AP instructions are installed.
pub(crate) fn installed() -> bool {
    // SAFETY: TAPQ has no operand in storage.
    unsafe { try_pqap(TAPQ, 0) }
}

/// PQAP(QCI): query the configuration. [`None`] if the machine does not have the function.
pub(crate) fn qci() -> Option<ConfigInfo> {
    const { assert!(size_of::<ConfigInfo>() == 128) };

    let mut info = ConfigInfo::EMPTY;
    // SAFETY: QCI writes 128 bytes, which is what `info` is large.
    unsafe { try_pqap(QCI, &raw mut info as u64) }.then_some(info)
}

/// `EX_TYPE_FIXUP` of `arch/s390/include/asm/asm-extable.h`: go on at the second address.
const EX_TYPE_FIXUP: u16 = 1;
