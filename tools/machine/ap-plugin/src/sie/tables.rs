// SPDX-License-Identifier: GPL-2.0
//! Instructions for translation and real storage, executed for a guest: purges, queries of
//! addresses, and the move between spaces. Those for storage keys are intercepted, and KVM executes
//! them.
//!
//! Source: Principles of Operation, chapter 10.

use super::instruction::{Context, Instruction, Outcome, Reach, Stop, window};
use super::lowcore::code;
use super::psw::{self, bits, space};
use super::shadow::{Owner, Purge};
use super::translation::{Fault, Level, Space, entry, page};
use crate::cpu::Cpu;

type Result = std::result::Result<Outcome, Stop>;

const PAGE: u64 = 0x1000;

/// Executes the instruction if it belongs to this module.
pub(super) fn execute<C: Cpu>(context: &mut Context<'_, C>) -> Option<Result> {
    Some(match context.instruction.operation() {
        // PTLB
        0xb20d => {
            context.purge = Some((Reach::Here, Purge::All));
            Ok(Outcome::Next)
        }
        0xb221 => ipte(context),
        0xb98e => idte(context),
        0xb250 => compare_and_swap(context, 4),
        0xb98a => compare_and_swap(context, 8),
        // LURA, LURAG, STURA, STURG
        0xb24b => load_real(context, 4),
        0xb905 => load_real(context, 8),
        0xb246 => store_real(context, 4),
        0xb925 => store_real(context, 8),
        // ESEA
        0xb99d => Ok(Outcome::Next),
        _ => match context.instruction.bytes {
            // LRA, LRAY, LRAG
            [0xb1, ..] => lra(context, 0, false),
            [0xe3, .., 0x13] => lra(context, context.instruction.high_displacement(), false),
            [0xe3, .., 0x03] => lra(context, context.instruction.high_displacement(), true),
            _ => return None,
        },
    })
}

/// Executes INVALIDATE PAGE TABLE ENTRY, for up to 256 pages.
fn ipte<C: Cpu>(context: &mut Context<'_, C>) -> Result {
    let instruction = context.instruction;
    let (pages, address) = (instruction.r3(), context.cpu.gr(instruction.r2()));
    let more = match pages {
        0 => 0,
        register => context.cpu.gr(register) & 0xff,
    };
    let table = context.cpu.gr(instruction.r1()) & entry::PAGE_TABLE;
    for number in 0..=more {
        let at = table + 8 * ((address / PAGE + number) & 0xff);
        let value = context.real_number(at, 8)? | page::INVALID;
        context.store_real(at, &value.to_be_bytes())?;
    }
    if pages != 0 {
        let next = address.wrapping_add((more + 1) * PAGE);
        context.cpu.set_gr(instruction.r2(), next);
        let left = context.cpu.gr(pages) | 0xff;
        context.cpu.set_gr(pages, left);
    }
    let purge = Purge::pages(Owner::Guest, table, address, more);
    context.purge = Some((Reach::Everywhere, purge));
    Ok(Outcome::Next)
}

/// Executes INVALIDATE DAT TABLE ENTRY, for entries of a segment or region table, or for all
/// entries of an ASCE.
fn idte<C: Cpu>(context: &mut Context<'_, C>) -> Result {
    const BY_ASCE: u64 = 0x800;
    let instruction = context.instruction;
    let designation = context.cpu.gr(instruction.r1());
    let operand = context.cpu.gr(instruction.r2());
    if operand & BY_ASCE == 0 {
        let first = Level::of(designation).index(operand);
        for number in 0..=(operand & 0x7ff) {
            let at = (designation & entry::ORIGIN) + 8 * ((first + number) & 0x7ff);
            let value = context.real_number(at, 8)? | entry::INVALID;
            context.store_real(at, &value.to_be_bytes())?;
        }
    }
    let purge = if operand & BY_ASCE == 0 {
        Purge::All
    } else {
        Purge::Space {
            owner: Owner::Guest,
            asce: context.cpu.gr(instruction.r3()),
        }
    };
    context.purge = Some((Reach::Everywhere, purge));
    Ok(Outcome::Next)
}

/// Executes COMPARE AND SWAP AND PURGE.
fn compare_and_swap<C: Cpu>(context: &mut Context<'_, C>, width: usize) -> Result {
    let instruction = context.instruction;
    let first = instruction.r1();
    let address = context.address(context.cpu.gr(instruction.r2())) & !(width as u64 - 1);
    let number = |value: u64| {
        if width == 4 {
            value & 0xffff_ffff
        } else {
            value
        }
    };
    let found = context.number(address, width)?;
    if found == number(context.cpu.gr(first)) {
        let new = context.cpu.gr((first + 1) & 0xf).to_be_bytes();
        context.store(address, &new[8 - width..])?;
        context.set_cc(0);
        context.purge = Some((Reach::Everywhere, Purge::All));
    } else {
        if width == 4 {
            context.set_right(first, found);
        } else {
            context.cpu.set_gr(first, found);
        }
        context.set_cc(1);
    }
    Ok(Outcome::Next)
}

fn load_real<C: Cpu>(context: &mut Context<'_, C>, width: usize) -> Result {
    let instruction = context.instruction;
    let address = context.address(context.cpu.gr(instruction.r2())) & !(width as u64 - 1);
    let value = context.real_number(address, width)?;
    if width == 4 {
        context.set_right(instruction.r1(), value);
    } else {
        context.cpu.set_gr(instruction.r1(), value);
    }
    Ok(Outcome::Next)
}

fn store_real<C: Cpu>(context: &mut Context<'_, C>, width: usize) -> Result {
    let instruction = context.instruction;
    let address = context.address(context.cpu.gr(instruction.r2())) & !(width as u64 - 1);
    let value = context.cpu.gr(instruction.r1()).to_be_bytes();
    context.store_real(address, &value[8 - width..])?;
    Ok(Outcome::Next)
}

/// Executes LOAD REAL ADDRESS. The result has 64 bits if `long` is true, and otherwise the length
/// of the addressing mode.
fn lra<C: Cpu>(context: &mut Context<'_, C>, high: u64, long: bool) -> Result {
    let instruction = context.instruction;
    let index = context.base(instruction.second());
    let address = context.address(context.operand(2, high).wrapping_add(index));
    let running = &*context.running;
    // The address is translated even if the program runs without translation.
    let space = if running.mask & bits::DAT == 0 {
        Space::designated_by(running.description.cr(context.cpu, 1))
    } else {
        running.operand_space(context.cpu)
    };
    let register = instruction.first();
    match running.storage.to_real(context.cpu, space, address, false) {
        Ok(real) => {
            let real = real.address;
            if long || running.mask & bits::EXTENDED != 0 {
                context.cpu.set_gr(register, real);
            } else {
                context.set_right(register, real & 0x7fff_ffff);
            }
            context.set_cc(0);
            Ok(Outcome::Next)
        }
        Err(Fault::Guest { code, .. }) => {
            const FAILED: u64 = 0x8000_0000;
            context.set_right(register, FAILED | u64::from(code));
            context.set_cc(match code {
                code::SEGMENT => 1,
                code::PAGE => 2,
                _ => 3,
            });
            Ok(Outcome::Next)
        }
        Err(fault) => Err(Stop::Access(fault, 0)),
    }
}

/// Returns true if the instruction is MOVE WITH OPTIONAL SPECIFICATIONS.
pub(super) const fn is_mvcos(instruction: Instruction) -> bool {
    instruction.bytes[0] == 0xc8 && instruction.second() == 0
}

/// Executes MOVE WITH OPTIONAL SPECIFICATIONS between the spaces that the two halves of general
/// register 0 select. The keys in general register 0 are ignored.
pub(super) fn move_with_keys<C: Cpu>(context: &mut Context<'_, C>) -> Result {
    const MOST: u64 = 4096;
    let controls = context.cpu.gr(0);
    let current = psw::space_of(context.running.mask);
    let select = |control: u64| {
        if control & 1 != 0 {
            control >> 6 & 3
        } else {
            current
        }
    };
    let (to, from) = (select(controls >> 16), select(controls));
    let wanted = context.cpu.gr(context.instruction.first());
    let (length, cc) = if wanted > MOST {
        (MOST, 3)
    } else {
        (wanted, 0)
    };
    let (target, source) = (context.operand(2, 0), context.operand(4, 0));
    let windows = [to, from].map(|number| {
        let register = match number {
            space::SECONDARY => 7,
            space::HOME => 13,
            _ => 1,
        };
        let asce = context.running.description.cr(context.cpu, register);
        window(context.running, Space::designated_by(asce))
    });
    let [into, out] = windows;
    let data = out
        .read(context.cpu, source, length as usize)
        .map_err(|fault| Stop::Access(fault, from))?;
    into.write(context.cpu, target, &data)
        .map_err(|fault| Stop::Access(fault, to))?;
    context.set_cc(cc);
    Ok(Outcome::Next)
}
