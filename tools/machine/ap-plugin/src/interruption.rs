// SPDX-License-Identifier: GPL-2.0
//! Adapter interruptions, once a queue has requested them: how they are made pending,
//! and how the host takes its own. How a guest takes those in its interruption state
//! area (GISA) is in [`crate::sie`].
//!
//! A guest of which no CPU runs does not look at its GISA. Therefore, if the GISA says
//! so for the subclass (its interruption alert mask), it is put on the alert list of the
//! guest information block (GIB), and when that was empty the host is interrupted.
//!
//! An adapter interruption of the host can be taken by any CPU that is enabled for its
//! subclass; it remains pending until one does. QEMU has no way for a plugin to request
//! one. So while one is pending all CPUs call here at each block of instructions, and
//! the PSWs are swapped here.
//!
//! Sources: arch/s390/kvm/s390/interrupt.c, `process_gib_alert_list` and
//! `gisa_set_iam`; the layouts in arch/s390/include/asm/kvm_host_s390.h.

use crate::cpu::Cpu;
use crate::machine::Machine;
use crate::sie::{Class, IO_CODE, Psw, bits};
use ap_model::interruption::Gisa;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// What is pending, and where the host wants to be told about guests.
#[derive(Default)]
pub(crate) struct Pending {
    /// The subclasses in which the host is to be interrupted, bit 0 for subclass 0.
    subclasses: AtomicU8,
    gib: AtomicU64,
}

impl Pending {
    /// Is the host to be interrupted?
    pub(crate) fn is_pending(&self) -> bool {
        self.subclasses.load(Ordering::SeqCst) != 0
    }

    fn request(&self, subclass: u8) {
        self.subclasses.fetch_or(0x80 >> subclass, Ordering::SeqCst);
    }

    /// The first subclass that control register 6 lets through; it is not pending any
    /// more.
    fn take(&self, cr6: u64) -> Option<u8> {
        let mut pending = self.subclasses.load(Ordering::SeqCst);
        loop {
            let subclass = subclass(pending, cr6)?;
            let left = pending & !(0x80 >> subclass);
            match self.subclasses.compare_exchange(
                pending,
                left,
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Ok(_) => return Some(subclass),
                Err(now) => pending = now,
            }
        }
    }

    /// Absolute address of the GIB; 0 if there is none.
    pub(crate) fn gib(&self) -> u64 {
        self.gib.load(Ordering::SeqCst)
    }

    /// The host has a GIB at `origin`, or none any more.
    pub(crate) fn set_gib(&self, origin: u64) {
        self.gib.store(origin, Ordering::SeqCst);
    }
}

/// The first subclass that is pending and that control register 6 lets through.
pub(crate) fn subclass(pending: u8, cr6: u64) -> Option<u8> {
    let enabled = (cr6 >> 24) as u8;
    match pending & enabled {
        0 => None,
        ready => Some(ready.leading_zeros() as u8),
    }
}

/// The interruption code that is stored: no subchannel; an adapter, and its subclass.
pub(crate) fn code(subclass: u8) -> [u8; 12] {
    const ADAPTER: u32 = 1 << 31;
    let word = ADAPTER | u32::from(subclass) << 27;
    let mut code = [0; 12];
    code[8..].copy_from_slice(&word.to_be_bytes());
    code
}

/// Make pending what queues have requested: set the indicator of the queue, and the bit
/// of the subclass, in the GISA if it is for a guest.
pub(crate) fn present(cpu: &mut impl Cpu, machine: &Machine) {
    let requests = machine.model().take_interruptions();
    for request in requests {
        cpu.write_absolute(request.nib, &[0x80]);
        let pending = machine.pending();
        match request.gisa {
            None => pending.request(request.isc),
            Some(gisa) => present_to_guest(cpu, pending, gisa),
        }
        machine.trace(cpu.index(), || format!("interruption {request}"));
    }
}

/// The first doubleword of a GISA: the next one on the alert list, or this one itself if
/// it is not on it; pending subclasses; alert mask.
const NEXT: u64 = 0xffff_ffff << 32;
pub(crate) const PENDING_SHIFT: u32 = 24;
const ALERT: u64 = 0xff;

fn present_to_guest(cpu: &mut impl Cpu, pending: &Pending, gisa: Gisa) {
    let origin = u64::from(gisa.origin);
    let bit: u64 = 0x80 >> gisa.isc;
    let is_alert = |word: u64| word & bit != 0 && word >> 32 == origin;
    let gib = pending.gib();
    let before = cpu.update(origin, |word| {
        let word = word | bit << PENDING_SHIFT;
        if gib != 0 && is_alert(word) {
            word & !ALERT
        } else {
            word
        }
    });
    if gib != 0 && before.is_some_and(is_alert) {
        alert(cpu, pending, gib, origin);
    }
}

/// Put the GISA at `origin` on the alert list. Nobody else does: its alert mask is zero.
fn alert(cpu: &mut impl Cpu, pending: &Pending, gib: u64, origin: u64) {
    const SUBCLASS: u64 = 8;
    // The link has to be there before the GISA is: so look what it will be, and put the
    // GISA there only if it still is.
    let first = loop {
        let list = cpu.number_at(gib, 4).unwrap_or(0);
        cpu.update(origin, |word| word & !NEXT | list << 32);
        let before = cpu.update(gib, |word| {
            if word >> 32 == list {
                word & !NEXT | origin << 32
            } else {
                word
            }
        });
        if before.is_none_or(|word| word >> 32 == list) {
            break list;
        }
    };
    // 1 says that the host is looking at the list right now.
    if first == 0
        && let Some(subclass) = cpu.number_at(gib + SUBCLASS, 1)
    {
        pending.request(subclass as u8 & 0b111);
    }
}

/// The subclass in which the host, with PSW mask `mask`, is interrupted now, if it is; it
/// is not pending any more.
pub(crate) fn claim(cpu: &impl Cpu, machine: &Machine, mask: u64) -> Option<u8> {
    let pending = machine.pending();
    if !pending.is_pending() || mask & bits::IO == 0 {
        return None;
    }
    pending.take(cpu.cr(6))
}

/// Interrupt the host, of which `old` is the PSW. Gives the PSW of the handler.
pub(crate) fn interrupt(
    cpu: &mut impl Cpu,
    machine: &Machine,
    subclass: u8,
    old: Psw,
) -> Option<Psw> {
    let (prefix, class) = (cpu.prefix(), Class::Io);
    let new = cpu.read_absolute(prefix + class.new_psw(), 16)?;
    cpu.write_absolute(prefix + class.old_psw(), &old.to_bytes());
    cpu.write_absolute(prefix + IO_CODE, &code(subclass));
    machine.trace(cpu.index(), || {
        format!("interrupted by an adapter in subclass {subclass}")
    });
    Psw::parse(&new)
}

#[cfg(test)]
#[path = "interruption_tests.rs"]
mod tests;
