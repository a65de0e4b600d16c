// SPDX-License-Identifier: GPL-2.0

//! Why a guest gets or loses something.
//!
//! Owns the events that can be a cause, their names for people and programs, and the choice of one
//! for each change. The choice is made when it is decided what a guest has to have, by what is so then.
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

/// What has happened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Event {
    /// A user opened the mdev for a guest.
    #[default]
    Open,
    /// The user closed it.
    Close,
    /// The user was asked to give it back.
    Request,
    /// An administrator assigned something, or took it back.
    Assignment,
    /// The host configuration has changed, as a scan of the AP bus found.
    Scan,
    /// A queue was bound to the driver.
    Bind,
    /// A queue was unbound by somebody.
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
    /// An adapter is out of both again.
    InOrder,
}

impl Event {
    /// The name in debugfs, in uevents and in the debug feature. It is part of the ABI.
    pub fn name(self) -> &'static CStr {
        match self {
            Self::Open => c"open",
            Self::Close => c"close",
            Self::Request => c"request",
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

    /// Returns true if the user of the guest is the only one who can bring it about.
    pub fn is_of_user(self) -> bool {
        matches!(self, Self::Open | Self::Close)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().to_str().unwrap_or_default())
    }
}

/// What has happened, and to which adapter or queue.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cause {
    /// What.
    pub event: Event,
    /// Of which adapter, if it concerns one.
    pub apid: Option<Apid>,
    /// Of which queue of that adapter, if it concerns one.
    pub apqi: Option<Apqi>,
}

impl Cause {
    /// Something that concerns no adapter, or more than one can name.
    pub fn of(event: Event) -> Self {
        Self {
            event,
            ..Self::default()
        }
    }

    /// Something that has happened to an adapter.
    pub fn of_adapter(event: Event, apid: Apid) -> Self {
        Self {
            apid: Some(apid),
            ..Self::of(event)
        }
    }

    /// Something that has happened to a queue.
    pub fn of_queue(event: Event, apqn: Apqn) -> Self {
        Self {
            apqi: Some(apqn.apqi),
            ..Self::of_adapter(event, apqn.apid)
        }
    }

    /// Why the APCB of a guest has to become something else when somebody does something to its mdev.
    pub fn of_change(change: &Change, before: &Matrix, due: &Matrix) -> Self {
        let event = match change {
            Change::Open => Event::Open,
            Change::Close => Event::Close,
            Change::Leave => Event::Request,
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

    /// Something has happened to a queue. Its binding stays what has, when the reset ends that follows
    /// it.
    pub(super) fn follow(&mut self, event: Event, apqn: Apqn) {
        if event != Event::Reset || *self != Self::of_queue(Event::Bind, apqn) {
            *self = Self::of_queue(event, apqn);
        }
    }

    /// The queue.
    pub fn apqn(&self) -> Option<Apqn> {
        Some(Apqn::new(self.apid?, self.apqi?))
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

impl<S: Storage> Host<S> {
    /// Takes note of what has happened to a queue.
    pub fn note(&mut self, event: Event, apqn: Apqn) {
        self.recent.follow(event, apqn);
    }

    /// Returns the reason why the APCB of a guest that has these masks has to become `due` by what has
    /// changed at the host.
    ///
    /// A loss comes first: somebody who looks for a cause misses something. `pending` is the reason for
    /// a change of the mdev whose effect had to wait for resets.
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

/// The adapters of guests that are there and do not work.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Outages {
    /// Deconfigured.
    pub deconfigured: Mask<Apid>,
    /// In check stop.
    pub checkstopped: Mask<Apid>,
}

impl Outages {
    /// Those of some adapters.
    pub fn of(&self, apm: &Mask<Apid>) -> Self {
        Self {
            deconfigured: self.deconfigured & *apm,
            checkstopped: self.checkstopped & *apm,
        }
    }

    /// TAPQ of a queue of an adapter has answered with a response code. Returns what that tells, if it
    /// is something new.
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

/// What a guest has lost and got, in words.
pub struct Difference<'a> {
    /// What it had.
    pub before: &'a Matrix,
    /// What it has.
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

/// How many messages there may be in a while.
///
/// Time is a number of milliseconds that grows.
#[derive(Clone, Copy, Debug, Default)]
pub struct RateLimit {
    until: i64,
    count: u32,
    suppressed: u32,
}

impl RateLimit {
    const INTERVAL: i64 = 5_000;
    const BURST: u32 = 10;

    /// Returns how many messages were suppressed before this one, or [`None`] if this one is to be.
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
