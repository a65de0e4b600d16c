// SPDX-License-Identifier: GPL-2.0
//! Privileged instructions that are executed for a guest in the supervisor state: loads of PSWs and
//! control registers, and clocks. All others are intercepted, and KVM executes them.
//!
//! Source: Principles of Operation, chapter 10.

use super::instruction::{Context, Outcome, Stop};
use super::lowcore::code;
use super::psw::{Psw, bits, with_space};
use super::state_description::{self as field, Field, StateDescription, controls};
use crate::cpu::Cpu;

/// Executes the instruction.
pub(super) fn execute<C: Cpu>(context: &mut Context<'_, C>) -> Result<Outcome, Stop> {
    let instruction = context.instruction;
    match instruction.operation() {
        0xb2b2 => lpswe(context, 0),
        // SCKPF: the programmable field of the clock is not stored.
        0x0107 => Ok(Outcome::Next),
        0xb20a => spka(context),
        // SCKC, SPT, STCKC, STPT, LPP
        0xb206 => set(context, field::CLOCK_COMPARATOR),
        0xb208 => set(context, field::CPU_TIMER),
        0xb207 => store(context, field::CLOCK_COMPARATOR),
        0xb209 => store(context, field::CPU_TIMER),
        0xb280 => set(context, field::PROGRAM_PARAMETER),
        // SAC, SACF
        0xb219 | 0xb279 => set_space(context),
        _ => match instruction.bytes {
            [0x82, ..] => lpsw(context),
            [0x80, ..] => {
                let system = context.number(context.operand(2, 0), 1)?;
                set_system_mask(context, |_| system as u8)
            }
            [0xac, and, ..] => store_then_set(context, |mask| mask & and),
            [0xad, or, ..] => store_then_set(context, |mask| mask | or),
            [0xb7, ..] => control(context, true, 4, 0),
            [0xb6, ..] => control(context, false, 4, 0),
            [0xeb, .., operation] => {
                let high = instruction.high_displacement();
                match operation {
                    0x2f => control(context, true, 8, high),
                    0x25 => control(context, false, 8, high),
                    0x71 => lpswe(context, high),
                    _ => Ok(Outcome::Intercept),
                }
            }
            _ => Ok(Outcome::Intercept),
        },
    }
}

fn is_intercepted<C: Cpu>(context: &Context<'_, C>, control: u32) -> bool {
    let description = context.running.description;
    description.word(context.cpu, field::INTERCEPTION_CONTROLS) & control != 0
}

fn aligned(address: u64, to: u64) -> Result<u64, Stop> {
    if address.is_multiple_of(to) {
        Ok(address)
    } else {
        Err(Stop::Program(code::SPECIFICATION))
    }
}

/// Executes LPSWE or LPSWEY.
fn lpswe<C: Cpu>(context: &mut Context<'_, C>, high: u64) -> Result<Outcome, Stop> {
    if is_intercepted(context, controls::LPSW) {
        return Ok(Outcome::Intercept);
    }
    let address = aligned(context.operand(2, high), 8)?;
    let bytes = context.fetch(address, 16)?;
    Ok(Outcome::Load(Psw::parse(&bytes).unwrap_or_default()))
}

fn lpsw<C: Cpu>(context: &mut Context<'_, C>) -> Result<Outcome, Stop> {
    if is_intercepted(context, controls::LPSW) {
        return Ok(Outcome::Intercept);
    }
    let address = aligned(context.operand(2, 0), 8)?;
    Ok(Outcome::Load(Psw::from_short(context.number(address, 8)?)))
}

/// Changes the first byte of the mask. The new PSW may enable interruptions.
fn set_system_mask<C: Cpu>(
    context: &mut Context<'_, C>,
    change: impl Fn(u8) -> u8,
) -> Result<Outcome, Stop> {
    let mask = context.running.mask;
    let [system, ..] = mask.to_be_bytes();
    Ok(Outcome::Load(Psw {
        mask: mask & !(0xff << 56) | u64::from(change(system)) << 56,
        address: context.next,
    }))
}

/// Executes STNSM or STOSM.
fn store_then_set<C: Cpu>(
    context: &mut Context<'_, C>,
    change: impl Fn(u8) -> u8,
) -> Result<Outcome, Stop> {
    let [system, ..] = context.running.mask.to_be_bytes();
    context.store(context.operand(2, 0), &[system])?;
    set_system_mask(context, change)
}

fn spka<C: Cpu>(context: &mut Context<'_, C>) -> Result<Outcome, Stop> {
    let key = context.operand(2, 0) & 0xf0;
    let mask = &mut context.running.mask;
    *mask = *mask & !bits::KEY | key << 48;
    Ok(Outcome::Next)
}

fn set<C: Cpu>(context: &mut Context<'_, C>, to: Field) -> Result<Outcome, Stop> {
    let value = context.number(context.operand(2, 0), 8)?;
    context.running.description.set(context.cpu, to, value);
    Ok(Outcome::Next)
}

fn store<C: Cpu>(context: &mut Context<'_, C>, from: Field) -> Result<Outcome, Stop> {
    let value = context.running.description.get(context.cpu, from);
    context.store(context.operand(2, 0), &value.to_be_bytes())?;
    Ok(Outcome::Next)
}

/// Executes SAC or SACF. The operand numbers the spaces in an order of its own.
fn set_space<C: Cpu>(context: &mut Context<'_, C>) -> Result<Outcome, Stop> {
    const SPACES: [u64; 4] = [0, 2, 1, 3];
    let wanted = SPACES[(context.operand(2, 0) >> 8 & 3) as usize];
    context.running.mask = with_space(context.running.mask, wanted);
    Ok(Outcome::Next)
}

/// Executes LCTL(G) or STCTL(G) for control registers of `width` bytes each. Register 0 follows
/// register 15.
fn control<C: Cpu>(
    context: &mut Context<'_, C>,
    load: bool,
    width: usize,
    high: u64,
) -> Result<Outcome, Stop> {
    let (first, last) = (context.instruction.first(), context.instruction.second());
    let count = (last.wrapping_sub(first) & 0xf) + 1;
    let registers: Vec<u8> = (0..count).map(|n| (first + n) & 0xf).collect();
    let description = context.running.description;
    let address = aligned(context.operand(2, high), width as u64)?;
    if load {
        let intercepted = description.get(context.cpu, field::LCTL_CONTROL);
        if registers
            .iter()
            .any(|register| intercepted >> (15 - register) & 1 != 0)
        {
            return Ok(Outcome::Intercept);
        }
        let values = context.fetch(address, width * registers.len())?;
        for (register, value) in registers.into_iter().zip(values.chunks_exact(width)) {
            context
                .cpu
                .write_absolute(place(description, register, width), value);
        }
        return Ok(Outcome::Next);
    }
    if is_intercepted(context, controls::STCTL) {
        return Ok(Outcome::Intercept);
    }
    let values: Vec<u8> = registers
        .into_iter()
        .flat_map(|register| {
            description.cr(context.cpu, register).to_be_bytes()[8 - width..].to_vec()
        })
        .collect();
    context.store(address, &values)?;
    Ok(Outcome::Next)
}

/// Returns the address of the rightmost `width` bytes of a control register in the state
/// description.
fn place(description: StateDescription, register: u8, width: usize) -> u64 {
    let (offset, length) = StateDescription::cr_field(register);
    description.0 + offset + (length - width) as u64
}
