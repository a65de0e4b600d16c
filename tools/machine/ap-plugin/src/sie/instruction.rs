// SPDX-License-Identifier: GPL-2.0
//! Decodes the fields of a trapped instruction of a guest, and dispatches it.

use super::exception::Exception;
use super::interception::code as icpt;
use super::lowcore::{self, code};
use super::psw::{self, Psw, bits};
use super::shadow::Purge;
use super::state_description::{self as field, controls};
use super::storage::Window;
use super::translation::{Fault, Space};
use super::{Running, Sie, ap, privileged, tables};
use crate::cpu::Cpu;
use crate::machine::Machine;
use ap_model::sie::Exit;

/// The bytes of an instruction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Instruction {
    pub(super) bytes: [u8; 6],
    pub(super) length: usize,
}

impl Instruction {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut all = [0; 6];
        let length = bytes.len().min(6);
        all[..length].copy_from_slice(&bytes[..length]);
        Self { bytes: all, length }
    }

    /// Returns the first two bytes.
    pub(super) const fn operation(self) -> u16 {
        u16::from_be_bytes([self.bytes[0], self.bytes[1]])
    }

    /// Returns the R1 field of formats RRE and RRF.
    pub(super) const fn r1(self) -> u8 {
        self.bytes[3] >> 4
    }
    pub(super) const fn r2(self) -> u8 {
        self.bytes[3] & 0xf
    }
    pub(super) const fn r3(self) -> u8 {
        self.bytes[2] >> 4
    }

    /// Returns the first register field of formats RS, RSY, RX, RXY and SSF, which is in the second
    /// byte.
    pub(super) const fn first(self) -> u8 {
        self.bytes[1] >> 4
    }
    pub(super) const fn second(self) -> u8 {
        self.bytes[1] & 0xf
    }

    /// Returns the base register and the displacement in the halfword at `offset`.
    pub(super) const fn base(self, offset: usize) -> (u8, u16) {
        let (high, low) = (self.bytes[offset], self.bytes[offset + 1]);
        (high >> 4, u16::from_be_bytes([high & 0xf, low]))
    }

    /// Returns the upper part of a long displacement.
    pub(super) const fn high_displacement(self) -> u64 {
        (((self.bytes[4] as i8) as i64) << 12).cast_unsigned()
    }
}

/// The result of an instruction that was executed for a guest.
pub(super) enum Outcome {
    /// The guest continues with the next instruction.
    Next,
    /// The guest continues with this PSW.
    Load(Psw),
    /// The host executes the instruction.
    Intercept,
}

/// The reason for an instruction that could not be finished.
pub(super) enum Stop {
    /// An access to the space with this number has failed.
    Access(Fault, u64),
    /// Low-address protection does not allow a store to this address.
    LowAddress(u64),
    /// The instruction causes a program interruption with this code.
    Program(u16),
}

/// A guest CPU during an instruction.
pub(super) struct Context<'a, C> {
    pub(super) cpu: &'a mut C,
    pub(super) machine: &'a Machine,
    pub(super) running: &'a mut Running,
    pub(super) instruction: Instruction,
    /// The address of the next instruction.
    pub(super) next: u64,
    /// The translations that the instruction purges, on this CPU or on all.
    pub(super) purge: Option<(Reach, Purge)>,
}

/// The CPUs that a purge affects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    /// This CPU.
    Here,
    /// All CPUs.
    Everywhere,
}

impl<C: Cpu> Context<'_, C> {
    /// Truncates an address according to the addressing mode.
    pub(super) fn address(&self, value: u64) -> u64 {
        const BASIC: u64 = 1 << 31;
        match (
            self.running.mask & bits::EXTENDED,
            self.running.mask & BASIC,
        ) {
            (0, 0) => value & 0xff_ffff,
            (0, _) => value & 0x7fff_ffff,
            _ => value,
        }
    }

    pub(super) fn base(&self, register: u8) -> u64 {
        match register {
            0 => 0,
            register => self.cpu.gr(register),
        }
    }

    /// Returns the address of the operand with base and displacement in the halfword at `offset`.
    /// `high` is the upper part of a long displacement.
    pub(super) fn operand(&self, offset: usize, high: u64) -> u64 {
        let (base, displacement) = self.instruction.base(offset);
        let sum = self.base(base).wrapping_add(displacement.into());
        self.address(sum.wrapping_add(high))
    }

    fn operands(&self) -> Window {
        Window {
            storage: self.running.storage,
            space: self.running.operand_space(self.cpu),
        }
    }

    /// Fetches an operand.
    pub(super) fn fetch(&self, address: u64, length: usize) -> Result<Vec<u8>, Stop> {
        let space = psw::space_of(self.running.mask);
        self.operands()
            .read(self.cpu, address, length)
            .map_err(|fault| Stop::Access(fault, space))
    }

    /// Fetches an operand of at most 8 bytes.
    pub(super) fn number(&self, address: u64, length: usize) -> Result<u64, Stop> {
        let space = psw::space_of(self.running.mask);
        self.operands()
            .number(self.cpu, address, length)
            .map_err(|fault| Stop::Access(fault, space))
    }

    /// Stores an operand.
    pub(super) fn store(&mut self, address: u64, data: &[u8]) -> Result<(), Stop> {
        if self.running.protects(self.cpu, address) {
            return Err(Stop::LowAddress(address));
        }
        let space = psw::space_of(self.running.mask);
        self.operands()
            .write(self.cpu, address, data)
            .map_err(|fault| Stop::Access(fault, space))
    }

    /// Fetches a number from real storage.
    pub(super) fn real_number(&self, address: u64, length: usize) -> Result<u64, Stop> {
        self.running
            .real()
            .number(self.cpu, address, length)
            .map_err(|fault| Stop::Access(fault, 0))
    }

    /// Stores into real storage.
    pub(super) fn store_real(&mut self, address: u64, data: &[u8]) -> Result<(), Stop> {
        self.running
            .real()
            .write(self.cpu, address, data)
            .map_err(|fault| Stop::Access(fault, 0))
    }

    pub(super) fn set_cc(&mut self, cc: u8) {
        self.running.mask = psw::with_cc(self.running.mask, cc);
    }

    /// Sets the right half of a register.
    pub(super) fn set_right(&mut self, register: u8, value: u64) {
        let left = self.cpu.gr(register) & !0xffff_ffff;
        self.cpu.set_gr(register, left | value & 0xffff_ffff);
    }

    fn execute(&mut self, exception: u16) -> Result<Outcome, Stop> {
        if let Some(result) = ap::execute(self) {
            return result;
        }
        if exception == code::ADDRESSING {
            return tables::move_with_keys(self);
        }
        if exception == code::OPERATION || self.running.mask & bits::PROBLEM != 0 {
            return Err(Stop::Program(exception));
        }
        match tables::execute(self) {
            Some(result) => result,
            None => privileged::execute(self),
        }
    }
}

impl Sie {
    /// Returns the instruction of `length` bytes at `at`.
    fn instruction(&self, cpu: &impl Cpu, at: u64, length: usize) -> Result<Instruction, Fault> {
        let (storage, space) = match &self.running {
            Some(running) => (running.storage, running.program_space(cpu)),
            None => return Ok(Instruction::new(&[])),
        };
        let bytes = Window { storage, space }.read(cpu, at, length)?;
        Ok(Instruction::new(&bytes))
    }

    /// Returns true if the instruction at `at` is MVCOS, which QEMU does not execute in the problem
    /// state.
    pub(super) fn is_mvcos(&self, cpu: &impl Cpu, at: u64, length: u64) -> bool {
        length == 6 && self.instruction(cpu, at, 6).is_ok_and(tables::is_mvcos)
    }

    /// Handles the privileged instruction at `at`, which does not trap and which the guest is about
    /// to execute. Returns the PSW with which the CPU continues.
    pub(crate) fn trap(
        &mut self,
        cpu: &mut impl Cpu,
        machine: &Machine,
        at: u64,
        length: usize,
    ) -> Psw {
        if let Some(running) = &mut self.running {
            running.mask = psw::absorb(running.mask, cpu.psw_mask());
        }
        self.execute(cpu, machine, code::PRIVILEGED, at, length)
    }

    /// Executes the instruction at `at` for the guest, after its trap with the exception `code`.
    pub(super) fn execute(
        &mut self,
        cpu: &mut impl Cpu,
        machine: &Machine,
        exception: u16,
        at: u64,
        length: usize,
    ) -> Psw {
        let instruction = match self.instruction(cpu, at, length) {
            Ok(instruction) => instruction,
            Err(fault) => {
                let space = self
                    .running
                    .as_ref()
                    .map_or(0, |running| psw::space_of(running.mask));
                return self.fault(cpu, machine, fault, space, at, length as u64);
            }
        };
        let Some(running) = &mut self.running else {
            return Psw::default();
        };
        let next = at.wrapping_add(length as u64);
        let mut context = Context {
            cpu: &mut *cpu,
            machine,
            running,
            instruction,
            next,
            purge: None,
        };
        let result = context.execute(exception);
        match context.purge {
            None => {}
            Some((Reach::Here, purge)) => self.purge(cpu, purge),
            Some((Reach::Everywhere, purge)) => {
                machine.shadows().purge(purge);
                self.purge_as_asked(cpu, machine);
            }
        }
        match result {
            Ok(Outcome::Next) => self.resume(cpu, next),
            Ok(Outcome::Load(psw)) => self.load(cpu, machine, psw),
            Ok(Outcome::Intercept) => {
                self.intercept(cpu, machine, instruction, icpt::INSTRUCTION, next)
            }
            Err(Stop::Access(fault, space)) => {
                self.fault(cpu, machine, fault, space, at, length as u64)
            }
            Err(Stop::LowAddress(address)) => {
                let space = psw::space_of(self.running.as_ref().map_or(0, |guest| guest.mask));
                let exception = Exception {
                    code: code::PROTECTION,
                    length: length as u64,
                    at,
                    translation_id: lowcore::low_address_id(address, space),
                };
                self.deliver(cpu, machine, exception)
            }
            Err(Stop::Program(code::OPERATION)) if self.wants_operation_exceptions(cpu) => {
                self.intercept(cpu, machine, instruction, icpt::OPERATION, next)
            }
            Err(Stop::Program(code)) => {
                let exception = Exception {
                    code,
                    length: length as u64,
                    at,
                    translation_id: 0,
                };
                self.deliver(cpu, machine, exception)
            }
        }
    }

    fn wants_operation_exceptions(&self, cpu: &impl Cpu) -> bool {
        self.running.as_ref().is_some_and(|running| {
            running.description.word(cpu, field::INTERCEPTION_CONTROLS)
                & controls::OPERATION_EXCEPTION
                != 0
        })
    }

    /// Ends the guest with an interception. The PSW points to the next instruction, and the host
    /// executes the instruction.
    fn intercept(
        &mut self,
        cpu: &mut impl Cpu,
        machine: &Machine,
        instruction: Instruction,
        code: u8,
        next: u64,
    ) -> Psw {
        let Some(running) = &self.running else {
            return Psw::default();
        };
        let [_, _, rest @ ..] = instruction.bytes;
        let rest = u64::from(u32::from_be_bytes(rest));
        let description = running.description;
        description.set(cpu, field::INSTRUCTION, instruction.operation().into());
        description.set(cpu, field::INSTRUCTION_REST, rest);
        let guest = Psw {
            mask: running.mask,
            address: next,
        };
        self.leave(cpu, machine, Exit::Interception(code), guest)
    }
}

/// Returns a window on `space`, which can differ from the space of the operands.
pub(super) const fn window(running: &Running, space: Space) -> Window {
    Window {
        storage: running.storage,
        space,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let lctlg = Instruction::new(&[0xeb, 0x1f, 0xf0, 0xa8, 0xff, 0x2f]);
        assert_eq!((lctlg.first(), lctlg.second()), (1, 15));
        assert_eq!(lctlg.base(2), (15, 0xa8));
        assert_eq!(lctlg.high_displacement(), (-0x1000_i64).cast_unsigned());
        let ipte = Instruction::new(&[0xb2, 0x21, 0x40, 0x23]);
        assert_eq!((ipte.r1(), ipte.r2(), ipte.r3()), (2, 3, 4));
        assert_eq!((ipte.operation(), ipte.length), (0xb221, 4));
    }
}
