// SPDX-License-Identifier: GPL-2.0

//! The states of a queue's interruptions for a guest.
//!
//! A queue that interrupts a guest writes to its target: the notification indicator byte, in a page of
//! the guest's user, and the guest interruption state area (GISA) of the virtual machine. The driver
//! keeps the target as long as the machine may write to it. It drops the target only after the machine
//! was *seen* to have let go. The machine may accept AQIC, or a reset, long before that takes effect.
//!
//! | state     | knowledge about the machine                                     | target |
//! |-----------|-----------------------------------------------------------------|--------|
//! | candidate | AQIC(enable) was not executed                                   | kept   |
//! | enabling  | AQIC(enable) was accepted, and may take effect later            | kept   |
//! | on        | TAPQ has shown that interruptions are enabled                   | kept   |
//! | disabling | AQIC(disable) was accepted after AQIC(enable)                   | kept   |
//! | resetting | TAPQ has shown a reset                                          | kept   |
//! | over      | TAPQ has shown that the machine has let go                      | free   |
//!
//! TAPQ shows disabled interruptions also while they are being enabled. This has no meaning in the state
//! *enabling*, and is the end in the states *on* and *disabling*. A reset is the end in each state. The
//! driver does not enable interruptions for the guest before it has seen the end of a reset
//! ([`refusal`]), so interruptions that TAPQ shows after that belong to the host.
//!
//! An *orphan* belongs to a queue that is no longer bound to the driver. Only TAPQ is executed for it,
//! which changes nothing. The next owner may reset the queue and enable interruptions between two
//! polls, which TAPQ does not show. The target is kept until the driver has reset the queue again.
//!
//! Part of the functional core: the AP instructions are behind a trait, and there is no clock.

use core::mem::ManuallyDrop;

use crate::{
    matrix::{
        mask::Apqn,
        queues::response::*, //
    }, //
};

/// The two instructions that end interruptions.
pub trait Control {
    /// PQAP(AQIC): disables interruptions of the queue. Returns the response code.
    fn disable(&mut self, apqn: Apqn) -> u8;
    /// PQAP(TAPQ): tests the queue. Returns the response code, and true if interruptions are enabled.
    fn test(&mut self, apqn: Apqn) -> (u8, bool);
}

/// The conditions for executing AQIC for a guest.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The guest has the queue.
    pub granted: bool,
    /// The queue is bound to the driver.
    pub bound: bool,
    /// The queue has a pending reset.
    pub resetting: bool,
    /// The driver is ending interruptions of the queue.
    pub ending: bool,
}

/// Returns the response code by which AQIC of a guest is refused, if it is.
///
/// A queue that is not bound to the driver is not available to the guest, as another driver may have it.
/// During a reset the machine returns [`RESET_IN_PROGRESS`]. The driver does so until it has seen the end
/// of the reset.
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

/// The interruptions of one queue. They own `T`, the target that the machine writes to.
///
/// If they are dropped while the machine may write to the target, the target is leaked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Interruption<T, O> {
    /// The owner of the interruptions.
    pub owner: O,
    target: ManuallyDrop<T>,
    phase: Phase,
    ending: bool,
    orphan: bool,
}

impl<T, O> Interruption<T, O> {
    /// Creates interruptions that are not enabled yet.
    pub fn new(target: T, owner: O) -> Self {
        Self {
            owner,
            target: ManuallyDrop::new(target),
            phase: Phase::Candidate,
            ending: false,
            orphan: false,
        }
    }

    /// Returns the target.
    pub fn target(&self) -> &T {
        &self.target
    }

    /// Records that the machine has accepted AQIC(enable). It may write to the target from then on.
    pub fn enable_accepted(&mut self) {
        self.phase = Phase::Enabling;
    }

    /// Returns the target and the owner. Returns [`None`], and leaks the target, if the machine may still
    /// write to it.
    pub fn into_parts(self) -> Option<(T, O)> {
        let is_free = matches!(self.phase, Phase::Candidate | Phase::Over);
        is_free.then(|| (ManuallyDrop::into_inner(self.target), self.owner))
    }

    /// Begins to end the interruptions.
    pub fn end(&mut self) {
        self.ending = true;
    }

    /// Returns true if the interruptions are being ended.
    pub fn is_ending(&self) -> bool {
        self.ending
    }

    /// Records that the queue is no longer bound to the driver.
    pub fn orphan(&mut self) {
        self.ending = true;
        self.orphan = true;
    }

    /// Records the response code of AQIC(disable), which was executed for the guest or the driver.
    pub fn disable_answered(&mut self, code: u8) {
        if matches!(code, NORMAL | OTHERWISE_CHANGED) {
            self.phase = Phase::Disabling;
            self.ending = true;
        }
    }

    /// Records that the machine has let go: the driver has seen the end of a reset, the queue is gone, or
    /// the machine has accepted AQIC(enable) for other interruptions.
    pub fn mark_over(&mut self) {
        self.phase = Phase::Over;
    }

    /// Records that a reset of the queue was seen to be under way. The interruptions are over when TAPQ
    /// does not show a reset any more.
    pub fn reset_seen(&mut self) {
        if matches!(self.phase, Phase::Enabling | Phase::On | Phase::Disabling) {
            self.phase = Phase::Resetting;
        }
    }

    /// Advances the end of the interruptions as far as possible without waiting. Returns true if the
    /// machine has let go.
    pub fn step(&mut self, apqn: Apqn, machine: &mut impl Control) -> bool {
        if !self.orphan && matches!(self.phase, Phase::Enabling | Phase::On) {
            let code = machine.disable(apqn);
            self.disable_answered(code);
        }
        match machine.test(apqn) {
            // AQIC(enable) may take effect later.
            (NORMAL, false) if self.phase == Phase::Enabling => {}
            (NORMAL, true) if self.phase == Phase::Enabling => self.phase = Phase::On,
            // The interruptions that are enabled belong to the host.
            (NORMAL, true) if self.phase == Phase::Resetting => self.mark_over(),
            (NORMAL, true) => {}
            // The machine resets the queue before it comes back.
            (NORMAL, false) | (NOT_AVAILABLE | DECONFIGURED | CHECKSTOPPED, _) => self.mark_over(),
            (RESET_IN_PROGRESS, _) => self.reset_seen(),
            _ => {}
        }
        self.phase == Phase::Over
    }
}
