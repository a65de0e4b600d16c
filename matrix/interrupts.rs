// SPDX-License-Identifier: GPL-2.0

//! The interruptions of a queue for a guest, and how they end.
//!
//! A queue that interrupts a guest writes to memory: to the notification indicator byte, in a page of
//! the guest's user, and to the guest interruption state area (GISA) of the virtual machine. The
//! driver holds both as long as the machine may write to them. So there is one rule: what is held is
//! given back only when the machine has been *seen* to have let go of it. That is in the machine's
//! time: it may accept AQIC, or a reset, long before that has an effect.
//!
//! | state     | what is known of the machine                                   | what is held |
//! |-----------|----------------------------------------------------------------|--------------|
//! | off       | it has nothing of a guest                                      | nothing      |
//! | candidate | it was not told yet                                            | yes          |
//! | enabling  | it has accepted AQIC(enable), which may have its effect later  | yes          |
//! | on        | TAPQ has shown the effect                                      | yes          |
//! | disabling | it has accepted AQIC(disable) after AQIC(enable)               | yes          |
//! | resetting | TAPQ has shown a reset, and the driver wants the end           | yes          |
//!
//! TAPQ says that interruptions are off also while they are still being enabled. So that proves nothing
//! in the state *enabling*, and is the end in the states *on* and *disabling*. A reset ends them in each
//! state: nobody enables interruptions for the guest before the driver has seen its end ([`refusal`]),
//! so what TAPQ says to be on after that is the host's.
//!
//! An *orphan* is what remains of a queue that the driver no longer has, as the machine did not let go
//! of it in time. No instruction but TAPQ, which changes nothing, is executed for it. If its next owner
//! resets the queue and enables interruptions between two looks, TAPQ cannot tell that: then what is
//! held is given back when the driver has reset the queue another time.
//!
//! Part of the functional core: the AP instructions are behind a trait, and time does not exist.

use core::mem::ManuallyDrop;

use crate::{
    matrix::{
        mask::Apqn,
        queues::response::*, //
    }, //
};

/// The two instructions by which interruptions end.
pub trait Control {
    /// PQAP(AQIC): disables interruptions of the queue. Returns the response code.
    fn disable(&mut self, apqn: Apqn) -> u8;
    /// PQAP(TAPQ): tests the queue. Returns the response code, and true if interruptions are enabled.
    fn test(&mut self, apqn: Apqn) -> (u8, bool);
}

/// What decides whether AQIC may be executed for a guest.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The guest has the queue.
    pub granted: bool,
    /// The queue is bound to the driver.
    pub bound: bool,
    /// A reset of the queue is wanted or under way, as far as the driver has seen.
    pub resetting: bool,
    /// Interruptions of the queue are being ended by the driver.
    pub ending: bool,
}

/// Returns the response code by which AQIC of a guest is refused, if it is.
///
/// A queue that the guest has, but the driver does not, is not there as far as the guest can tell:
/// its next owner may be there already. During a reset AQIC would be answered like that by the
/// machine as well; the driver answers so until it has seen the end.
pub fn refusal(facts: Facts) -> Option<u8> {
    if !facts.granted || !facts.bound {
        Some(NOT_AVAILABLE)
    } else if facts.resetting {
        Some(RESET_IN_PROGRESS)
    } else if facts.ending {
        Some(BUSY)
    } else {
        None
    }
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Phase {
    Candidate,
    Enabling,
    On,
    Disabling,
    Resetting,
    Over,
}

/// The interruptions of one queue. They own `T`, which the machine writes to, and are told from others
/// by `owner`.
///
/// What the machine may write to cannot be had back: it is lost if this is dropped too early.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Interruption<T, O> {
    /// Whose they are.
    pub owner: O,
    target: ManuallyDrop<T>,
    phase: Phase,
    ending: bool,
    orphan: bool,
}

impl<T, O> Interruption<T, O> {
    /// The machine does not know of them yet.
    pub fn new(target: T, owner: O) -> Self {
        Self {
            owner,
            target: ManuallyDrop::new(target),
            phase: Phase::Candidate,
            ending: false,
            orphan: false,
        }
    }

    /// What the machine writes to.
    pub fn target(&self) -> &T {
        &self.target
    }

    /// The machine has accepted AQIC(enable): it may write from now on.
    pub fn enable_accepted(&mut self) {
        self.phase = Phase::Enabling;
    }

    /// Gives back what the machine does not need: [`None`] if it may write to that still.
    pub fn into_parts(self) -> Option<(T, O)> {
        let is_free = matches!(self.phase, Phase::Candidate | Phase::Over);
        is_free.then(|| (ManuallyDrop::into_inner(self.target), self.owner))
    }

    /// The interruptions have to end.
    pub fn end(&mut self) {
        self.ending = true;
    }

    /// Returns true if they have to end.
    pub fn is_ending(&self) -> bool {
        self.ending
    }

    /// The queue leaves the driver, but the machine has not let go.
    pub fn orphan(&mut self) {
        self.ending = true;
        self.orphan = true;
    }

    /// The machine has answered AQIC(disable) with `code`, on behalf of the guest or of the driver.
    pub fn disable_answered(&mut self, code: u8) {
        if matches!(code, NORMAL | OTHERWISE_CHANGED) {
            self.phase = Phase::Disabling;
            self.ending = true;
        }
    }

    /// The machine has let go, as the driver has seen the end of a reset, or that the queue is gone; or
    /// has accepted AQIC(enable) for others.
    pub fn mark_over(&mut self) {
        self.phase = Phase::Over;
    }

    /// A reset of the queue was seen to be under way, and nobody can enable interruptions for the guest
    /// any more: when TAPQ does not tell of a reset, nothing is left.
    pub fn reset_seen(&mut self) {
        if matches!(self.phase, Phase::Enabling | Phase::On | Phase::Disabling) {
            self.phase = Phase::Resetting;
        }
    }

    /// Takes the end of the interruptions as far as possible without waiting. Returns true if the
    /// machine has let go.
    pub fn step(&mut self, apqn: Apqn, machine: &mut impl Control) -> bool {
        if !self.orphan && matches!(self.phase, Phase::Enabling | Phase::On) {
            let code = machine.disable(apqn);
            self.disable_answered(code);
        }
        match machine.test(apqn) {
            // It is not known yet what the machine makes of AQIC(enable).
            (NORMAL, false) if self.phase == Phase::Enabling => {}
            (NORMAL, true) if self.phase == Phase::Enabling => self.phase = Phase::On,
            // What is on is the host's.
            (NORMAL, true) if self.phase == Phase::Resetting => self.mark_over(),
            (NORMAL, true) => {}
            // The machine resets what comes back.
            (NORMAL, false) | (NOT_AVAILABLE | DECONFIGURED | CHECKSTOPPED, _) => self.mark_over(),
            (RESET_IN_PROGRESS, _) => self.reset_seen(),
            _ => {}
        }
        self.phase == Phase::Over
    }
}
