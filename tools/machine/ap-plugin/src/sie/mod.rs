// SPDX-License-Identifier: GPL-2.0
//! START INTERPRETIVE EXECUTION: runs guests of KVM on an emulator without SIE.
//!
//! # The technique
//!
//! SIE swaps worlds. It saves the registers and the PSW of the host and loads those of the guest.
//! The guest runs on the same emulated CPU, in the problem state, with translation by shadow tables
//! ([`shadow`]). Ordinary instructions run at full speed. Privileged instructions and those that
//! QEMU does not know trap.
//!
//! Each interruption passes through [`exception`]. An interruption of the host ends the guest: the
//! host is restored as if it had been interrupted after its SIE, and its handler runs. An
//! interruption of the guest is delivered through the guest's prefix area. A trapped instruction is
//! executed for the guest ([`privileged`], [`tables`], [`ap`]) or intercepted, as the state
//! description requires. While a guest runs, requests of the host are checked every few blocks of
//! instructions, and purges of other CPUs before the next block.
//!
//! | module | contents |
//! |---|---|
//! | [`world`] | the swap, and the resumption of a guest |
//! | [`exception`] | interruptions while a guest runs |
//! | [`instruction`] | fetching and dispatching trapped instructions |
//! | [`privileged`], [`tables`], [`ap`] | the execution of trapped instructions |
//! | [`unprivileged`] | instructions whose results would show the host |
//! | [`adapter`] | adapter interruptions without an exit |
//! | [`shadow`], [`translation`], [`storage`] | translation and access |
//! | [`state_description`], [`psw`], [`lowcore`], [`interception`] | layouts and rules |
//!
//! # Limits
//!
//! The emulation does not have
//!
//! - protection by storage keys. KVM keeps the keys and checks them in its own accesses, but QEMU
//!   checks no access;
//! - private spaces, access registers, PER, transactions, and instructions that trap as the
//!   target of EXECUTE;
//! - interruptions by the guest's clock comparator or CPU timer at the exact time. The host checks
//!   them at an exit, which the host's clock causes;
//! - guests of guests.
//!
//! Stores into table entries for a guest (IPTE, IDTE, CSP) are not interlocked with stores of other
//! CPUs.

mod adapter;
mod ap;
mod exception;
mod instruction;
mod interception;
mod lowcore;
mod privileged;
mod psw;
mod shadow;
mod state_description;
mod storage;
mod tables;
mod translation;
mod unprivileged;
mod world;

#[cfg(test)]
mod tests;

pub(crate) use lowcore::{Class, IO_CODE};
pub(crate) use psw::{Psw, bits};
pub(crate) use shadow::{Owner, Purge, Shared};
pub(crate) use unprivileged::{Correction, Leak, correct};

use crate::machine::Machine;
use shadow::Shadow;
use state_description::StateDescription;
use storage::Window;
use translation::{GuestStorage, Space};

/// The state of a CPU for running guests.
#[derive(Default)]
pub(crate) struct Sie {
    /// The running guest.
    running: Option<Running>,
    /// The PSW with which the CPU continues. It waits here because an interruption in progress
    /// cannot get another PSW. The PSW is loaded before the first instruction of the interruption's
    /// handler.
    parked: Option<Psw>,
    shadow: Shadow,
}

/// A running guest CPU.
struct Running {
    description: StateDescription,
    /// The PSW mask. The part that the guest changes natively is up to date only after a trap.
    mask: u64,
    storage: GuestStorage,
    /// The contents of control registers 1 and 7, which prevent unnecessary changes, or 0 if they
    /// are unknown.
    loaded: (u64, u64),
    /// The contents of control register 0, or 0 if they are unknown.
    cr0: u64,
    /// True if an instruction of the guest was executed after SIE.
    ran: bool,
    host: Host,
}

/// The saved state of the host.
struct Host {
    /// The PSW after SIE.
    psw: Psw,
    gr: [u64; 2],
    cr: [u64; 4],
}

/// The control registers that have other contents while a guest runs.
const SWAPPED_CR: [u8; 4] = [0, 1, 3, 7];
/// The general registers that SIE itself swaps.
const SWAPPED_GR: [u8; 2] = [14, 15];

impl Running {
    /// Returns a window on the real storage of the guest.
    fn real(&self) -> Window {
        Window {
            storage: self.storage,
            space: Space::Real,
        }
    }
}

impl Sie {
    /// Returns true if the CPU runs a guest.
    pub(crate) fn runs_guest(&self) -> bool {
        self.running.is_some()
    }

    /// Returns true if the CPU runs a guest or has a parked PSW.
    pub(crate) fn is_active(&self) -> bool {
        self.running.is_some() || self.parked.is_some()
    }

    /// Returns true if the CPU needs a callback at the next block of instructions.
    pub(crate) fn is_due(&self, machine: &Machine, cpu: u32) -> bool {
        self.parked.is_some() || self.running.is_some() && machine.shadows().has_purges(cpu)
    }
}
