// SPDX-License-Identifier: GPL-2.0

//! The causes of changes of guests.
//!
//! Owns the events that can be a cause, their names, and the choice of one for each change. The core
//! chooses the cause when it computes the masks that are due.
//!
//! Part of the functional core: pure, without any dependency on the kernel.

use core::{
    ffi::CStr,
    fmt, //
};

use crate::matrix::{
    mask::{
        Apid,
        Apqi,
        Apqn,
        Mask, //
    },
    queues::{
        response,
        Storage, //
    },
    text::Ranges,
    Change,
    Host,
    Masks,
    Matrix, //
};

/// An event that can change a guest.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Event {
    /// A user opened the mdev for a guest.
    #[default]
    Open,
    /// The user closed the mdev.
    Close,
    /// The user was asked to close the mdev.
    Request,
    /// The user stopped the guest for a migration.
    Stop,
    /// The user let the guest run again.
    Run,
    /// An administrator changed the assigned matrix.
    Assignment,
    /// A scan of the AP bus found another host configuration.
    Scan,
    /// A queue was bound to the driver.
    Bind,
    /// A user of the host unbound a queue.
    Unbind,
    /// The AP bus removed a queue.
    Gone,
    /// The reset of a queue has ended.
    Reset,
    /// The reset of a queue has failed.
    ResetFailed,
    /// The reset of a queue takes too long.
    ResetOverdue,
    /// An adapter was deconfigured.
    Deconfigured,
    /// An adapter went into check stop.
    CheckStop,
    /// An adapter works again.
    InOrder,
}

impl Event {
    /// Returns the name in debugfs, in uevents and in the debug feature. The name is part of the ABI.
    pub fn name(self) -> &'static CStr {
        match self {
            Self::Open => c"open",
            Self::Close => c"close",
            Self::Request => c"request",
            Self::Stop => c"stop",
            Self::Run => c"run",
            Self::Assignment => c"assignment",
            Self::Scan => c"scan",
            Self::Bind => c"bind",
            Self::Unbind => c"unbind",
            Self::Gone => c"gone",
            Self::Reset => c"reset",
            Self::ResetFailed => c"reset-failed",
            Self::ResetOverdue => c"reset-overdue",
            Self::Deconfigured => c"deconfigured",
            Self::CheckStop => c"check-stop",
            Self::InOrder => c"in-order",
        }
    }

    /// Returns true if only the user of the guest can cause the event.
    pub fn is_of_user(self) -> bool {
        matches!(self, Self::Open | Self::Close | Self::Stop | Self::Run)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().to_str().unwrap_or_default())
    }
}

/// An event, and the adapter or queue that it concerns.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cause {
    /// The event.
    pub event: Event,
    /// The adapter, if the event concerns one.
    pub apid: Option<Apid>,
    /// The domain of the queue, if the event concerns one queue of the adapter.
    pub apqi: Option<Apqi>,
}

impl Cause {
    /// Creates a cause that concerns no adapter, or several.
    pub fn of(event: Event) -> Self {
        Self {
            event,
            ..Self::default()
        }
    }

    /// Creates a cause that concerns an adapter.
    pub fn of_adapter(event: Event, apid: Apid) -> Self {
        Self {
            apid: Some(apid),
            ..Self::of(event)
        }
    }

    /// Creates a cause that concerns a queue.
    pub fn of_queue(event: Event, apqn: Apqn) -> Self {
        Self {
            apqi: Some(apqn.apqi),
            ..Self::of_adapter(event, apqn.apid)
        }
    }

    /// Returns the cause of a change of an mdev that changes the masks `before` to `due`.
    pub fn of_change(change: &Change, before: &Matrix, due: &Matrix) -> Self {
        let event = match change {
            Change::Open => Event::Open,
            Change::Close => Event::Close,
            Change::Leave => Event::Request,
            Change::Stop => Event::Stop,
            Change::Run => Event::Run,
            Change::Assign(_) => {
                let (lost, gained) = (before.apm - due.apm, due.apm - before.apm);
                let first = lost.iter().chain(gained.iter()).next();
                return Self {
                    apid: first,
                    ..Self::of(Event::Assignment)
                };
            }
        };
        Self::of(event)
    }

    /// Replaces the cause by a later event of a queue. The end of the reset that follows a binding does
    /// not replace the binding.
    pub(super) fn follow(&mut self, event: Event, apqn: Apqn) {
        if event != Event::Reset || *self != Self::of_queue(Event::Bind, apqn) {
            *self = Self::of_queue(event, apqn);
        }
    }

    /// Returns the queue, if the event concerns one.
    pub fn apqn(&self) -> Option<Apqn> {
        Some(Apqn::new(self.apid?, self.apqi?))
    }

    /// Returns the variables of a uevent. Each ends with a NUL.
    pub fn variables(&self) -> Variables<'_> {
        Variables(self)
    }
}

/// `unbind adapter=01 queue=01.0003`
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.event)?;
        if let Some(apid) = self.apid {
            write!(f, " adapter={:02x}", apid.0)?;
        }
        if let Some(apqn) = self.apqn() {
            write!(f, " queue={apqn}")?;
        }
        Ok(())
    }
}

/// The variables of a uevent about a [`Cause`].
pub struct Variables<'a>(&'a Cause);

/// `CAUSE=unbind\0ADAPTER=01\0QUEUE=01.0003\0`
impl fmt::Display for Variables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = self.0;
        write!(f, "CAUSE={}\0", cause.event)?;
        if let Some(apid) = cause.apid {
            write!(f, "ADAPTER={:02x}\0", apid.0)?;
        }
        if let Some(apqn) = cause.apqn() {
            write!(f, "QUEUE={apqn}\0")?;
        }
        Ok(())
    }
}

impl<S: Storage> Host<S> {
    /// Records an event of a queue.
    pub fn note(&mut self, event: Event, apqn: Apqn) {
        self.recent.follow(event, apqn);
    }

    /// Returns the cause of a change of the host that changes the masks of a guest to `due`.
    ///
    /// The cause of a loss precedes the cause of a gain, because an operator looks for losses. `pending`
    /// is the cause of a change of the mdev that has waited for resets.
    pub fn cause(&self, masks: &Masks, due: &Matrix, pending: Option<Cause>) -> Cause {
        let (lost, gained) = (masks.due.minus(due), due.minus(&masks.due));
        for apid in lost.apm.iter() {
            if !self.config().apm.contains(apid) {
                return Cause::of_adapter(Event::Scan, apid);
            }
            let row = masks.assigned.aqm & self.config().aqm;
            let Some(unusable) = self.queues.unusable(apid, row) else {
                continue;
            };
            for (row, event) in [
                (unusable.unbound, Event::Unbind),
                (unusable.failed, Event::ResetFailed),
                (unusable.unfinished, Event::ResetOverdue),
            ] {
                if let Some(apqi) = row.iter().next() {
                    let is_recent = matches!(self.recent.event, Event::Unbind | Event::Gone)
                        && self.recent.apqn().is_some_and(|it| it.apid == apid);
                    return if event == Event::Unbind && is_recent {
                        self.recent
                    } else {
                        Cause::of_queue(event, Apqn::new(apid, apqi))
                    };
                }
            }
        }
        let first = gained.apm.iter().next();
        if self.affects_all() {
            return Cause {
                apid: first,
                ..Cause::of(Event::Scan)
            };
        }
        let is_recent = self
            .recent
            .apqn()
            .is_some_and(|apqn| gained.apm.contains(apqn.apid) || gained.aqm.contains(apqn.apqi));
        pending
            .or(is_recent.then_some(self.recent))
            .unwrap_or(Cause {
                apid: first,
                ..Cause::of(Event::Reset)
            })
    }
}

/// The adapters of guests that do not work.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Outages {
    /// The deconfigured adapters.
    pub deconfigured: Mask<Apid>,
    /// The adapters in check stop.
    pub checkstopped: Mask<Apid>,
}

impl Outages {
    /// Returns the outages of some adapters.
    pub fn of(&self, apm: &Mask<Apid>) -> Self {
        Self {
            deconfigured: self.deconfigured & *apm,
            checkstopped: self.checkstopped & *apm,
        }
    }

    /// Records the response code of TAPQ of a queue of an adapter. Returns the new state of the adapter
    /// if the state has changed.
    pub fn note(&mut self, apid: Apid, code: u8) -> Option<Cause> {
        let before = *self;
        self.deconfigured.set(apid, code == response::DECONFIGURED);
        self.checkstopped.set(apid, code == response::CHECKSTOPPED);
        let event = match code {
            response::DECONFIGURED => Event::Deconfigured,
            response::CHECKSTOPPED => Event::CheckStop,
            _ => Event::InOrder,
        };
        (*self != before).then(|| Cause::of_adapter(event, apid))
    }
}

/// The difference of two masks of a guest, as text.
pub struct Difference<'a> {
    /// The masks before the change.
    pub before: &'a Matrix,
    /// The masks after the change.
    pub after: &'a Matrix,
}

/// `lost adapters 01, got domains 0003`
impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (verb, Matrix { apm, aqm, adm }) in [
            ("lost", self.before.minus(self.after)),
            ("got", self.after.minus(self.before)),
        ] {
            if !apm.is_empty() {
                let ids = Ranges {
                    mask: apm,
                    width: 2,
                };
                write!(f, "{separator}{verb} adapters {ids}")?;
                separator = ", ";
            }
            for (mask, what) in [(aqm, "domains"), (adm, "control domains")] {
                if !mask.is_empty() {
                    let ids = Ranges { mask, width: 4 };
                    write!(f, "{separator}{verb} {what} {ids}")?;
                    separator = ", ";
                }
            }
        }
        Ok(())
    }
}

/// A limit on the number of messages in an interval.
///
/// Times are in milliseconds since a fixed moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct RateLimit {
    until: i64,
    count: u32,
    suppressed: u32,
}

impl RateLimit {
    const INTERVAL: i64 = 5_000;
    const BURST: u32 = 10;

    /// Returns the number of messages that were suppressed since the last one. Returns [`None`] if this
    /// message must be suppressed.
    pub fn admit(&mut self, now: i64) -> Option<u32> {
        if now >= self.until {
            self.until = now + Self::INTERVAL;
            self.count = 0;
        }
        self.count += 1;
        if self.count > Self::BURST {
            self.suppressed += 1;
            return None;
        }
        Some(core::mem::take(&mut self.suppressed))
    }
}
