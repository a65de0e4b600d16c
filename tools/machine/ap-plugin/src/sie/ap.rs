// SPDX-License-Identifier: GPL-2.0
//! AP instructions of a guest. If the state description allows it, they are interpreted for the
//! queues that are in both the APCB and the host configuration. AQIC is never interpreted, because
//! its operand is an address in guest storage, which the host has to pin.

use super::Running;
use super::instruction::{Context, Outcome, Stop};
use super::psw;
use super::state_description::{self as field, execution_a};
use super::storage::Window;
use super::translation::Fault;
use crate::ap;
use crate::cpu::Cpu;
use ap_model::{Function, Pqap, qci};

const NQAP: u16 = 0xb2ad;
const DQAP: u16 = 0xb2ae;
const PQAP: u16 = 0xb2af;

/// Executes the instruction if it is an AP instruction.
pub(super) fn execute<C: Cpu>(context: &mut Context<'_, C>) -> Option<Result<Outcome, Stop>> {
    let operation = context.instruction.operation();
    matches!(operation, NQAP | DQAP | PQAP).then(|| interpret(context, operation))
}

fn interpret<C: Cpu>(context: &mut Context<'_, C>, operation: u16) -> Result<Outcome, Stop> {
    let Context {
        cpu,
        machine,
        running,
        instruction,
        ..
    } = context;
    let description = running.description;
    let [_, _, _, _, code, ..] = cpu.gr(0).to_be_bytes();
    let function = Function::from_pqap(code);
    let in_problem_state = running.mask & psw::bits::PROBLEM != 0;
    let interpreted = description.word(*cpu, field::EXECUTION_CONTROLS_A) & execution_a::AP != 0;
    if !in_problem_state && (!interpreted || operation == PQAP && function == Some(Function::Aqic))
    {
        return Ok(Outcome::Intercept);
    }
    let apcb = Some(description.apcb(*cpu));
    let (r1, r2) = (instruction.r1(), instruction.r2());
    let mut guest = GuestCpu {
        operands: Window {
            storage: running.storage,
            space: running.operand_space(*cpu),
        },
        running,
        cpu: *cpu,
    };
    // An instruction without a valid function has no operands. Storage for a result is checked
    // before a queue is changed. A message has to be accessible.
    let operand = match (operation, function) {
        _ if in_problem_state => None,
        (PQAP, Some(Function::Qci)) => {
            let asked = Pqap {
                gr0: guest.gr(0),
                gr1: guest.gr(1),
                gr2: guest.gr(2),
                gr2_is_storage: true,
            };
            let examined = machine.model().examine(&asked);
            examined.map_err(|interruption| Stop::Program(interruption.code()))?;
            Some((guest.gr(2), qci::LENGTH, true))
        }
        (NQAP | DQAP, _) if (r1 | r2) & 1 == 0 => {
            let function = if operation == NQAP {
                Function::Nqap
            } else {
                Function::Dqap
            };
            let length = guest.gr(r2 + 1);
            let examined = (machine.model()).examine_message(function, guest.gr(0), length);
            examined.map_err(|interruption| Stop::Program(interruption.code()))?;
            Some((guest.gr(r2), length as usize, operation == DQAP))
        }
        _ => None,
    };
    if let Some((address, length, store)) = operand {
        guest
            .operands
            .probe(guest.cpu, address, length, store)
            .map_err(|fault: Fault| Stop::Access(fault, psw::space_of(guest.running.mask)))?;
    }
    let result = match operation {
        NQAP => ap::nqap(&mut guest, machine, apcb, r1, r2),
        DQAP => ap::dqap(&mut guest, machine, apcb, r1, r2),
        _ => ap::pqap(&mut guest, machine, apcb),
    };
    result
        .map(|()| Outcome::Next)
        .map_err(|interruption| Stop::Program(interruption.code()))
}

/// The CPU with the registers and the storage of the guest.
struct GuestCpu<'a, C> {
    cpu: &'a mut C,
    running: &'a mut Running,
    operands: Window,
}

impl<C: Cpu> Cpu for GuestCpu<'_, C> {
    fn index(&self) -> u32 {
        self.cpu.index()
    }
    fn gr(&self, number: u8) -> u64 {
        self.cpu.gr(number)
    }
    fn set_gr(&mut self, number: u8, value: u64) {
        self.cpu.set_gr(number, value);
    }
    fn psw_mask(&self) -> u64 {
        self.running.mask
    }
    fn set_psw_mask(&mut self, mask: u64) {
        self.running.mask = mask;
    }
    fn cr(&self, number: u8) -> u64 {
        self.running.description.cr(self.cpu, number)
    }
    fn set_cr(&mut self, number: u8, value: u64) {
        let register = super::StateDescription::cr_field(number);
        self.running.description.set(self.cpu, register, value);
    }
    fn set_cc(&mut self, cc: u8) {
        self.running.mask = psw::with_cc(self.running.mask, cc);
    }
    fn prefix(&self) -> u64 {
        self.running.storage.prefix
    }
    fn read(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        self.operands.read(self.cpu, address, length).ok()
    }
    fn write(&mut self, address: u64, data: &[u8]) -> bool {
        self.operands.write(self.cpu, address, data).is_ok()
    }
    fn translate(&self, address: u64) -> Option<u64> {
        let Window { storage, space } = self.operands;
        let place = storage.locate(self.cpu, space, address, false).ok()?;
        Some(place.absolute)
    }
    fn read_absolute(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        self.cpu.read_absolute(address, length)
    }
    fn write_absolute(&mut self, address: u64, data: &[u8]) -> bool {
        self.cpu.write_absolute(address, data)
    }
    fn update(&mut self, address: u64, change: impl Fn(u64) -> u64) -> Option<u64> {
        self.cpu.update(address, change)
    }
}
