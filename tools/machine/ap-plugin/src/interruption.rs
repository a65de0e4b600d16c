// SPDX-License-Identifier: GPL-2.0
//! Makes the adapter interruptions that queues request pending, and presents those of the host.
//! [`crate::sie`] presents those of a guest from its interruption state area (GISA).
//!
//! A guest without a running CPU does not look at its GISA. If the interruption alert mask of the
//! GISA contains the subclass, the GISA is added to the alert list of the guest information block
//! (GIB). If the list was empty, the host is interrupted.
//!
//! Any CPU that is enabled for the subclass can take an adapter interruption of the host. The
//! interruption remains pending until then. A plugin cannot request an interruption from QEMU.
//! While one is pending, all CPUs call this module at each block of instructions, and the module
//! swaps the PSWs.
//!
//! Sources: arch/s390/kvm/s390/interrupt.c, `process_gib_alert_list` and
//! `gisa_set_iam`; the layouts in arch/s390/include/asm/kvm_host_s390.h.

use crate::cpu::Cpu;
use crate::machine::Machine;
use crate::sie::{Class, IO_CODE, Psw, bits};
use ap_model::interruption::Gisa;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// The pending interruptions of the host, and the location of its GIB.
#[derive(Default)]
pub(crate) struct Pending {
    /// The pending subclasses of the host. The leftmost bit is subclass 0.
    subclasses: AtomicU8,
    gib: AtomicU64,
}

impl Pending {
    /// Returns true if an interruption of the host is pending.
    pub(crate) fn is_pending(&self) -> bool {
        self.subclasses.load(Ordering::SeqCst) != 0
    }

    fn request(&self, subclass: u8) {
        self.subclasses.fetch_or(0x80 >> subclass, Ordering::SeqCst);
    }

    /// Removes and returns the first pending subclass that control register 6 enables.
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

    /// Returns the absolute address of the GIB, or 0 if there is none.
    pub(crate) fn gib(&self) -> u64 {
        self.gib.load(Ordering::SeqCst)
    }

    /// Sets the absolute address of the GIB, or 0 for none.
    pub(crate) fn set_gib(&self, origin: u64) {
        self.gib.store(origin, Ordering::SeqCst);
    }
}

/// Returns the first pending subclass that control register 6 enables.
pub(crate) fn subclass(pending: u8, cr6: u64) -> Option<u8> {
    let enabled = (cr6 >> 24) as u8;
    match pending & enabled {
        0 => None,
        ready => Some(ready.leading_zeros() as u8),
    }
}

/// Returns the interruption code that is stored: no subchannel, an adapter, and its subclass.
pub(crate) fn code(subclass: u8) -> [u8; 12] {
    const ADAPTER: u32 = 1 << 31;
    let word = ADAPTER | u32::from(subclass) << 27;
    let mut code = [0; 12];
    code[8..].copy_from_slice(&word.to_be_bytes());
    code
}

/// Makes the requests of queues pending. Sets the indicator of the queue, and the bit of the
/// subclass, which is in the GISA if the interruption is for a guest.
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

/// The first doubleword of a GISA has three fields. The first one is the next GISA on the alert
/// list, or the GISA itself if it is not on the list. The others are the pending subclasses and the
/// alert mask.
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

/// Adds the GISA at `origin` to the alert list. Its alert mask is 0, so no other CPU adds it.
fn alert(cpu: &mut impl Cpu, pending: &Pending, gib: u64, origin: u64) {
    const SUBCLASS: u64 = 8;
    // The link has to be stored before the GISA is on the list. The loop stores the expected link,
    // and adds the GISA only if the link is still valid.
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
    // 1 means that the host is processing the list.
    if first == 0
        && let Some(subclass) = cpu.number_at(gib + SUBCLASS, 1)
    {
        pending.request(subclass as u8 & 0b111);
    }
}

/// Removes and returns the subclass of an interruption that the host takes now with PSW mask
/// `mask`.
pub(crate) fn claim(cpu: &impl Cpu, machine: &Machine, mask: u64) -> Option<u8> {
    let pending = machine.pending();
    if !pending.is_pending() || mask & bits::IO == 0 {
        return None;
    }
    pending.take(cpu.cr(6))
}

/// Interrupts the host with the old PSW `old`. Returns the new PSW.
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
