// SPDX-License-Identifier: GPL-2.0
//! The state description: the block of storage in which the host and the machine exchange
//! information about a guest CPU. This module has only its layout and its access functions.
//!
//! Source: `struct kvm_s390_sie_block` in Linux,
//! arch/s390/include/asm/kvm_host_s390_types.h.

use super::psw::Psw;
use crate::cpu::Cpu;
use ap_model::Apcb;

/// A state description, given by its absolute address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct StateDescription(pub(crate) u64);

/// The offset and the length of a field.
pub(crate) type Field = (u64, usize);

pub(crate) const CPUFLAGS: Field = (0x00, 4);
const PREFIX: Field = (0x04, 4);
pub(crate) const CPU_TIMER: Field = (0x28, 8);
pub(crate) const CLOCK_COMPARATOR: Field = (0x30, 8);
pub(crate) const EPOCH: Field = (0x38, 8);
/// The intercepted LCTL instructions, with a bit for each control register.
pub(crate) const LCTL_CONTROL: Field = (0x44, 2);
pub(crate) const CPU_NUMBER: Field = (0x46, 2);
pub(crate) const INTERCEPTION_CONTROLS: Field = (0x48, 4);
pub(crate) const EXECUTION_CONTROLS_A: Field = (0x4c, 4);
pub(crate) const INTERCEPTION_CODE: Field = (0x50, 1);
pub(crate) const INTERCEPTION_STATUS: Field = (0x51, 1);
/// The host CPU on which the guest CPU ran last.
pub(crate) const HOST_CPU: Field = (0x52, 2);
/// The intercepted instruction: the first two bytes, and four more.
pub(crate) const INSTRUCTION: Field = (0x56, 2);
pub(crate) const INSTRUCTION_REST: Field = (0x58, 4);
const GISA: Field = (0x70, 4);
const PSW: u64 = 0x90;
/// General registers 14 and 15; the host keeps the others.
pub(crate) const GR_14: Field = (0xa0, 8);
pub(crate) const GR_15: Field = (0xa8, 8);
pub(crate) const PROGRAM_ILC: Field = (0xcc, 2);
pub(crate) const PROGRAM_CODE: Field = (0xce, 2);
pub(crate) const TRANSLATION_ID: Field = (0xe8, 8);
const CRYPTO_CONTROL: Field = (0xfc, 4);
const CONTROL_REGISTERS: u64 = 0x100;
const FACILITIES: Field = (0x1a0, 4);
/// The program parameter, which LPP sets.
pub(crate) const PROGRAM_PARAMETER: Field = (0x1de, 8);

/// The bits of the flags for requests of the host.
pub(crate) mod cpuflags {
    pub(crate) const STOP: u32 = 0x0400_0000;
    pub(crate) const IO: u32 = 0x0200_0000;
    pub(crate) const EXTERNAL: u32 = 0x0100_0000;
}

/// Bits of the interception controls.
pub(crate) mod controls {
    pub(crate) const OPERATION_EXCEPTION: u32 = 0x8000_0000;
    pub(crate) const PROGRAM_INTERRUPTION: u32 = 0x2000_0000;
    pub(crate) const LPSW: u32 = 0x0040_0000;
    pub(crate) const STCTL: u32 = 0x0004_0000;
}

/// Bits of the execution controls A.
pub(crate) mod execution_a {
    /// AP instructions are interpreted.
    pub(crate) const AP: u32 = 0x0000_0008;
    /// Adapter interruptions are virtualized.
    pub(crate) const ADAPTER_INTERRUPTIONS: u32 = 0x0020_0000;
}

impl StateDescription {
    pub(crate) fn get(self, cpu: &impl Cpu, (offset, length): Field) -> u64 {
        cpu.number_at(self.0 + offset, length).unwrap_or(0)
    }

    pub(crate) fn set(self, cpu: &mut impl Cpu, (offset, length): Field, value: u64) {
        cpu.write_absolute(self.0 + offset, &value.to_be_bytes()[8 - length..]);
    }

    /// Returns a field of 32 bits.
    pub(crate) fn word(self, cpu: &impl Cpu, field: Field) -> u32 {
        self.get(cpu, field) as u32
    }

    /// Returns the guest's prefix, an absolute address of the guest.
    pub(crate) fn prefix(self, cpu: &impl Cpu) -> u64 {
        self.get(cpu, PREFIX) & 0x7fff_e000
    }

    pub(crate) fn psw(self, cpu: &impl Cpu) -> Psw {
        Psw {
            mask: self.get(cpu, (PSW, 8)),
            address: self.get(cpu, (PSW + 8, 8)),
        }
    }

    pub(crate) fn set_psw(self, cpu: &mut impl Cpu, psw: Psw) {
        cpu.write_absolute(self.0 + PSW, &psw.to_bytes());
    }

    pub(crate) fn cr(self, cpu: &impl Cpu, number: u8) -> u64 {
        self.get(cpu, Self::cr_field(number))
    }

    pub(crate) const fn cr_field(number: u8) -> Field {
        (CONTROL_REGISTERS + 8 * number as u64, 8)
    }

    /// Returns the address of the guest's facility list, if it has its own.
    pub(crate) fn facilities(self, cpu: &impl Cpu) -> Option<u64> {
        match self.get(cpu, FACILITIES) & 0x7fff_fff8 {
            0 => None,
            address => Some(address),
        }
    }

    /// Returns the address of the guest interruption state area, if there is one.
    pub(crate) fn gisa(self, cpu: &impl Cpu) -> Option<u64> {
        match self.get(cpu, GISA) & !0b11 {
            0 => None,
            address => Some(address),
        }
    }

    /// Returns the guest's AP masks.
    pub(crate) fn apcb(self, cpu: &impl Cpu) -> Apcb {
        let designation = self.word(cpu, CRYPTO_CONTROL);
        let (offset, length) = Apcb::place(designation);
        let block = u64::from(designation & !0b111) + offset;
        Apcb::parse(
            designation,
            &cpu.read_absolute(block, length).unwrap_or_default(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::fake::FakeCpu;

    #[test]
    fn fields_are_read_and_written_in_place() {
        let mut cpu = FakeCpu::new();
        let description = StateDescription(0x1000);
        description.set(&mut cpu, INSTRUCTION, 0xb2af);
        assert_eq!(cpu.storage[0x1056..0x1058], [0xb2, 0xaf]);
        assert_eq!(description.word(&cpu, INSTRUCTION), 0xb2af);
        cpu.storage[0x1004..0x1008].copy_from_slice(&[0x80, 0x01, 0xe1, 0x23]);
        assert_eq!(description.prefix(&cpu), 0x1_e000);
        let psw = Psw {
            mask: 1,
            address: 2,
        };
        description.set_psw(&mut cpu, psw);
        assert_eq!(description.psw(&cpu), psw);
    }

    #[test]
    fn the_apcb_is_found_through_the_crypto_control_block() {
        let mut cpu = FakeCpu::new();
        let description = StateDescription(0x1000);
        cpu.storage[0x2080] = 0x40;
        cpu.storage[0x2000] = 0x80;
        description.set(&mut cpu, CRYPTO_CONTROL, 0x2003);
        assert_eq!(description.apcb(&cpu).apm.to_string(), "1");
        description.set(&mut cpu, CRYPTO_CONTROL, 0x2001);
        assert_eq!(description.apcb(&cpu).apm.to_string(), "0");
    }
}
