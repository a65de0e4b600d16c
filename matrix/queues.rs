// SPDX-License-Identifier: GPL-2.0

//! The queues that are bound to the driver, and their resets.
//!
//! Owns what is known of each queue, as one row of 256 bits per adapter and property: so an adapter
//! is judged by a few operations on words, however many queues there are. Owns also the rules of a
//! reset: when a queue may be passed on, when to look again, when to ask again.
//!
//! A queue that is bound is in one of these states:
//!
//! | state    | meaning                                                             | may be passed on |
//! |----------|---------------------------------------------------------------------|------------------|
//! | usable   | its last reset has finished                                         | yes              |
//! | held     | taken from a guest whose APCB may still name it; not reset yet      | no               |
//! | pending  | a reset is wanted or under way                                      | no               |
//! | failed   | its last reset ended with an error                                  | no               |
//!
//! A reset on behalf of the guest that has the queue (`VFIO_DEVICE_RESET`) leaves it usable while
//! it is pending: the guest keeps its own queue.
//!
//! Part of the functional core: the AP instructions are behind a trait, and time does not exist.

use core::ops::DerefMut;

use crate::{
    matrix::{
        mask::{
            Apid,
            Apqi,
            Apqn,
            Mask, //
        },
        QueueSet, //
    }, //
};

/// Response codes of the AP instructions.
///
/// Source: `drivers/s390/crypto/ap_bus.h`.
pub mod response {
    /// The function was performed.
    pub const NORMAL: u8 = 0x00;
    /// The queue does not exist for this machine.
    pub const NOT_AVAILABLE: u8 = 0x01;
    /// The queue is being reset.
    pub const RESET_IN_PROGRESS: u8 = 0x02;
    /// The adapter is in the configuration, but deconfigured.
    pub const DECONFIGURED: u8 = 0x03;
    /// The adapter is in check stop.
    pub const CHECKSTOPPED: u8 = 0x04;
    /// An address is not valid.
    pub const INVALID_ADDRESS: u8 = 0x06;
    /// Interruptions are enabled, or disabled, already.
    pub const OTHERWISE_CHANGED: u8 = 0x07;
    /// The machine is busy; nothing was done.
    pub const BUSY: u8 = 0x05;
    /// The state of the queue is being changed; nothing was done.
    pub const STATE_CHANGE_IN_PROGRESS: u8 = 0x0a;
    /// The association with a secret was not unique: a reset is needed.
    pub const ASSOC_SECRET_NOT_UNIQUE: u8 = 0x35;
    /// The association with a secret failed: a reset is needed.
    pub const ASSOC_FAILED: u8 = 0x36;
}

/// The two instructions that a reset consists of; the result is the response code.
pub trait Instructions {
    /// PQAP(ZAPQ): reset the queue and zeroize what it holds.
    fn zapq(&mut self, apqn: Apqn) -> u8;
    /// PQAP(TAPQ): test the queue.
    fn tapq(&mut self, apqn: Apqn) -> u8;
}

/// What one look at a reset has found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// Not finished: look again later.
    Pending,
    /// Finished: the queue holds nothing of its last user.
    Done,
    /// Ended with this response code: the queue must not be passed on.
    Failed(u8),
}

/// A reset of one queue.
///
/// It is an execution of ZAPQ that the machine accepts, and then its end as TAPQ sees it. An answer
/// that a reset is in progress already does not count: that one may have begun before the last user
/// put its last message into the queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reset {
    /// The machine has accepted it: only its end is to be seen.
    accepted: bool,
    /// One is or was under way: this one, or an earlier one.
    seen: bool,
}

impl Reset {
    /// Returns true if a reset was seen to be under way, this one or one that began before it.
    pub fn is_seen(&self) -> bool {
        self.seen
    }

    /// Takes the reset as far as possible without waiting.
    pub fn step(&mut self, apqn: Apqn, ap: &mut impl Instructions) -> Progress {
        use response::*;

        if !self.accepted {
            match ap.zapq(apqn) {
                NORMAL => (self.accepted, self.seen) = (true, true),
                RESET_IN_PROGRESS => {
                    self.seen = true;
                    return Progress::Pending;
                }
                BUSY | STATE_CHANGE_IN_PROGRESS => return Progress::Pending,
                // Out of everybody's reach, and reset by the machine before it comes back.
                DECONFIGURED | CHECKSTOPPED => return Progress::Done,
                code => return Progress::Failed(code),
            }
        }
        match ap.tapq(apqn) {
            NORMAL | DECONFIGURED | CHECKSTOPPED => Progress::Done,
            RESET_IN_PROGRESS | BUSY => Progress::Pending,
            ASSOC_SECRET_NOT_UNIQUE | ASSOC_FAILED => {
                self.accepted = false;
                Progress::Pending
            }
            code => Progress::Failed(code),
        }
    }
}

/// The queues of one adapter: a set of domains for each property.
///
/// # Invariants
///
/// All sets are subsets of `bound`, and those that tell more of pending resets are subsets of
/// `pending`. No queue is both failed and usable, or failed and pending.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Entry {
    bound: Mask<Apqi>,
    usable: Mask<Apqi>,
    pending: Mask<Apqi>,
    /// The pending resets that the machine has accepted.
    accepted: Mask<Apqi>,
    failed: Mask<Apqi>,
    /// Already pending at the last call of [`Queues::age_resets`].
    aged: Mask<Apqi>,
    /// Already pending at the call before.
    overdue: Mask<Apqi>,
    /// The last reset failed, or the last but one did and this one is under way: that was reported.
    reported: Mask<Apqi>,
}

impl Entry {
    /// No queue of the adapter is bound.
    pub const NONE: Self = Self {
        bound: Mask::EMPTY,
        usable: Mask::EMPTY,
        pending: Mask::EMPTY,
        accepted: Mask::EMPTY,
        failed: Mask::EMPTY,
        aged: Mask::EMPTY,
        overdue: Mask::EMPTY,
        reported: Mask::EMPTY,
    };

    /// Takes every property but `bound` from the queues in `row`.
    fn clear(&mut self, row: Mask<Apqi>) {
        self.usable = self.usable - row;
        self.failed = self.failed - row;
        self.end(row);
    }

    /// The resets of the queues in `row` are over.
    fn end(&mut self, row: Mask<Apqi>) {
        if !row.intersects(&self.pending) {
            return;
        }
        self.pending = self.pending - row;
        for part in [&mut self.accepted, &mut self.aged, &mut self.overdue] {
            if !part.is_empty() {
                *part = *part & self.pending;
            }
        }
    }

    /// Begins a reset of the bound queues in `row`, whatever came before.
    fn want_reset(&mut self, row: Mask<Apqi>) {
        let row = row & self.bound;
        self.failed = self.failed - row;
        self.end(row);
        self.pending = self.pending | row;
    }

    /// The queues that will be usable when their resets have ended, which should be soon.
    fn soon_usable(&self) -> Mask<Apqi> {
        self.pending - (self.usable | self.overdue)
    }

    /// The queues that have been taken from a guest and are not reset yet.
    fn revoked(&self) -> Mask<Apqi> {
        self.bound - (self.usable | self.pending | self.failed)
    }
}

/// Where the state of the queues is kept: an entry for each adapter that can have a queue bound, at the
/// place of its number.
pub trait Storage: DerefMut<Target = [Entry]> {}

impl<S: DerefMut<Target = [Entry]>> Storage for S {}

/// The domains whose queues keep an adapter from a guest, by what is the matter with them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unusable {
    /// Not bound to the driver.
    pub unbound: Mask<Apqi>,
    /// Taken from a guest, or being reset.
    pub unfinished: Mask<Apqi>,
    /// The reset failed.
    pub failed: Mask<Apqi>,
}

/// The state of all queues.
pub struct Queues<S> {
    entries: S,
    /// The adapters that have a pending queue.
    resetting: Mask<Apid>,
    /// The adapters that have changed since the last call of [`Self::clear_changes`].
    changed: Mask<Apid>,
}

impl<S: Storage> Queues<S> {
    /// No queue is bound. `entries` has nothing but [`Entry::NONE`].
    pub fn new(entries: S) -> Self {
        Self {
            entries,
            resetting: Mask::EMPTY,
            changed: Mask::EMPTY,
        }
    }

    // Not inlined: half of all functions here begin with it.
    #[inline(never)]
    fn adapter(&self, apid: Apid) -> &Entry {
        self.entries
            .get(usize::from(apid.0))
            .unwrap_or(&Entry::NONE)
    }

    /// Changes one adapter, and takes note of that.
    fn change(&mut self, apid: Apid, change: impl FnOnce(&mut Entry)) {
        if let Some(adapter) = self.entries.get_mut(usize::from(apid.0)) {
            change(adapter);
            let is_resetting = !adapter.pending.is_empty();
            self.note_change(apid, is_resetting);
        }
    }

    fn note_change(&mut self, apid: Apid, is_resetting: bool) {
        self.resetting.set(apid, is_resetting);
        self.changed.insert(apid);
    }

    /// The domains of an adapter whose queues may be passed to a guest.
    pub fn usable(&self, apid: Apid) -> Mask<Apqi> {
        self.adapter(apid).usable
    }

    /// Those of the adapters `apm` of which all queues with the domains `aqm` may be passed to a
    /// guest; without any domains, these are all of them.
    pub fn fully_usable(&self, apm: Mask<Apid>, aqm: Mask<Apqi>) -> Mask<Apid> {
        apm.filter(|apid| aqm.is_subset(&self.adapter(apid).usable))
    }

    /// The adapters that have changed since the last call of [`Self::clear_changes`].
    pub fn changed(&self) -> &Mask<Apid> {
        &self.changed
    }

    /// All adapters that have an entry.
    fn all(&self) -> Mask<Apid> {
        match self.entries.len() {
            0 => Mask::EMPTY,
            n => Mask::up_to((n - 1) as u8),
        }
    }

    /// Everybody whom the last changes concern has looked at the queues since.
    pub fn clear_changes(&mut self) {
        self.changed = Mask::EMPTY;
    }

    /// Returns true if the queue is bound to the driver.
    pub fn is_bound(&self, apqn: Apqn) -> bool {
        self.adapter(apqn.apid).bound.contains(apqn.apqi)
    }

    /// The domains of an adapter whose queues are reset, and not about to be so again.
    pub fn reset_done(&self, apid: Apid) -> Mask<Apqi> {
        let adapter = self.adapter(apid);
        adapter.usable - adapter.pending
    }

    /// The domains of an adapter whose queues are bound to the driver.
    pub fn bound(&self, apid: Apid) -> Mask<Apqi> {
        self.adapter(apid).bound
    }

    /// What is the matter with the queues of an adapter with these domains; [`None`] if nothing is.
    pub fn unusable(&self, apid: Apid, row: Mask<Apqi>) -> Option<Unusable> {
        let adapter = self.adapter(apid);
        let row = row - adapter.usable;
        let bound = row & adapter.bound;
        (!row.is_empty()).then_some(Unusable {
            unbound: row - bound,
            unfinished: bound - adapter.failed,
            failed: bound & adapter.failed,
        })
    }

    /// Adds a bound queue, whose adapter has to have an entry. It is unusable until it was reset.
    pub fn bind(&mut self, apqn: Apqn) {
        self.change(apqn.apid, |adapter| {
            adapter.bound.insert(apqn.apqi);
            adapter.pending.insert(apqn.apqi);
        });
    }

    /// A queue that was not bound is bound to the driver, and the APCB of a guest names it still, as its
    /// user holds up the commit that takes it away. The queue is held: the end of the commit resets it.
    pub fn bind_revoked(&mut self, apqn: Apqn) {
        self.change(apqn.apid, |adapter| adapter.bound.insert(apqn.apqi));
    }

    /// A queue is no longer bound to the driver.
    pub fn unbind(&mut self, apqn: Apqn) {
        self.change(apqn.apid, |adapter| {
            adapter.clear(Mask::only(apqn.apqi));
            adapter.bound.remove(apqn.apqi);
            adapter.reported.remove(apqn.apqi);
        });
    }

    /// Queues are about to be taken from a guest: from now on nobody may get them. Returns how many
    /// there are.
    pub fn revoke(&mut self, revoked: &QueueSet) -> u32 {
        let mut count = 0;
        for (apid, row) in revoked.rows() {
            self.change(apid, |adapter| adapter.clear(row));
            count += row.len();
        }
        count
    }

    /// The guest has lost these queues: begins the resets of those that are still held for that.
    pub fn reset_revoked(&mut self, revoked: &QueueSet) {
        for (apid, row) in revoked.rows() {
            self.change(apid, |adapter| adapter.want_reset(row & adapter.revoked()));
        }
    }

    /// Begins resets of queues that stay where they are.
    pub fn reset_in_place(&mut self, apid: Apid, row: Mask<Apqi>) {
        self.change(apid, |adapter| adapter.want_reset(row));
    }

    /// Begins a reset of one queue that stays where it is.
    pub fn reset_queue_in_place(&mut self, apqn: Apqn) {
        self.reset_in_place(apqn.apid, Mask::only(apqn.apqi));
    }

    /// Tries once more to reset those queues whose last reset failed.
    pub fn retry_failed(&mut self) {
        for apid in self.all().iter() {
            self.retry_failed_in(apid, Mask::up_to(u8::MAX));
        }
    }

    /// Tries once more to reset those of some queues of an adapter whose last reset failed.
    pub fn retry_failed_in(&mut self, apid: Apid, row: Mask<Apqi>) {
        let failed = self.adapter(apid).failed & row;
        if !failed.is_empty() {
            self.change(apid, |adapter| adapter.want_reset(failed));
        }
    }

    /// Returns true if the last reset of a queue has failed.
    pub fn any_failed(&self) -> bool {
        self.all()
            .iter()
            .any(|apid| !self.adapter(apid).failed.is_empty())
    }

    /// Whether a reset of one of these queues is wanted or under way.
    pub fn any_pending_in(&self, revoked: &QueueSet) -> bool {
        revoked
            .rows()
            .any(|(apid, row)| self.adapter(apid).pending.intersects(&row))
    }

    /// The domains of an adapter whose queues cannot be passed to a guest yet, but will be able to
    /// when their resets have ended, which should be soon.
    pub fn soon_usable(&self, apid: Apid) -> Mask<Apqi> {
        self.adapter(apid).soon_usable()
    }

    /// Whether a reset of this queue is wanted or under way.
    pub fn is_pending(&self, apqn: Apqn) -> bool {
        self.adapter(apqn.apid).pending.contains(apqn.apqi)
    }

    /// The adapters that have a queue whose reset is wanted or under way.
    pub fn resetting(&self) -> Mask<Apid> {
        self.resetting
    }

    /// Takes the pending resets of one adapter as far as possible without waiting.
    ///
    /// `report` hears of each queue whose reset has ended, and whether that is news: a queue that
    /// fails again and again is news once.
    pub fn step(
        &mut self,
        apid: Apid,
        ap: &mut impl Instructions,
        mut report: impl FnMut(Apqn, Progress, bool),
    ) {
        let mut adapter = *self.adapter(apid);
        let mut ended = Mask::EMPTY;
        for apqi in adapter.pending.iter() {
            let apqn = Apqn::new(apid, apqi);
            let mut reset = Reset {
                accepted: adapter.accepted.contains(apqi),
                ..Reset::default()
            };
            let progress = reset.step(apqn, ap);
            match progress {
                Progress::Pending => {
                    adapter.accepted.set(apqi, reset.accepted);
                    continue;
                }
                Progress::Done => adapter.usable.insert(apqi),
                Progress::Failed(_) => {
                    adapter.usable.remove(apqi);
                    adapter.failed.insert(apqi);
                }
            }
            ended.insert(apqi);
            report(apqn, progress, !adapter.reported.contains(apqi));
            adapter
                .reported
                .set(apqi, matches!(progress, Progress::Failed(_)));
        }
        adapter.end(ended);
        if adapter != *self.adapter(apid) {
            self.change(apid, |changed| *changed = adapter);
        }
    }

    /// Time has passed: what was pending at the last call and still is becomes overdue, of which
    /// `report` hears.
    pub fn age_resets(&mut self, mut report: impl FnMut(Apqn)) {
        for apid in self.resetting.iter() {
            self.change(apid, |adapter| {
                let overdue = (adapter.pending & adapter.aged) - adapter.overdue;
                for apqi in overdue.iter() {
                    report(Apqn::new(apid, apqi));
                }
                adapter.overdue = adapter.overdue | overdue;
                adapter.aged = adapter.pending;
            });
        }
    }
}
