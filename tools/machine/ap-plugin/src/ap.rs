// SPDX-License-Identifier: GPL-2.0
//! Connects the AP instructions of the model with the registers and the storage of a CPU.

use crate::cpu::Cpu;
use crate::interruption;
use crate::machine::Machine;
use ap_model::{Apcb, Apqn, DqapAnswer, Function, Pqap, PqapAnswer, ProgramInterruption, Status};

type Result = std::result::Result<(), ProgramInterruption>;

/// Executes PQAP for the host, or for the guest with this APCB.
pub(crate) fn pqap(cpu: &mut impl Cpu, machine: &Machine, apcb: Option<Apcb>) -> Result {
    let [gr0, gr1, gr2] = [cpu.gr(0), cpu.gr(1), cpu.gr(2)];
    let result = privileged(cpu).and_then(|()| {
        machine.model().view(apcb).pqap(&Pqap {
            gr0,
            gr1,
            gr2,
            gr2_is_storage: cpu.read_absolute(gr2, 1).is_some(),
        })
    });
    machine.trace(cpu.index(), || {
        format!(
            "PQAP gr0={gr0:x} gr1={gr1:x} gr2={gr2:x}: {}",
            match &result {
                Err(interruption) => interruption.to_string(),
                Ok(PqapAnswer::Configuration(_)) => "configuration".into(),
                Ok(PqapAnswer::Status(status, gr2)) => {
                    let gr2 = gr2.map(|gr2| format!(" gr2={gr2:016x}"));
                    describe(gr0, *status) + &gr2.unwrap_or_default()
                }
            }
        )
    });
    interruption::present(cpu, machine);
    match result? {
        PqapAnswer::Configuration(block) => {
            if !cpu.write(gr2, &block) {
                return Err(ProgramInterruption::Addressing);
            }
            cpu.set_cc(0);
        }
        PqapAnswer::Status(status, gr2) => {
            if let Some(gr2) = gr2 {
                cpu.set_gr(2, gr2);
            }
            set_status(cpu, status);
        }
    }
    Ok(())
}

/// Executes NQAP. The pair R1 contains the message identifier, and the pair R2 the message.
pub(crate) fn nqap(
    cpu: &mut impl Cpu,
    machine: &Machine,
    apcb: Option<Apcb>,
    r1: u8,
    r2: u8,
) -> Result {
    let gr0 = cpu.gr(0);
    let result = privileged(cpu).and_then(|()| pairs(r1, r2)).and_then(|()| {
        let psmid = cpu.gr(r1) << 32 | cpu.gr(r1 + 1) & 0xffff_ffff;
        let length = cpu.gr(r2 + 1);
        machine
            .model()
            .examine_message(Function::Nqap, gr0, length)?;
        let message = cpu
            .read(cpu.gr(r2), length as usize)
            .ok_or(ProgramInterruption::Addressing)?;
        machine.model().view(apcb).nqap(gr0, psmid, &message)
    });
    machine.trace(cpu.index(), || {
        format!("NQAP gr0={gr0:x}: {}", outcome(gr0, result))
    });
    let status = result?;
    if status.cc() == 0 {
        advance(cpu, r2, cpu.gr(r2 + 1));
    }
    interruption::present(cpu, machine);
    set_status(cpu, status);
    Ok(())
}

/// Executes DQAP. The message identifier is returned in the pair R1, the reply in the buffer of the
/// pair R2, and the number of remaining bytes in general register 2.
pub(crate) fn dqap(
    cpu: &mut impl Cpu,
    machine: &Machine,
    apcb: Option<Apcb>,
    r1: u8,
    r2: u8,
) -> Result {
    let gr0 = cpu.gr(0);
    let result = privileged(cpu)
        .and_then(|()| pairs(r1, r2))
        .and_then(|()| machine.model().view(apcb).dqap(gr0, cpu.gr(r2 + 1)));
    machine.trace(cpu.index(), || {
        let outcome = match &result {
            Err(interruption) => interruption.to_string(),
            Ok(DqapAnswer::Status(status)) => describe(gr0, *status),
            Ok(DqapAnswer::Reply { status, psmid, .. }) => {
                format!("{} psmid={psmid:016x}", describe(gr0, *status))
            }
            Ok(DqapAnswer::Partial { residual, .. }) => format!("{residual} bytes left"),
        };
        format!("DQAP gr0={gr0:x}: {outcome}")
    });
    interruption::present(cpu, machine);
    match result? {
        DqapAnswer::Status(status) => set_status(cpu, status),
        DqapAnswer::Reply {
            status,
            psmid,
            data,
        } => {
            store_reply(cpu, r2, &data)?;
            cpu.set_gr(r1, psmid >> 32);
            cpu.set_gr(r1 + 1, psmid & 0xffff_ffff);
            cpu.set_gr(2, 0);
            set_status(cpu, status);
        }
        DqapAnswer::Partial { data, residual } => {
            store_reply(cpu, r2, &data)?;
            cpu.set_gr(2, residual);
            cpu.set_cc(1);
        }
    }
    Ok(())
}

fn privileged(cpu: &impl Cpu) -> Result {
    if cpu.in_problem_state() {
        Err(ProgramInterruption::PrivilegedOperation)
    } else {
        Ok(())
    }
}

/// Returns a specification exception unless both operands are even-odd pairs.
fn pairs(r1: u8, r2: u8) -> Result {
    if (r1 | r2) & 1 != 0 {
        Err(ProgramInterruption::Specification)
    } else {
        Ok(())
    }
}

fn store_reply(cpu: &mut impl Cpu, r2: u8, data: &[u8]) -> Result {
    if !cpu.write(cpu.gr(r2), data) {
        return Err(ProgramInterruption::Addressing);
    }
    advance(cpu, r2, data.len() as u64);
    Ok(())
}

/// Advances the operand of the pair `r2` (address and length) by `count` bytes.
fn advance(cpu: &mut impl Cpu, r2: u8, count: u64) {
    let (address, length) = (cpu.gr(r2), cpu.gr(r2 + 1));
    cpu.set_gr(r2, address.wrapping_add(count));
    cpu.set_gr(r2 + 1, length.wrapping_sub(count));
}

/// Sets general register 1 to the status. The left half is 0.
fn set_status(cpu: &mut impl Cpu, status: Status) {
    cpu.set_gr(1, u64::from(status.to_word()));
    cpu.set_cc(status.cc());
}

fn outcome(gr0: u64, result: std::result::Result<Status, ProgramInterruption>) -> String {
    match result {
        Err(interruption) => interruption.to_string(),
        Ok(status) => describe(gr0, status),
    }
}

fn describe(gr0: u64, status: Status) -> String {
    format!(
        "{} rc={} status={:08x}",
        Apqn::from_gr0(gr0),
        status.rc,
        status.to_word()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::fake::FakeCpu;

    fn machine() -> Machine {
        Machine::new(ap_model::Machine::preset(), false)
    }

    #[test]
    fn tapq_fills_status_hardware_information_and_condition_code() {
        let mut cpu = FakeCpu::new();
        cpu.gr[0] = 0x0203;
        pqap(&mut cpu, &machine(), None).unwrap();
        assert_eq!(cpu.gr[1], 0x8000_0000);
        assert_eq!(cpu.gr[2] >> 24 & 0xff, 13);
        assert_eq!(cpu.cc(), 0);
        cpu.gr[0] = 0x0303;
        cpu.gr[2] = 0x55;
        pqap(&mut cpu, &machine(), None).unwrap();
        assert_eq!((cpu.gr[1], cpu.gr[2], cpu.cc()), (0x0001_0000, 0x55, 3));
    }

    #[test]
    fn qci_stores_its_block() {
        let mut cpu = FakeCpu::new();
        cpu.gr[0] = 4 << 24;
        cpu.gr[1] = 0x77;
        cpu.gr[2] = 0x1000;
        pqap(&mut cpu, &machine(), None).unwrap();
        assert_eq!(cpu.storage[0x1010], 0xe0);
        assert_eq!(cpu.storage[0x1030], 0xf0);
        assert_eq!((cpu.gr[1], cpu.cc()), (0x77, 0), "register 1 stays");
        cpu.gr[2] = 0x1004;
        assert_eq!(
            pqap(&mut cpu, &machine(), None),
            Err(ProgramInterruption::Specification)
        );
        cpu.gr[2] = 0x3f90;
        assert_eq!(
            pqap(&mut cpu, &machine(), None),
            Err(ProgramInterruption::Addressing)
        );
    }

    #[test]
    fn the_indicator_has_to_be_in_storage() {
        let mut cpu = FakeCpu::new();
        let machine = machine();
        cpu.gr = [0; 16];
        cpu.gr[0] = 3 << 24 | 0x0101;
        cpu.gr[1] = 1 << 47;
        cpu.gr[2] = 0x8000;
        pqap(&mut cpu, &machine, None).unwrap();
        assert_eq!(cpu.gr[1] >> 16 & 0xff, 6);
        cpu.gr[1] = 1 << 47;
        cpu.gr[2] = 0x1000;
        pqap(&mut cpu, &machine, None).unwrap();
        assert_eq!(cpu.gr[1] >> 16 & 0xff, 0);
    }

    #[test]
    fn a_message_gets_a_reply() {
        let mut cpu = FakeCpu::new();
        let machine = machine();
        cpu.gr[0] = 0x4000_0101;
        (cpu.gr[4], cpu.gr[5]) = (0x1122_3344, 0x5566_7788);
        (cpu.gr[6], cpu.gr[7]) = (0x1000, 0x100);
        nqap(&mut cpu, &machine, None, 4, 6).unwrap();
        assert_eq!((cpu.cc(), cpu.gr[6], cpu.gr[7]), (0, 0x1100, 0));
        cpu.gr[0] = 0x8000_0101;
        (cpu.gr[4], cpu.gr[5]) = (0, 0);
        (cpu.gr[6], cpu.gr[7]) = (0x2000, 0x800);
        dqap(&mut cpu, &machine, None, 4, 6).unwrap();
        assert_eq!(
            (cpu.cc(), cpu.gr[4], cpu.gr[5]),
            (0, 0x1122_3344, 0x5566_7788)
        );
        assert_eq!((cpu.gr[2], cpu.gr[6], cpu.gr[7]), (0, 0x2008, 0x7f8));
        assert_eq!(cpu.storage[0x2001], 0x88);
        dqap(&mut cpu, &machine, None, 4, 6).unwrap();
        assert_eq!((cpu.cc(), cpu.gr[1]), (3, 0x8010_0000));
    }

    #[test]
    fn a_short_buffer_leaves_a_rest() {
        let mut cpu = FakeCpu::new();
        let machine = machine();
        cpu.gr[0] = 0x4000_0101;
        (cpu.gr[6], cpu.gr[7]) = (0x1000, 8);
        nqap(&mut cpu, &machine, None, 4, 6).unwrap();
        cpu.gr[0] = 0x8000_0101;
        cpu.gr[1] = 0x99;
        (cpu.gr[6], cpu.gr[7]) = (0x2000, 5);
        dqap(&mut cpu, &machine, None, 4, 6).unwrap();
        assert_eq!((cpu.cc(), cpu.gr[2], cpu.gr[7]), (1, 3, 0));
        assert_eq!(cpu.gr[1], 0x99, "no status yet");
        cpu.gr[7] = 5;
        dqap(&mut cpu, &machine, None, 4, 6).unwrap();
        assert_eq!((cpu.cc(), cpu.gr[2], cpu.gr[7]), (0, 0, 2));
    }

    #[test]
    fn a_length_that_is_impossible_is_seen_before_storage_that_is_not_there() {
        let mut cpu = FakeCpu::new();
        let machine = machine();
        cpu.gr[0] = 0x4000_0101;
        let specification = Err(ProgramInterruption::Specification);
        for length in [0, 12 * 1024 + 1, u64::MAX] {
            (cpu.gr[6], cpu.gr[7]) = (0x8000, length);
            assert_eq!(nqap(&mut cpu, &machine, None, 4, 6), specification);
        }
        cpu.gr[7] = 8;
        let addressing = Err(ProgramInterruption::Addressing);
        assert_eq!(nqap(&mut cpu, &machine, None, 4, 6), addressing);
    }

    #[test]
    fn operands_are_pairs_and_programs_are_not_problem_programs() {
        let mut cpu = FakeCpu::new();
        let machine = machine();
        let specification = Err(ProgramInterruption::Specification);
        assert_eq!(nqap(&mut cpu, &machine, None, 3, 6), specification);
        assert_eq!(dqap(&mut cpu, &machine, None, 4, 7), specification);
        cpu.psw_mask |= 1 << 48;
        let privileged = Err(ProgramInterruption::PrivilegedOperation);
        assert_eq!(pqap(&mut cpu, &machine, None), privileged);
        assert_eq!(nqap(&mut cpu, &machine, None, 4, 6), privileged);
        assert_eq!(dqap(&mut cpu, &machine, None, 4, 6), privileged);
    }
}
