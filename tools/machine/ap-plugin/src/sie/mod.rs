// SPDX-License-Identifier: GPL-2.0
//! START INTERPRETIVE EXECUTION: guests of KVM on an emulator without SIE.
//!
//! # The technique
//!
//! SIE swaps worlds. It saves the registers and the PSW of the host and loads those of the
//! guest. The guest runs on the same emulated CPU, in the problem state, translated by
//! shadow tables ([`shadow`]). Ordinary instructions run at full speed. Privileged
//! instructions and those that QEMU does not know trap.
//!
//! Each interruption passes through [`exception`]. An interruption of the host ends the
//! guest: the host is restored as if it had been interrupted behind its SIE, and its handler
//! runs. An interruption of the guest is delivered through the guest's prefix area. A trap is
//! executed on the guest's behalf ([`privileged`], [`tables`], [`ap`]) or intercepted, as the
//! state description says. While a guest runs, requests of the host are checked every few
//! blocks of instructions, and purges of other CPUs before the next block.
//!
//! | module | owns |
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
//! A guest does not get
//!
//! - protection by storage keys: KVM keeps the keys, and checks them for what it executes
//!   itself, but QEMU checks no access by them;
//! - private spaces, access registers, PER, transactions, and instructions that trap as the
//!   target of EXECUTE;
//! - interruptions by its clock comparator or CPU timer at the exact time: the host checks
//!   them at an exit, which its own clock causes;
//! - guests of its own.
//!
//! Stores into table entries on a guest's behalf (IPTE, IDTE, CSP) are not interlocked with
//! stores of other CPUs.

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

/// A CPU's part in running guests.
#[derive(Default)]
pub(crate) struct Sie {
    /// The guest that it runs.
    running: Option<Running>,
    /// Where to go on as soon as that can be said: an interruption can not be given
    /// another PSW in the middle, only replaced by one before its handler's first
    /// instruction.
    parked: Option<Psw>,
    shadow: Shadow,
}

/// A guest CPU that runs.
struct Running {
    description: StateDescription,
    /// Its PSW mask; what it changes natively is up to date only after a trap.
    mask: u64,
    storage: GuestStorage,
    /// What is in control registers 1 and 7, so that they are not set in vain; 0 if
    /// that is not known.
    loaded: (u64, u64),
    /// What is in control register 0; 0 if that is not known.
    cr0: u64,
    /// Whether any of its instructions was executed since SIE was.
    ran: bool,
    host: Host,
}

/// What is put aside of the host.
struct Host {
    /// Its PSW, behind SIE.
    psw: Psw,
    gr: [u64; 2],
    cr: [u64; 4],
}

/// The control registers that a guest runs with other contents of.
const SWAPPED_CR: [u8; 4] = [0, 1, 3, 7];
/// The general registers that SIE itself swaps.
const SWAPPED_GR: [u8; 2] = [14, 15];

impl Running {
    /// Real storage of the guest.
    fn real(&self) -> Window {
        Window {
            storage: self.storage,
            space: Space::Real,
        }
    }
}

impl Sie {
    /// Does the CPU run a guest?
    pub(crate) fn runs_guest(&self) -> bool {
        self.running.is_some()
    }

    /// Is anything the matter with it?
    pub(crate) fn is_active(&self) -> bool {
        self.running.is_some() || self.parked.is_some()
    }

    /// Has it to be called at the next block of instructions?
    pub(crate) fn is_due(&self, machine: &Machine, cpu: u32) -> bool {
        self.parked.is_some() || self.running.is_some() && machine.shadows().has_purges(cpu)
    }
}
