// SPDX-License-Identifier: GPL-2.0
//! The return from an interruption through the lowcore.
//!
//! On machines without LPSWEY, Linux branches to an LPSWE in the lowcore, because the return must
//! not change the breaking-event address. QEMU takes a slow path for each store into a page with
//! translated code. Linux stores into the lowcore whenever it disables preemption. Translated code
//! in the lowcore would make a kernel several times slower.
//!
//! This module executes the branch and the LPSWE in one step if both have their usual form. The
//! lowcore then contains no translated code. The two count as one instruction, as LPSWEY would.

use crate::cpu::Cpu;
use crate::sie::{Psw, bits};

/// The instruction in the lowcore: LPSWE without a base register.
const LPSWE: u32 = 0xb2b2_0000;
const DISPLACEMENT: u32 = 0xfff;

/// The bits that the new PSW may have. QEMU executes an LPSWE with any other bit.
const USUAL: u64 = bits::DAT
    | bits::IO
    | bits::EXTERNAL
    | bits::KEY
    | bits::MACHINE_CHECK
    | bits::PROBLEM
    | bits::SPACE
    | bits::CC
    | bits::PROGRAM_MASK
    | bits::MODE;

/// Returns the PSW after a branch to an LPSWE at `target` in the lowcore, if there is one.
pub(crate) fn psw(cpu: &impl Cpu, target: u16) -> Option<Psw> {
    if cpu.in_problem_state() {
        return None;
    }
    let code = cpu.read(target.into(), 4)?;
    let code = u32::from_be_bytes(code.try_into().ok()?);
    if code & !DISPLACEMENT != LPSWE {
        return None;
    }
    let operand = u64::from(code & DISPLACEMENT);
    let psw = Psw::parse(&cpu.read(operand, 16)?)?;
    let is_usual = operand.is_multiple_of(8)
        && psw.mask & !USUAL == 0
        && psw.mask & bits::MODE == bits::MODE
        && psw.address.is_multiple_of(2);
    is_usual.then_some(psw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::fake::FakeCpu;

    const USER: u64 = 0x0705_0001_8000_0000;

    fn returning_to(mask: u64, code: u32) -> Option<Psw> {
        let mut cpu = FakeCpu::new();
        cpu.write(0x400, &code.to_be_bytes());
        let address = 0x1234;
        cpu.write(0x290, &Psw { mask, address }.to_bytes());
        psw(&cpu, 0x400)
    }

    #[test]
    fn the_psw_is_the_one_that_lpswe_would_load() {
        let psw = returning_to(USER, 0xb2b2_0290).unwrap();
        assert_eq!((psw.mask, psw.address), (USER, 0x1234));
    }

    #[test]
    fn all_else_is_left_to_qemu() {
        assert_eq!(returning_to(USER, 0xb2b2_1290), None, "it has a base");
        assert_eq!(returning_to(USER, 0xb2b2_0294), None, "not aligned");
        assert_eq!(returning_to(USER, 0x0700_0700), None, "no LPSWE");
        assert_eq!(returning_to(USER | bits::WAIT, 0xb2b2_0290), None);
        assert_eq!(returning_to(USER | 1 << 62, 0xb2b2_0290), None, "PER");
        assert_eq!(returning_to(USER & !bits::EXTENDED, 0xb2b2_0290), None);
    }

    #[test]
    fn a_program_may_have_code_at_such_an_address() {
        let mut cpu = FakeCpu::new();
        cpu.write(0x400, &0xb2b2_0290_u32.to_be_bytes());
        cpu.set_psw_mask(USER);
        assert_eq!(psw(&cpu, 0x400), None);
    }
}
