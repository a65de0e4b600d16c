// SPDX-License-Identifier: GPL-2.0
//! Adapter interruptions of a guest (adapter-interruption virtualization): they wait in
//! the guest interruption state area (GISA), and an enabled guest takes them without
//! leaving.
//!
//! Source: `struct kvm_s390_gisa` in Linux, arch/s390/include/asm/kvm_host_s390.h.

use super::Sie;
use super::lowcore::{self, Class};
use super::psw::{Psw, bits};
use super::state_description::{self as field, execution_a};
use super::translation::Fault;
use crate::cpu::Cpu;
use crate::machine::Machine;

/// Where in the GISA the pending subclasses are, bit 0 for subclass 0.
const PENDING: u64 = 4;

/// The first subclass that is pending and that control register 6 lets through.
fn subclass(pending: u8, cr6: u64) -> Option<u8> {
    let enabled = (cr6 >> 24) as u8;
    match pending & enabled {
        0 => None,
        ready => Some(ready.leading_zeros() as u8),
    }
}

/// The interruption code that is stored: no subchannel; an adapter, and its subclass.
fn interruption_code(subclass: u8) -> [u8; 12] {
    const ADAPTER: u32 = 1 << 31;
    let word = ADAPTER | u32::from(subclass) << 27;
    let mut code = [0; 12];
    code[8..].copy_from_slice(&word.to_be_bytes());
    code
}

impl Sie {
    /// Interrupt the guest, which is at `guest`, if an adapter wants that and it is
    /// enabled. Gives the PSW to go on with.
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
        let pending = cpu.number_at(gisa + PENDING, 1)? as u8;
        let subclass = subclass(pending, description.cr(cpu, 6))?;
        let real = running.real();
        let class = Class::Io;
        let swap = real.read(cpu, class.new_psw(), 16).and_then(|new| {
            real.write(cpu, class.old_psw(), &guest.to_bytes())?;
            real.write(cpu, lowcore::IO_CODE, &interruption_code(subclass))?;
            Ok(new)
        });
        match swap {
            Ok(new) => {
                let left = pending & !(0x80 >> subclass);
                cpu.write_absolute(gisa + PENDING, &[left]);
                machine.model().sie().interrupted(description.0);
                Some(self.load(cpu, machine, Psw::parse(&new)?))
            }
            Err(Fault::Host(fault)) => Some(self.leave_at_fault(cpu, machine, fault, guest)),
            // Real addresses have no exceptions of the guest.
            Err(Fault::Guest { .. }) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_enabled_subclass_goes_first() {
        assert_eq!(subclass(0b0001_0001, 0xff00_0000), Some(3));
        assert_eq!(subclass(0b0001_0001, 0x0f00_0000), Some(7));
        assert_eq!(subclass(0b0001_0001, 0x2e00_0000), None);
        assert_eq!(interruption_code(5)[8..], [0xa8, 0, 0, 0]);
    }
}
