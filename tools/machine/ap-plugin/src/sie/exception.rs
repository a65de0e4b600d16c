// SPDX-License-Identifier: GPL-2.0
//! Interruptions while a guest runs. They arrive as interruptions of the host. This module decides
//! if they belong to the host or to the guest.

use super::Sie;
use super::lowcore::{self, Class, code, teid};
use super::psw::{self, Psw, bits, space};
use super::shadow::Purge;
use super::state_description::{self as field, controls};
use super::translation::Fault;
use crate::cpu::Cpu;
use crate::machine::Machine;
use ap_model::sie::Exit;

/// A program interruption of a guest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exception {
    pub(super) code: u16,
    /// The length of the instruction.
    pub(super) length: u64,
    /// The address of the instruction.
    pub(super) at: u64,
    /// The translation-exception identification, for the exceptions that have one.
    pub(super) translation_id: u64,
}

impl Exception {
    /// Returns the address for the old PSW.
    fn old_address(&self) -> u64 {
        if lowcore::nullifies(self.code) {
            self.at
        } else {
            self.at.wrapping_add(self.length)
        }
    }

    fn has_translation_id(&self) -> bool {
        self.code == code::PROTECTION || lowcore::nullifies(self.code)
    }
}

impl Sie {
    /// Handles an interruption of the CPU. The handler at `to` is about to run.
    pub(crate) fn interrupted(&mut self, cpu: &mut impl Cpu, machine: &Machine, to: u64) {
        let prefix = cpu.prefix();
        let class = Class::ALL
            .into_iter()
            .find(|class| cpu.number_at(prefix + class.new_psw() + 8, 8) == Some(to));
        let Some(class) = class else {
            crate::machine::say(format_args!("an interruption to {to:x} is none"));
            return;
        };
        let old = cpu
            .read_absolute(prefix + class.old_psw(), 16)
            .and_then(|bytes| Psw::parse(&bytes))
            .unwrap_or_default();
        let parked = self.parked.take();
        let Some(running) = &mut self.running else {
            // The host has been restored, but has not run yet.
            if let Some(parked) = parked {
                cpu.write_absolute(prefix + class.old_psw(), &parked.to_bytes());
            }
            return;
        };
        let old = parked.unwrap_or(old);
        running.mask = psw::absorb(running.mask, old.mask);
        let guest = Psw {
            mask: running.mask,
            address: old.address,
        };
        match class {
            Class::Program if parked.is_none() => {
                self.parked = Some(self.program(cpu, machine, guest));
            }
            Class::Svc if parked.is_none() => {
                self.parked = Some(self.supervisor_call(cpu, machine, guest));
            }
            _ => self.leave_interrupted(cpu, machine, class, guest),
        }
    }

    /// Handles a program interruption with the guest's old PSW.
    fn program(&mut self, cpu: &mut impl Cpu, machine: &Machine, old: Psw) -> Psw {
        let prefix = cpu.prefix();
        let stored = |offset| cpu.number_at(prefix + offset, 2).unwrap_or(0) as u16;
        let length = u64::from(stored(lowcore::PROGRAM_ILC) & 6);
        let code = stored(lowcore::PROGRAM_CODE) & !code::EVENTS;
        let at = if lowcore::nullifies(code) {
            old.address
        } else {
            old.address.wrapping_sub(length)
        };
        match code {
            code::OPERATION | code::PRIVILEGED => {
                self.execute(cpu, machine, code, at, length as usize)
            }
            code::ADDRESSING if self.is_mvcos(cpu, at, length) => {
                self.execute(cpu, machine, code, at, length as usize)
            }
            code if code == code::PROTECTION || lowcore::nullifies(code) => {
                self.missing(cpu, machine, code, at, length)
            }
            code => {
                let exception = Exception {
                    code,
                    length,
                    at,
                    translation_id: 0,
                };
                self.deliver(cpu, machine, exception)
            }
        }
    }

    /// Handles an access to a page that the shadow tables do not map. The page was not needed
    /// before, or is missing in the tables of the host or of the guest.
    fn missing(
        &mut self,
        cpu: &mut impl Cpu,
        machine: &Machine,
        code: u16,
        at: u64,
        length: u64,
    ) -> Psw {
        let id = cpu
            .number_at(cpu.prefix() + lowcore::TRANSLATION_ID, 8)
            .unwrap_or(0);
        let Some(running) = &self.running else {
            return Psw::default();
        };
        if code == code::PROTECTION && id & teid::KIND != 0 {
            // The exception is caused by the guest's control register 0, and not by a missing
            // entry.
            let space = psw::space_of(running.mask);
            let exception = Exception {
                code,
                length,
                at,
                translation_id: id & !teid::SPACE | space,
            };
            return self.deliver(cpu, machine, exception);
        }
        let store = code == code::PROTECTION || id & teid::STORE != 0;
        let translated = running.mask & bits::DAT != 0;
        let secondary = translated && id & teid::SPACE == space::SECONDARY;
        let space = if secondary {
            running.secondary_space(cpu)
        } else {
            running.program_space(cpu)
        };
        let storage = running.storage;
        let address = id & teid::PAGE;
        match storage.locate(cpu, space, address, store) {
            Ok(place) => {
                if self.shadow.make_room(1) {
                    self.purge(cpu, Purge::All);
                }
                let asce = self.shadow.asce(cpu, storage, space);
                self.shadow.map(cpu, asce, address, place);
                self.resume(cpu, at)
            }
            Err(fault) => {
                let of = if secondary {
                    space::SECONDARY
                } else {
                    psw::space_of(running.mask)
                };
                self.fault(cpu, machine, fault, of, at, length)
            }
        }
    }

    /// Handles a failed access to a space of the guest by the instruction at `at`.
    pub(super) fn fault(
        &mut self,
        cpu: &mut impl Cpu,
        machine: &Machine,
        fault: Fault,
        space: u64,
        at: u64,
        length: u64,
    ) -> Psw {
        match fault {
            Fault::Host(fault) => {
                let guest = Psw {
                    mask: self.running.as_ref().map_or(0, |running| running.mask),
                    address: at,
                };
                self.leave_at_fault(cpu, machine, fault, guest)
            }
            Fault::Guest {
                code,
                address,
                store,
            } => {
                let exception = Exception {
                    code,
                    length,
                    at,
                    translation_id: lowcore::translation_id(code, address, store, space),
                };
                self.deliver(cpu, machine, exception)
            }
        }
    }

    /// Delivers the interruption to the guest's program, or intercepts it.
    pub(super) fn deliver(
        &mut self,
        cpu: &mut impl Cpu,
        machine: &Machine,
        exception: Exception,
    ) -> Psw {
        let Some(running) = &self.running else {
            return Psw::default();
        };
        let description = running.description;
        let old = Psw {
            mask: running.mask,
            address: exception.old_address(),
        };
        if description.word(cpu, field::INTERCEPTION_CONTROLS) & controls::PROGRAM_INTERRUPTION != 0
        {
            description.set(cpu, field::PROGRAM_ILC, exception.length);
            description.set(cpu, field::PROGRAM_CODE, u64::from(exception.code));
            description.set(cpu, field::TRANSLATION_ID, exception.translation_id);
            let exit = Exit::Interception(super::interception::code::PROGRAM);
            return self.leave(cpu, machine, exit, old);
        }
        let host = cpu.prefix();
        let mut stores = vec![
            (
                lowcore::PROGRAM_ILC,
                [exception.length as u16, exception.code]
                    .map(u16::to_be_bytes)
                    .concat(),
            ),
            (Class::Program.old_psw(), old.to_bytes().to_vec()),
        ];
        if exception.has_translation_id() {
            stores.push((
                lowcore::TRANSLATION_ID,
                exception.translation_id.to_be_bytes().to_vec(),
            ));
            stores.push((lowcore::ACCESS_ID, vec![0]));
        }
        // The CPU has stored these fields for the host.
        for (offset, length) in [(lowcore::DATA_CODE, 4), (lowcore::BREAKING_EVENT, 8)] {
            stores.push((
                offset,
                cpu.read_absolute(host + offset, length).unwrap_or_default(),
            ));
        }
        let retry = exception.at;
        self.swap(cpu, machine, Class::Program, &stores, retry)
    }

    /// Handles SUPERVISOR CALL. The guest's PSW points to the next instruction.
    fn supervisor_call(&mut self, cpu: &mut impl Cpu, machine: &Machine, old: Psw) -> Psw {
        let code = cpu
            .read_absolute(cpu.prefix() + lowcore::SVC_ILC, 4)
            .unwrap_or_default();
        let length = code.get(1).map_or(0, |length| u64::from(length & 6));
        let stores = [
            (lowcore::SVC_ILC, code),
            (Class::Svc.old_psw(), old.to_bytes().to_vec()),
        ];
        let retry = old.address.wrapping_sub(length);
        self.swap(cpu, machine, Class::Svc, &stores, retry)
    }

    /// Interrupts the guest's program: stores in its prefix area, and loads its new PSW. If the
    /// host has to provide that area first, the guest is resumed at `retry`.
    fn swap(
        &mut self,
        cpu: &mut impl Cpu,
        machine: &Machine,
        class: Class,
        stores: &[(u64, Vec<u8>)],
        retry: u64,
    ) -> Psw {
        let Some(running) = &self.running else {
            return Psw::default();
        };
        let (real, mask) = (running.real(), running.mask);
        let new = real.read(cpu, class.new_psw(), 16).and_then(|new| {
            for (offset, data) in stores {
                real.write(cpu, *offset, data)?;
            }
            Ok(new)
        });
        match new {
            Ok(new) => {
                let new = Psw::parse(&new).unwrap_or_default();
                self.load(cpu, machine, new)
            }
            Err(fault) => {
                let guest = Psw {
                    mask,
                    address: retry,
                };
                match fault {
                    Fault::Host(fault) => self.leave_at_fault(cpu, machine, fault, guest),
                    // An access with a real address causes no exception of the guest.
                    Fault::Guest { .. } => self.resume(cpu, retry),
                }
            }
        }
    }
}
