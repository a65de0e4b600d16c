// SPDX-License-Identifier: GPL-2.0
//! The program that runs inside guests, and the communication with it. Each CPU has a mailbox in
//! the guest's storage, which both sides read and write. Communication causes no exit from SIE.
//!
//! The program repeatedly tests each queue in a range (TAPQ) and records the response codes.
//! Between two tests, it executes requests.

use std::fmt;

use vfio_ap_core::specification::Sets;

use crate::crycb::{self, Commit};
use crate::memory::Memory;

#[cfg(target_arch = "s390x")]
std::arch::global_asm!(include_str!("payload.S"));

/// Returns the bytes of the program, and the offsets of its handlers of I/O and program
/// interruptions.
#[cfg(target_arch = "s390x")]
fn program() -> (&'static [u8], u64, u64) {
    unsafe extern "C" {
        static payload_start: u8;
        static payload_io: u8;
        static payload_program: u8;
        static payload_end: u8;
    }
    let [start, io, exception, end] = [
        &raw const payload_start,
        &raw const payload_io,
        &raw const payload_program,
        &raw const payload_end,
    ];
    let offset = |to: *const u8| to.addr() - start.addr();
    // SAFETY: both symbols are in the section of payload.S, which is read-only, and `end` is after
    // `start`.
    let bytes = unsafe { std::slice::from_raw_parts(start, offset(end)) };
    (bytes, offset(io) as u64, offset(exception) as u64)
}

/// On other architectures, the compiler only checks these programs.
#[cfg(not(target_arch = "s390x"))]
fn program() -> (&'static [u8], u64, u64) {
    (&[], 0, 0)
}

/// The size of a guest's storage.
pub const STORAGE: usize = 2 << 20;
/// The maximum number of CPUs.
pub const MAX_CPUS: usize = 8;

const PROGRAM: u64 = 0x2_0000;
const MAILBOXES: u64 = 0x1_0000;
const PREFIXES: u64 = 0x4_0000;
const TABLES: u64 = 0x8_0000;
/// The address of the buffers for messages and replies.
const BUFFERS: u64 = 0x18_0000;
/// The address of the indicator bytes, which the machine sets with an interruption.
const INDICATORS: u64 = 0x1c_0000;
const PAGE: u64 = 0x1000;

/// The bits of a PSW mask: 64-bit addresses, I/O interruptions, and the wait state.
const MODE_64: u64 = 0x1_8000_0000;
const IO: u64 = 1 << 57;
const WAIT: u64 = 1 << 49;

/// The offsets in a mailbox. payload.S contains them as numbers.
mod mailbox {
    pub(super) const SCANS: u64 = 0x00;
    pub(super) const COMMAND: u64 = 0x08;
    pub(super) const REGISTERS: u64 = 0x10;
    pub(super) const CC: u64 = 0x50;
    pub(super) const INTERRUPTIONS: u64 = 0x58;
    pub(super) const WORD: u64 = 0x60;
    pub(super) const TABLE: u64 = 0x68;
    pub(super) const LAST_ADAPTER: u64 = 0x70;
    pub(super) const LAST_DOMAIN: u64 = 0x78;
    pub(super) const EXCEPTION: u64 = 0x88;
    pub(super) const EXCEPTION_AT: u64 = 0x90;
    pub(super) const CR6: u64 = 0x98;
    pub(super) const STOP: u64 = 0xa0;
    pub(super) const WAIT: u64 = 0xb0;
}

/// The initial registers of a CPU of the guest.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The PSW.
    pub psw: (u64, u64),
    /// General register 13.
    pub mailbox: u64,
    /// The prefix register.
    pub prefix: u64,
}

/// A request to a CPU: an AP instruction or a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A function of PQAP.
    Pqap = 1,
    /// NQAP.
    Nqap = 2,
    /// DQAP.
    Dqap = 3,
    /// Load an enabled wait PSW, until an interruption.
    Wait = 4,
}

/// The registers and the condition code after an AP instruction.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// General registers 0 to 7.
    pub registers: [u64; 8],
    /// The condition code.
    pub cc: u64,
}

impl fmt::Display for Outcome {
    /// Writes the response code, the condition code, and the status word.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.registers[1] as u32;
        write!(
            f,
            "rc={:02x} cc={} status={status:08x}",
            status >> 16 & 0xff,
            self.cc
        )
    }
}

/// The program in a guest's storage, for this process.
pub struct Payload {
    memory: Memory,
}

impl Payload {
    /// Loads the program for `cpus` CPUs, which test the adapters up to `last_adapter` and the
    /// domains up to `last_domain`.
    pub fn load(memory: Memory, cpus: usize, last_adapter: u8, last_domain: u8) -> Self {
        let (bytes, io, exception) = program();
        memory.write(PROGRAM, bytes);
        for cpu in 0..cpus as u64 {
            let mailbox = MAILBOXES + cpu * PAGE;
            let set = |offset, value| memory.store(mailbox + offset, value);
            set(mailbox::TABLE, Self::table(cpu as usize));
            set(mailbox::LAST_ADAPTER, last_adapter.into());
            set(mailbox::LAST_DOMAIN, last_domain.into());
            set(mailbox::CR6, 0xff00_0000);
            set(mailbox::STOP, WAIT | MODE_64);
            set(mailbox::STOP + 8, 0xdead);
            set(mailbox::WAIT, WAIT | IO | MODE_64);
            let prefix = Self::prefix(cpu);
            // The new PSWs. Only an interruption with the last one is expected.
            for place in [0x1a0, 0x1b0, 0x1c0, 0x1e0] {
                memory.store(prefix + place, WAIT | MODE_64);
                memory.store(prefix + place + 8, place);
            }
            for (place, handler) in [(0x1d0, exception), (0x1f0, io)] {
                memory.store(prefix + place, MODE_64);
                memory.store(prefix + place + 8, PROGRAM + handler);
            }
        }
        Self { memory }
    }

    fn prefix(cpu: u64) -> u64 {
        if cpu == 0 {
            0
        } else {
            PREFIXES + cpu * 2 * PAGE
        }
    }

    fn table(cpu: usize) -> u64 {
        TABLES + cpu as u64 * 0x1_0000
    }

    fn mailbox(cpu: usize) -> u64 {
        MAILBOXES + cpu as u64 * PAGE
    }

    fn get(&self, cpu: usize, offset: u64) -> u64 {
        self.memory.load(Self::mailbox(cpu) + offset)
    }

    /// Returns the initial registers of a CPU.
    pub fn start(&self, cpu: usize) -> Start {
        Start {
            psw: (IO | MODE_64, PROGRAM),
            mailbox: Self::mailbox(cpu),
            prefix: Self::prefix(cpu as u64),
        }
    }

    /// Returns the guest addresses of the buffer and of the indicator byte of a CPU.
    pub fn places(cpu: usize) -> (u64, u64) {
        (
            BUFFERS + cpu as u64 * 4 * PAGE,
            INDICATORS + cpu as u64 * PAGE,
        )
    }

    /// Writes a message into the buffer of a CPU.
    pub fn fill(&self, cpu: usize, message: &[u8]) {
        let (buffer, _) = Self::places(cpu);
        self.memory.write(buffer, message);
    }

    /// Returns the first `length` bytes of the buffer of a CPU.
    pub fn buffer(&self, cpu: usize, length: usize) -> Vec<u8> {
        let (buffer, _) = Self::places(cpu);
        let doublewords = (0..length.div_ceil(8) as u64).map(|n| self.memory.load(buffer + 8 * n));
        let mut bytes: Vec<u8> = doublewords.flat_map(u64::to_be_bytes).collect();
        bytes.truncate(length);
        bytes
    }

    /// Returns the number of tests of all queues by a CPU.
    pub fn scans(&self, cpu: usize) -> u64 {
        self.get(cpu, mailbox::SCANS)
    }

    /// Returns the number of interruptions of a CPU, and the last interruption identification word.
    pub fn interruptions(&self, cpu: usize) -> (u64, u64) {
        (
            self.get(cpu, mailbox::INTERRUPTIONS),
            self.get(cpu, mailbox::WORD),
        )
    }

    /// Returns the indicator byte of a CPU.
    pub fn indicator(&self, cpu: usize) -> u8 {
        let (_, indicator) = Self::places(cpu);
        (self.memory.load(indicator) >> 56) as u8
    }

    /// Returns the program interruption that has ended the program: the code with the length, and
    /// the address.
    pub fn exception(&self, cpu: usize) -> Option<(u64, u64)> {
        match self.get(cpu, mailbox::EXCEPTION) {
            0 => None,
            code => Some((code, self.get(cpu, mailbox::EXCEPTION_AT))),
        }
    }

    /// Returns the last response code for queue `apqn` on a CPU.
    pub fn response(&self, cpu: usize, apqn: u16) -> u8 {
        let at = Self::table(cpu) + u64::from(apqn);
        let shift = 8 * (7 - at % 8);
        (self.memory.load(at & !7) >> shift) as u8
    }

    /// Returns the queues that are available to a CPU, in the range of its tests.
    pub fn queues(&self, cpu: usize) -> Vec<u16> {
        let last = |offset| self.get(cpu, offset) as u16;
        let (adapters, domains) = (
            0..=last(mailbox::LAST_ADAPTER),
            0..=last(mailbox::LAST_DOMAIN),
        );
        adapters
            .flat_map(|adapter| domains.clone().map(move |domain| adapter << 8 | domain))
            .filter(|&apqn| self.response(cpu, apqn) == 0)
            .collect()
    }

    /// Returns the masks in the block that QCI has stored in the buffer of a CPU.
    pub fn configuration(&self, cpu: usize) -> Commit {
        let (buffer, _) = Self::places(cpu);
        let set = |offset: u64| {
            let numbers_of = |word: u64| {
                let bits = self.memory.load(buffer + offset + 8 * word);
                crycb::numbers(bits, 64 * word as usize)
            };
            (0..4).flat_map(numbers_of).collect()
        };
        Commit::Set(Sets {
            adapters: set(16),
            domains: set(48),
            control_domains: set(80),
        })
    }

    /// Requests the execution of an instruction with these registers by a CPU. [`Self::outcome`]
    /// returns the result.
    pub fn order(&self, cpu: usize, operation: Operation, registers: [u64; 8]) {
        let mailbox = Self::mailbox(cpu);
        for (number, value) in (0..).zip(registers) {
            self.memory
                .store(mailbox + mailbox::REGISTERS + 8 * number, value);
        }
        self.memory
            .store(mailbox + mailbox::COMMAND, operation as u64);
    }

    /// Returns the result of the last request after its execution.
    pub fn outcome(&self, cpu: usize) -> Option<Outcome> {
        if self.get(cpu, mailbox::COMMAND) != 0 {
            return None;
        }
        Some(Outcome {
            registers: std::array::from_fn(|number| {
                self.get(cpu, mailbox::REGISTERS + 8 * number as u64)
            }),
            cc: self.get(cpu, mailbox::CC),
        })
    }
}
