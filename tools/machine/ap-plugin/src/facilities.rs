// SPDX-License-Identifier: GPL-2.0
//! Amends the machine's answers about itself. Linux then uses AP and starts KVM.
//!
//! QEMU executes STFLE, SERVC and CHSC, and the plugin amends their results, in two halves. The
//! first half runs before the instruction, reads the operands, and decides about amendments. The
//! second half runs after the instruction and makes the amendments. In the meantime, an
//! interruption may change the address space. The first half therefore stores absolute addresses.
//!
//! Sources: facility bits, Principles of Operation, chapter 4; blocks of SCLP, Linux,
//! drivers/s390/char/sclp.h and sclp_ap.c; CHSC, drivers/s390/cio/chsc.c and
//! arch/s390/include/asm/css_chars.h.

use crate::cpu::{Cpu, storage_reaches};
use crate::machine::Machine;
use crate::sie::Shared;
use ap_model::{Apid, Limits, SclpAnswer};

/// A pending amendment of a result of QEMU.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Amendment {
    /// Sets bits of a facility list. Each entry has the absolute address of a byte and the bits.
    Facilities(Vec<(u64, u8)>),
    /// Amends the reply to an SCLP command in the block at this absolute address.
    Sclp { command: u32, block: u64 },
    /// Amends the channel-subsystem characteristics in the block at this absolute address.
    Characteristics { block: u64 },
}

/// Prepares the amendment of STFLE, which will store at `base` and `displacement`.
pub(crate) fn before_stfle(
    cpu: &impl Cpu,
    limits: &Limits,
    base: u8,
    displacement: u16,
) -> Option<Amendment> {
    let address = match base {
        0 => 0,
        base => cpu.gr(base),
    }
    .wrapping_add(u64::from(displacement));
    let doublewords = (cpu.gr(0) & 0xff) + 1;
    let bytes = facility_bytes(limits)
        .filter(|&(offset, bits)| bits != 0 && offset < 8 * doublewords)
        .filter_map(|(offset, bits)| Some((cpu.translate(address.wrapping_add(offset))?, bits)));
    Some(Amendment::Facilities(bytes.collect()))
}

/// Returns the offsets of bytes of the facility list, and the bits to set in them.
fn facility_bytes(limits: &Limits) -> impl Iterator<Item = (u64, u8)> {
    let bit = |set: bool, number: u32| u8::from(limits.ap && set) << (7 - number % 8);
    [
        (1, bit(limits.qci, 12) | bit(limits.apft, 15)),
        (8, bit(limits.aqic, 65)),
    ]
    .into_iter()
}

/// The commands of SCLP.
mod sclp {
    pub(super) const READ_CPU_INFO: u32 = 0x0001_0001;
    pub(super) const READ_SCP_INFO: u32 = 0x0002_0001;
    pub(super) const READ_SCP_INFO_FORCED: u32 = 0x0012_0001;
    pub(super) const CONFIGURE_AP: u32 = 0x001f_0001;
    pub(super) const DECONFIGURE_AP: u32 = 0x001e_0001;
    /// The adapter number in a command for an adapter.
    pub(super) const APID: u32 = 0x0000_ff00;
}

/// Prepares the amendment of SERVC, with the command in `r1` and the block in `r2`.
pub(crate) fn before_servc(cpu: &impl Cpu, r1: u8, r2: u8) -> Option<Amendment> {
    let command = cpu.gr(r1) as u32;
    let of_interest = matches!(
        command,
        sclp::READ_CPU_INFO | sclp::READ_SCP_INFO | sclp::READ_SCP_INFO_FORCED
    ) || matches!(
        command & !sclp::APID,
        sclp::CONFIGURE_AP | sclp::DECONFIGURE_AP
    );
    // The address is a real address of 31 bits. No block is in the prefix area.
    let block = cpu.gr(r2) & 0x7fff_ffff;
    of_interest.then_some(Amendment::Sclp { command, block })
}

/// The requests of CHSC. Each is a page that begins with the length and the code of the request.
mod chsc {
    /// Store channel-subsystem characteristics.
    pub(super) const CHARACTERISTICS: u16 = 0x0010;
    /// Set the guest information block.
    pub(super) const SET_GIB: u16 = 0x0021;
    /// The offset of the absolute address of the block in the request.
    pub(super) const GIB: u64 = 20;
    /// The response code for success.
    pub(super) const DONE: u16 = 0x0001;
    /// The offset of the response code, and of byte 7 of the general characteristics, in the
    /// response to CHARACTERISTICS.
    pub(super) const RESPONSE_CODE: u64 = 16 + 2;
    pub(super) const GENERAL_7: u64 = 24 + 7;
    /// Bit 61, adapter-interruption virtualization.
    pub(super) const AIV: u8 = 0x04;
}

/// The way in which CHSC continues.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Chsc {
    /// The plugin has executed CHSC and has set the condition code.
    Executed,
    /// QEMU executes CHSC. The result may need an amendment.
    Native(Option<Amendment>),
}

/// Executes CHSC on the page at `r1`, or prepares its amendment.
pub(crate) fn before_chsc(cpu: &mut impl Cpu, machine: &Machine, r1: u8) -> Chsc {
    let page = cpu.gr(r1);
    let request = match cpu.read(page, 4) {
        Some(header) if !cpu.in_problem_state() => (read_u16(&header, 0), read_u16(&header, 2)),
        _ => return Chsc::Native(None),
    };
    match request {
        (_, chsc::CHARACTERISTICS) => Chsc::Native(
            cpu.translate(page)
                .map(|block| Amendment::Characteristics { block }),
        ),
        (length, chsc::SET_GIB) => {
            // QEMU does not know SET_GIB. Without it, Linux has no KVM with AIV.
            let origin = cpu.read(page.wrapping_add(chsc::GIB), 4);
            let response = [[0, 8], chsc::DONE.to_be_bytes()].concat();
            match origin {
                Some(origin) if cpu.write(page.wrapping_add(u64::from(length)), &response) => {
                    let origin = u32::from_be_bytes([origin[0], origin[1], origin[2], origin[3]]);
                    machine.pending().set_gib(origin.into());
                    cpu.set_cc(0);
                    Chsc::Executed
                }
                _ => Chsc::Native(None),
            }
        }
        _ => Chsc::Native(None),
    }
}

/// Executes a PERFORM LOCKED OPERATION that queries the functions, and returns true. Returns false
/// for other functions. QEMU has no function and does not know the query, which KVM uses.
pub(crate) fn plo(cpu: &mut impl Cpu) -> bool {
    const TEST: u64 = 0x100;
    let test = cpu.gr(0) & TEST != 0;
    if test {
        cpu.set_cc(3);
    }
    test
}

/// Amends the result of a finished instruction.
pub(crate) fn amend(cpu: &mut impl Cpu, machine: &Machine, amendment: &Amendment) {
    match amendment {
        Amendment::Facilities(bytes) => {
            for &(address, bits) in bytes {
                set_bits(cpu, address, bits);
            }
        }
        Amendment::Characteristics { block } => {
            let code = cpu.read_absolute(block + chsc::RESPONSE_CODE, 2);
            if code.is_some_and(|code| read_u16(&code, 0) == chsc::DONE) {
                set_bits(cpu, block + chsc::GENERAL_7, chsc::AIV);
            }
        }
        &Amendment::Sclp { command, block } => amend_sclp(cpu, machine, command, block),
    }
}

fn set_bits(cpu: &mut impl Cpu, address: u64, bits: u8) {
    if let Some(byte) = cpu.read_absolute(address, 1) {
        cpu.write_absolute(address, &[byte[0] | bits]);
    }
}

fn amend_sclp(cpu: &mut impl Cpu, machine: &Machine, command: u32, block: u64) {
    let Some(header) = cpu.read_absolute(block, 8) else {
        return;
    };
    if matches!(
        command & !sclp::APID,
        sclp::CONFIGURE_AP | sclp::DECONFIGURE_AP
    ) {
        let apid = Apid(((command & sclp::APID) >> 8) as u8);
        let online = command & !sclp::APID == sclp::CONFIGURE_AP;
        let answer = machine.model().sclp_configure(apid, online);
        machine.trace(cpu.index(), || {
            format!("SCLP {command:08x}: adapter {apid}: {answer:?}")
        });
        cpu.write_absolute(block + 6, &response_code(answer).to_be_bytes());
        return;
    }
    let Some(mut data) = cpu.read_absolute(block, usize::from(read_u16(&header, 0))) else {
        return;
    };
    if command == sclp::READ_CPU_INFO {
        amend_cpu_info(&mut data);
    } else {
        amend_scp_info(&mut data, machine.model().limits());
        keep_storage(&mut data, machine.shadows());
    }
    cpu.write_absolute(block, &data);
}

fn response_code(answer: SclpAnswer) -> u16 {
    match answer {
        SclpAnswer::Changed => 0x0020,
        SclpAnswer::Unchanged => 0x0120,
        SclpAnswer::NoAdapter => 0x05f0,
    }
}

/// Returns true if the response code is one of the codes for success of the two read commands.
fn is_filled(block: &[u8]) -> bool {
    matches!(read_u16(block, 6), 0x0010 | 0x0020)
}

/// Amends the block of a read-SCP-info (`struct read_info_sccb`).
fn amend_scp_info(block: &mut [u8], limits: &Limits) {
    if block.len() < 128 || !is_filled(block) {
        return;
    }
    if limits.ap {
        // Adapters can be configured and deconfigured (SCLP_HAS_AP_RECONFIG).
        block[51] |= 0x01;
    }
    // Guest storage-limit suppression.
    block[85] |= 0x80;
    // ESCA: the system control area has a 64-bit origin and the extended format. KVM needs both for
    // a guest with many CPUs.
    block[116] |= 0x80 | 0x08;
    amend_cpus(block, read_u16(block, 16), read_u16(block, 18));
}

/// Reserves the last increments of storage for the plugin by reducing their number in the block.
fn keep_storage(block: &mut [u8], shadows: &Shared) {
    const COUNT: usize = 8;
    const SIZE: usize = 10;
    const MIB: u64 = 1 << 20;
    if block.len() < 128 || !is_filled(block) || shadows.size() == 0 {
        return;
    }
    // Machines with more or larger increments use other fields.
    let (count, size) = (read_u16(block, COUNT), u64::from(block[SIZE]) * MIB);
    if count == 0 || size == 0 {
        return;
    }
    let kept = shadows.size().div_ceil(size);
    let left = u64::from(count).saturating_sub(kept);
    // A machine with less than half of its storage cannot run guests.
    if left >= kept
        && let Ok(left) = u16::try_from(left)
    {
        block[COUNT..COUNT + 2].copy_from_slice(&left.to_be_bytes());
        shadows.place(u64::from(left) * size);
        storage_reaches(u64::from(count) * size);
    }
}

/// Amends the block of a read-CPU-info (`struct read_cpu_info_sccb`).
fn amend_cpu_info(block: &mut [u8]) {
    if block.len() >= 12 && is_filled(block) {
        amend_cpus(block, read_u16(block, 8), read_u16(block, 10));
    }
}

/// Amends the entries of `count` CPUs from `offset` on (`struct sclp_core_entry`): SIE format 2 and
/// SIGP interpretation. SIE does not handle storage keys, so the host does.
fn amend_cpus(block: &mut [u8], count: u16, offset: u16) {
    const LENGTH: usize = 16;
    let Some(entries) = block.get_mut(usize::from(offset)..) else {
        return;
    };
    for entry in entries.chunks_exact_mut(LENGTH).take(usize::from(count)) {
        entry[2] |= 0x08;
        entry[3] |= 0x10;
    }
}

/// Returns the halfword at `offset`, which the caller has checked.
fn read_u16(bytes: &[u8], offset: usize) -> u16 {
    u16::from_be_bytes([bytes[offset], bytes[offset + 1]])
}

#[cfg(test)]
#[path = "facilities_tests.rs"]
mod tests;
