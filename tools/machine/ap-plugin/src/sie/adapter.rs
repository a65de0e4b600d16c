// SPDX-License-Identifier: GPL-2.0
//! Adapter interruptions of a guest (adapter-interruption virtualization). They wait in the guest
//! interruption state area (GISA), and an enabled guest takes them without an exit.
//!
//! Source: `struct kvm_s390_gisa` in Linux, arch/s390/include/asm/kvm_host_s390.h.

use super::Sie;
use super::lowcore::{self, Class};
use super::psw::{Psw, bits};
use super::state_description::{self as field, execution_a};
use super::translation::Fault;
use crate::cpu::Cpu;
use crate::interruption::{self, PENDING_SHIFT};
use crate::machine::Machine;

impl Sie {
    /// Interrupts the guest at `guest` if an adapter interruption is pending and enabled. Returns
    /// the PSW with which the CPU continues.
    pub(super) fn interrupt_by_adapter(
        &mut self,
        cpu: &mut impl Cpu,
        machine: &Machine,
        guest: Psw,
    ) -> Option<Psw> {
        let running = self.running.as_ref()?;
        let description = running.description;
        if guest.mask & bits::IO == 0
            || description.word(cpu, field::EXECUTION_CONTROLS_A)
                & execution_a::ADAPTER_INTERRUPTIONS
                == 0
        {
            return None;
        }
        let gisa = description.gisa(cpu)?;
        let pending = (cpu.number_at(gisa, 8)? >> PENDING_SHIFT) as u8;
        let subclass = interruption::subclass(pending, description.cr(cpu, 6))?;
        let real = running.real();
        let class = Class::Io;
        // The whole area is in one page.
        let new = real
            .probe(cpu, class.old_psw(), 16, true)
            .and_then(|()| real.read(cpu, class.new_psw(), 16));
        match new {
            Ok(new) => {
                let bit = 0x80 >> subclass << PENDING_SHIFT;
                let before = cpu.update(gisa, |word| word & !bit);
                if before.is_none_or(|word| word & bit == 0) {
                    // Another CPU of the guest has taken the interruption.
                    return None;
                }
                for (place, data) in [
                    (class.old_psw(), &guest.to_bytes()[..]),
                    (lowcore::IO_CODE, &interruption::code(subclass)),
                ] {
                    // The same place was accessible before.
                    let _ = real.write(cpu, place, data);
                }
                machine.model().sie().interrupted(description.0);
                Some(self.load(cpu, machine, Psw::parse(&new)?))
            }
            Err(Fault::Host(fault)) => Some(self.leave_at_fault(cpu, machine, fault, guest)),
            // An access with a real address causes no exception of the guest.
            Err(Fault::Guest { .. }) => None,
        }
    }
}
