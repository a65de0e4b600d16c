// SPDX-License-Identifier: GPL-2.0
//! The swap: enters, leaves and resumes a guest.

use super::interception::{self, code};
use super::lowcore::{self, Class};
use super::psw::{self, Psw, bits, space};
use super::shadow::Purge;
use super::state_description::{self as field, StateDescription, cpuflags};
use super::translation::{GuestStorage, HostFault, Space};
use super::{Host, Running, SWAPPED_CR, SWAPPED_GR, Sie};
use crate::cpu::Cpu;
use crate::interruption;
use crate::machine::Machine;
use ap_model::sie::{Exit, HostEvent};

/// The bits of control register 0 that the guest controls: low-address protection and
/// instruction-execution protection, which use its addresses and tables, and the use of all
/// floating-point registers and of vector registers.
const CR0_OWN: u64 = LOW_ADDRESS_PROTECTION | 0x0010_0000 | 0x0004_0000 | 0x0002_0000;
const LOW_ADDRESS_PROTECTION: u64 = 0x1000_0000;
/// Enhanced translation. The walk of the guest's tables uses this bit.
const CR0_LARGE: u64 = 0x0080_0000;
/// The bits that are set while a guest runs: secondary space and extraction authority. The problem
/// state needs them, and the supervisor state does not.
const CR0_ON: u64 = 0x0400_0000 | 0x0800_0000;
/// All access keys, in control register 3.
const CR3_ON: u64 = 0xffff_0000;

impl Running {
    /// Returns the space of the guest's program.
    pub(super) fn program_space(&self, cpu: &impl Cpu) -> Space {
        if self.mask & bits::DAT == 0 {
            return Space::Real;
        }
        let register = match psw::space_of(self.mask) {
            space::HOME => 13,
            _ => 1,
        };
        Space::designated_by(self.description.cr(cpu, register))
    }

    pub(super) fn secondary_space(&self, cpu: &impl Cpu) -> Space {
        Space::designated_by(self.description.cr(cpu, 7))
    }

    /// Returns the space of the guest's operands.
    pub(super) fn operand_space(&self, cpu: &impl Cpu) -> Space {
        match psw::space_of(self.mask) {
            space::SECONDARY => self.secondary_space(cpu),
            _ => self.program_space(cpu),
        }
    }

    /// Returns true if low-address protection prevents a store of the guest to `address`.
    pub(super) fn protects(&self, cpu: &impl Cpu, address: u64) -> bool {
        lowcore::is_low(address) && self.description.cr(cpu, 0) & LOW_ADDRESS_PROTECTION != 0
    }

    /// Returns control register 0 for running the guest.
    fn cr0(&self, cpu: &impl Cpu) -> u64 {
        let [host, ..] = self.host.cr;
        host & !CR0_OWN | CR0_ON | self.description.cr(cpu, 0) & CR0_OWN
    }

    fn requested(&self, cpu: &impl Cpu) -> Option<u8> {
        interception::requested(self.description.word(cpu, field::CPUFLAGS), self.mask)
    }
}

impl Sie {
    /// Executes SIE with this state description. The host continues at `next`. Returns the PSW with
    /// which the CPU continues.
    pub(crate) fn enter(
        &mut self,
        cpu: &mut impl Cpu,
        machine: &Machine,
        origin: u64,
        next: u64,
    ) -> Psw {
        let description = StateDescription(origin);
        let host = Host {
            psw: Psw {
                mask: cpu.psw_mask(),
                address: next,
            },
            gr: SWAPPED_GR.map(|number| cpu.gr(number)),
            cr: SWAPPED_CR.map(|number| cpu.cr(number)),
        };
        let number = description.word(cpu, field::CPU_NUMBER) as u16;
        machine.model().sie().entered(origin, number);
        cpu.set_gr(14, description.get(cpu, field::GR_14));
        cpu.set_gr(15, description.get(cpu, field::GR_15));
        let [_, cr1, cr3, _] = host.cr;
        let running = Running {
            description,
            mask: 0,
            storage: GuestStorage {
                gmap: cr1,
                prefix: description.prefix(cpu),
                large: description.cr(cpu, 0) & CR0_LARGE != 0,
            },
            loaded: (0, 0),
            cr0: 0,
            ran: false,
            host,
        };
        self.running = Some(running);
        let guest = description.psw(cpu);
        if !self.shadow.is_placed(machine.shadows(), cpu.index()) {
            return self.leave(cpu, machine, Exit::Interception(code::VALIDITY), guest);
        }
        cpu.set_cr(3, cr3 | CR3_ON);
        // If the guest CPU has run on another CPU in the meantime, its tables may have been purged
        // there. The host requests a purge by an impossible CPU number.
        let home = u64::from(cpu.index());
        self.purge_as_asked(cpu, machine);
        if description.get(cpu, field::HOST_CPU) != home {
            description.set(cpu, field::HOST_CPU, home);
            self.purge(cpu, Purge::All);
        }
        self.load(cpu, machine, guest)
    }

    /// Leaves the guest and saves the guest's PSW. Returns the PSW of the host.
    pub(super) fn leave(
        &mut self,
        cpu: &mut impl Cpu,
        machine: &Machine,
        exit: Exit,
        guest: Psw,
    ) -> Psw {
        let Some(running) = self.running.take() else {
            return guest;
        };
        let description = running.description;
        description.set_psw(cpu, guest);
        for (number, place) in SWAPPED_GR.into_iter().zip([field::GR_14, field::GR_15]) {
            let value = cpu.gr(number);
            description.set(cpu, place, value);
        }
        let icpt = match exit {
            Exit::Interception(code) => code,
            Exit::Host(_) => code::NONE,
        };
        description.set(cpu, field::INTERCEPTION_CODE, u64::from(icpt));
        description.set(cpu, field::INTERCEPTION_STATUS, 0);
        for (number, value) in SWAPPED_GR.into_iter().zip(running.host.gr) {
            cpu.set_gr(number, value);
        }
        for (number, value) in SWAPPED_CR.into_iter().zip(running.host.cr) {
            cpu.set_cr(number, value);
        }
        let kicked = running.ran && description.word(cpu, field::CPUFLAGS) & cpuflags::STOP != 0;
        machine.model().sie().left(description.0, exit, kicked);
        running.host.psw
    }

    /// Leaves the guest because of an interruption of the host. The interruption appears after SIE.
    pub(super) fn leave_interrupted(
        &mut self,
        cpu: &mut impl Cpu,
        machine: &Machine,
        class: Class,
        guest: Psw,
    ) {
        let host = self.leave(cpu, machine, Exit::Host(HostEvent::Interruption), guest);
        cpu.write_absolute(cpu.prefix() + class.old_psw(), &host.to_bytes());
    }

    /// Leaves the guest because the host has to provide storage. This is a program interruption of
    /// the host with the guest's absolute address. Returns the PSW of the host's handler.
    pub(super) fn leave_at_fault(
        &mut self,
        cpu: &mut impl Cpu,
        machine: &Machine,
        fault: HostFault,
        guest: Psw,
    ) -> Psw {
        let host = self.leave(cpu, machine, Exit::Host(HostEvent::Fault), guest);
        let prefix = cpu.prefix();
        let code = if fault.protected {
            lowcore::code::PROTECTION
        } else {
            lowcore::code::PAGE
        };
        const ILC: u16 = 4;
        let id = lowcore::translation_id(code, fault.address, fault.store, 0);
        cpu.write_absolute(prefix + lowcore::PROGRAM_ILC, &ILC.to_be_bytes());
        cpu.write_absolute(prefix + lowcore::PROGRAM_CODE, &code.to_be_bytes());
        cpu.write_absolute(prefix + lowcore::TRANSLATION_ID, &id.to_be_bytes());
        cpu.write_absolute(prefix + Class::Program.old_psw(), &host.to_bytes());
        cpu.read_absolute(prefix + Class::Program.new_psw(), 16)
            .and_then(|bytes| Psw::parse(&bytes))
            .unwrap_or(host)
    }

    /// Loads a PSW of the guest. The guest then continues, waits, or is interrupted.
    pub(super) fn load(&mut self, cpu: &mut impl Cpu, machine: &Machine, guest: Psw) -> Psw {
        let Some(running) = &mut self.running else {
            return guest;
        };
        running.mask = guest.mask;
        if let Some(code) = running.requested(cpu) {
            return self.leave(cpu, machine, Exit::Interception(code), guest);
        }
        if let Some(next) = self.interrupt_by_adapter(cpu, machine, guest) {
            return next;
        }
        if guest.mask & bits::WAIT != 0 {
            return self.leave(cpu, machine, Exit::Interception(code::WAIT), guest);
        }
        self.resume(cpu, guest.address)
    }

    /// Resumes the guest at `address` with its current mask.
    pub(super) fn resume(&mut self, cpu: &mut impl Cpu, address: u64) -> Psw {
        self.load_spaces(cpu);
        let mask = match &mut self.running {
            Some(running) => {
                running.ran = true;
                psw::real_mask(running.mask, running.host.psw.mask)
            }
            None => cpu.psw_mask(),
        };
        Psw { mask, address }
    }

    /// Sets the control registers of the CPU to the shadow tables of the guest's spaces.
    fn load_spaces(&mut self, cpu: &mut impl Cpu) {
        let Some(running) = &mut self.running else {
            return;
        };
        if self.shadow.make_room(2) {
            running.loaded = (0, 0);
        }
        let cr0 = running.cr0(cpu);
        running.storage.large = running.description.cr(cpu, 0) & CR0_LARGE != 0;
        if running.cr0 != cr0 {
            running.cr0 = cr0;
            cpu.set_cr(0, cr0);
        }
        let space = running.program_space(cpu);
        let primary = self.shadow.asce(cpu, running.storage, space);
        if running.loaded.0 != primary {
            running.loaded.0 = primary;
            cpu.set_cr(1, primary);
        }
        if running.mask & bits::DAT == 0 {
            return;
        }
        let space = running.secondary_space(cpu);
        let secondary = self.shadow.asce(cpu, running.storage, space);
        if running.loaded.1 != secondary {
            running.loaded.1 = secondary;
            cpu.set_cr(7, secondary);
        }
    }

    /// Purges translations. The guest's spaces are loaded again when it resumes.
    pub(super) fn purge(&mut self, cpu: &mut impl Cpu, purge: Purge) {
        self.shadow.purge(cpu, purge);
        if let Some(running) = &mut self.running {
            running.loaded = (0, 0);
        }
    }

    /// Executes the purges that CPUs have requested. Returns true if there were any.
    pub(super) fn purge_as_asked(&mut self, cpu: &mut impl Cpu, machine: &Machine) -> bool {
        let purges = machine.shadows().take(cpu.index());
        for &purge in &purges {
            self.purge(cpu, purge);
        }
        !purges.is_empty()
    }

    /// Handles the start of a block at `address` with due work. Returns the PSW if the CPU
    /// continues elsewhere.
    pub(crate) fn at_block(
        &mut self,
        cpu: &mut impl Cpu,
        machine: &Machine,
        address: u64,
    ) -> Option<Psw> {
        if let Some(parked) = self.parked.take() {
            return Some(parked);
        }
        let host_mask = self.running.as_ref()?.host.psw.mask;
        if let Some(subclass) = interruption::claim(cpu, machine, host_mask) {
            let exit = Exit::Host(HostEvent::Interruption);
            let guest = self.guest_at(cpu, address);
            let host = self.leave(cpu, machine, exit, guest);
            return interruption::interrupt(cpu, machine, subclass, host);
        }
        if self.purge_as_asked(cpu, machine) {
            self.load_spaces(cpu);
        }
        None
    }

    /// Checks the requests of the host while the guest is at `address`. Returns the PSW if the CPU
    /// continues elsewhere.
    pub(crate) fn look(
        &mut self,
        cpu: &mut impl Cpu,
        machine: &Machine,
        address: u64,
    ) -> Option<Psw> {
        let guest = self.guest_at(cpu, address);
        match self.running.as_ref()?.requested(cpu) {
            Some(code) => Some(self.leave(cpu, machine, Exit::Interception(code), guest)),
            None => self.interrupt_by_adapter(cpu, machine, guest),
        }
    }

    /// Returns the PSW of the guest at `address`.
    fn guest_at(&mut self, cpu: &impl Cpu, address: u64) -> Psw {
        let mask = self.running.as_mut().map_or(0, |running| {
            running.mask = psw::absorb(running.mask, cpu.psw_mask());
            running.mask
        });
        Psw { mask, address }
    }
}
