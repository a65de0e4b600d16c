// SPDX-License-Identifier: GPL-2.0

//! The queues that are bound to the driver, and their resets.
//!
//! Owns the state of each queue, as one row of 256 bits for each adapter and property. An adapter is
//! evaluated by a few operations on words, for any number of queues. Owns also the rules of a reset.
//!
//! A bound queue is in one of these states:
//!
//! | state    | meaning                                                             | may be passed on |
//! |----------|---------------------------------------------------------------------|------------------|
//! | usable   | the last reset has ended                                            | yes              |
//! | revoked  | the APCB of the last guest may still have the queue                 | no               |
//! | pending  | a reset is required or under way                                    | no               |
//! | failed   | the last reset ended with an error                                  | no               |
//!
//! A reset for the guest that has the queue (`VFIO_DEVICE_RESET`) leaves the queue usable while it is
//! pending: the guest keeps its own queue.
//!
//! Part of the functional core: the AP instructions are behind a trait, and there is no clock.

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

/// The two instructions of a reset. They return the response code.
pub trait Instructions {
    /// PQAP(ZAPQ): reset the queue and zeroize what it holds.
    fn zapq(&mut self, apqn: Apqn) -> u8;
    /// PQAP(TAPQ): test the queue.
    fn tapq(&mut self, apqn: Apqn) -> u8;
}

/// The progress of a reset.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// The reset has not ended.
    Pending,
    /// The reset has ended. The queue has no data of its last user.
    Done,
    /// The reset has ended with a response code. The queue must not be passed on.
    Failed(u8),
}

/// A reset of one queue.
///
/// The machine accepts ZAPQ, and then TAPQ shows the end of the reset. If ZAPQ finds a reset in progress,
/// it has to be repeated: that reset may have begun before the last user's last message.
///
/// # Examples
///
/// ```
/// use vfio_ap_core::mask::Apqn;
/// use vfio_ap_core::queues::{response::*, Instructions, Progress, Reset};
///
/// /// A queue with a reset that was in progress before.
/// struct Slow(Vec<u8>);
///
/// impl Instructions for Slow {
///     fn zapq(&mut self, _: Apqn) -> u8 {
///         self.0.pop().unwrap()
///     }
///     fn tapq(&mut self, _: Apqn) -> u8 {
///         NORMAL
///     }
/// }
///
/// let mut queue = Slow(vec![NORMAL, RESET_IN_PROGRESS]);
/// let mut reset = Reset::default();
/// assert_eq!(reset.step(Apqn::from_raw(0), &mut queue), Progress::Pending);
/// assert_eq!(reset.step(Apqn::from_raw(0), &mut queue), Progress::Done);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Reset {
    /// The machine has accepted ZAPQ.
    accepted: bool,
    /// This reset, or an earlier one, was seen to be under way.
    seen: bool,
}

impl Reset {
    /// Returns true if this reset, or an earlier one, was seen to be under way.
    pub fn is_seen(&self) -> bool {
        self.seen
    }

    /// Advances the reset as far as possible without waiting.
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
                // Nobody can use the queue. The machine resets it before it comes back.
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
/// All sets are subsets of `bound`. `accepted`, `aged` and `overdue` are subsets of `pending`. No queue is
/// both failed and usable, or failed and pending.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Entry {
    bound: Mask<Apqi>,
    usable: Mask<Apqi>,
    pending: Mask<Apqi>,
    /// The pending resets that the machine has accepted.
    accepted: Mask<Apqi>,
    failed: Mask<Apqi>,
    /// The resets that were pending at the last call of [`Queues::age_resets`].
    aged: Mask<Apqi>,
    /// The resets that were pending at the last two calls.
    overdue: Mask<Apqi>,
    /// The queues whose last ended reset has failed. That was reported.
    reported: Mask<Apqi>,
}

impl Entry {
    /// An adapter without bound queues.
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

    /// Removes the queues in `row` from all sets but `bound` and `reported`.
    fn clear(&mut self, row: Mask<Apqi>) {
        self.usable = self.usable - row;
        self.failed = self.failed - row;
        self.end(row);
    }

    /// Ends the resets of the queues in `row`.
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

    /// Begins a new reset of the bound queues in `row`.
    fn want_reset(&mut self, row: Mask<Apqi>) {
        let row = row & self.bound;
        self.failed = self.failed - row;
        self.end(row);
        self.pending = self.pending | row;
    }

    /// Returns the queues that become usable when their resets end, and whose resets are not overdue.
    fn soon_usable(&self) -> Mask<Apqi> {
        self.pending - (self.usable | self.overdue)
    }

    /// Returns the revoked queues.
    fn revoked(&self) -> Mask<Apqi> {
        self.bound - (self.usable | self.pending | self.failed)
    }
}

/// The storage of the state of queues: an entry for each adapter that can have a bound queue. The index
/// of an entry is the APID.
pub trait Storage: DerefMut<Target = [Entry]> {}

impl<S: DerefMut<Target = [Entry]>> Storage for S {}

/// The domains whose queues keep an adapter from a guest, by reason.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unusable {
    /// The queue is not bound to the driver.
    pub unbound: Mask<Apqi>,
    /// The queue is revoked, or a reset is pending.
    pub unfinished: Mask<Apqi>,
    /// The last reset has failed.
    pub failed: Mask<Apqi>,
}

/// The state of all queues.
pub struct Queues<S> {
    entries: S,
    /// The adapters with a pending reset.
    resetting: Mask<Apid>,
    /// The adapters that have changed since the last call of [`Self::clear_changes`].
    changed: Mask<Apid>,
}

impl<S: Storage> Queues<S> {
    /// Creates a state without bound queues. All `entries` must be [`Entry::NONE`].
    pub fn new(entries: S) -> Self {
        Self {
            entries,
            resetting: Mask::EMPTY,
            changed: Mask::EMPTY,
        }
    }

    // Not inlined: most functions of this type call it.
    #[inline(never)]
    fn adapter(&self, apid: Apid) -> &Entry {
        self.entries
            .get(usize::from(apid.0))
            .unwrap_or(&Entry::NONE)
    }

    /// Changes one adapter, and records the change.
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

    /// Returns the domains of an adapter whose queues may be passed to a guest.
    pub fn usable(&self, apid: Apid) -> Mask<Apqi> {
        self.adapter(apid).usable
    }

    /// Returns the adapters of `apm` whose queues in all domains of `aqm` may be passed to a guest.
    /// Without domains, these are all adapters.
    pub fn fully_usable(&self, apm: Mask<Apid>, aqm: Mask<Apqi>) -> Mask<Apid> {
        apm.filter(|apid| aqm.is_subset(&self.adapter(apid).usable))
    }

    /// Returns the adapters that have changed since the last call of [`Self::clear_changes`].
    pub fn changed(&self) -> &Mask<Apid> {
        &self.changed
    }

    /// Returns all adapters that have an entry.
    fn all(&self) -> Mask<Apid> {
        match self.entries.len() {
            0 => Mask::EMPTY,
            n => Mask::up_to((n - 1) as u8),
        }
    }

    /// Clears the record of changed adapters.
    pub fn clear_changes(&mut self) {
        self.changed = Mask::EMPTY;
    }

    /// Returns true if the queue is bound to the driver.
    pub fn is_bound(&self, apqn: Apqn) -> bool {
        self.adapter(apqn.apid).bound.contains(apqn.apqi)
    }

    /// Returns the domains of an adapter whose queues are reset, without a pending reset.
    pub fn reset_done(&self, apid: Apid) -> Mask<Apqi> {
        let adapter = self.adapter(apid);
        adapter.usable - adapter.pending
    }

    /// Returns the domains of an adapter whose queues are bound to the driver.
    pub fn bound(&self, apid: Apid) -> Mask<Apqi> {
        self.adapter(apid).bound
    }

    /// Returns the queues of an adapter in some domains that are not usable. Returns [`None`] if all are.
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

    /// Adds a bound queue, and begins a reset. A queue of an adapter without an entry is not added.
    pub fn bind(&mut self, apqn: Apqn) {
        self.change(apqn.apid, |adapter| {
            adapter.bound.insert(apqn.apqi);
            adapter.pending.insert(apqn.apqi);
        });
    }

    /// Adds a bound queue that the APCB of a guest may still have, as the user delays the commit. The queue
    /// is revoked. The end of the commit begins its reset.
    pub fn bind_revoked(&mut self, apqn: Apqn) {
        self.change(apqn.apid, |adapter| adapter.bound.insert(apqn.apqi));
    }

    /// Removes a queue that is no longer bound to the driver.
    pub fn unbind(&mut self, apqn: Apqn) {
        self.change(apqn.apid, |adapter| {
            adapter.clear(Mask::only(apqn.apqi));
            adapter.bound.remove(apqn.apqi);
            adapter.reported.remove(apqn.apqi);
        });
    }

    /// Revokes queues of a guest. No guest may get them before their next reset. Returns their number.
    pub fn revoke(&mut self, revoked: &QueueSet) -> u32 {
        let mut count = 0;
        for (apid, row) in revoked.rows() {
            self.change(apid, |adapter| adapter.clear(row));
            count += row.len();
        }
        count
    }

    /// Begins resets of those queues that are revoked, after their guest has lost them.
    pub fn reset_revoked(&mut self, revoked: &QueueSet) {
        for (apid, row) in revoked.rows() {
            self.change(apid, |adapter| adapter.want_reset(row & adapter.revoked()));
        }
    }

    /// Begins resets of queues of an adapter. A guest that has them keeps them.
    pub fn reset_in_place(&mut self, apid: Apid, row: Mask<Apqi>) {
        self.change(apid, |adapter| adapter.want_reset(row));
    }

    /// Begins a reset of one queue. A guest that has it keeps it.
    pub fn reset_queue_in_place(&mut self, apqn: Apqn) {
        self.reset_in_place(apqn.apid, Mask::only(apqn.apqi));
    }

    /// Repeats all failed resets.
    pub fn retry_failed(&mut self) {
        for apid in self.all().iter() {
            self.retry_failed_in(apid, Mask::up_to(u8::MAX));
        }
    }

    /// Repeats the failed resets of an adapter in some domains.
    pub fn retry_failed_in(&mut self, apid: Apid, row: Mask<Apqi>) {
        let failed = self.adapter(apid).failed & row;
        if !failed.is_empty() {
            self.change(apid, |adapter| adapter.want_reset(failed));
        }
    }

    /// Returns true if the last reset of any queue has failed.
    pub fn any_failed(&self) -> bool {
        self.all()
            .iter()
            .any(|apid| !self.adapter(apid).failed.is_empty())
    }

    /// Returns true if one of these queues has a pending reset.
    pub fn any_pending_in(&self, revoked: &QueueSet) -> bool {
        revoked
            .rows()
            .any(|(apid, row)| self.adapter(apid).pending.intersects(&row))
    }

    /// Returns the domains of an adapter whose queues become usable when their resets end. Overdue resets
    /// do not count.
    pub fn soon_usable(&self, apid: Apid) -> Mask<Apqi> {
        self.adapter(apid).soon_usable()
    }

    /// Returns true if a queue has a pending reset.
    pub fn is_pending(&self, apqn: Apqn) -> bool {
        self.adapter(apqn.apid).pending.contains(apqn.apqi)
    }

    /// Returns the adapters with a pending reset.
    pub fn resetting(&self) -> Mask<Apid> {
        self.resetting
    }

    /// Advances the pending resets of one adapter as far as possible without waiting.
    ///
    /// Calls `report` for each reset that has ended. The last argument is false for a reset that follows a
    /// failed one.
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

    /// Makes resets overdue that were pending at the last call. Calls `report` for each of them.
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
