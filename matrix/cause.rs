// SPDX-License-Identifier: GPL-2.0

//! The causes of changes of guests.
//!
//! Owns the events that can be a cause, their names, and the choice of one for each change. The host
//! records the last event of each adapter. The core chooses the cause when it computes the masks that
//! are due.
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
        IDS, //
    },
    queues::{
        response,
        Storage, //
    },
    Change,
    Host,
    Masks,
    Matrix, //
};

/// An event that can change a guest.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Event {
    /// An adapter works again.
    #[default]
    InOrder,
    /// An adapter was deconfigured.
    Deconfigured,
    /// An adapter went into check stop.
    CheckStop,
    /// A user opened the mdev for a guest.
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

    /// Returns [`Self::name`] as a string.
    pub fn text(self) -> &'static str {
        self.name().to_str().unwrap_or_default()
    }

    /// Returns true for a new state of an adapter. It does not change the masks of guests.
    pub fn is_state(self) -> bool {
        matches!(self, Self::Deconfigured | Self::CheckStop | Self::InOrder)
    }

    /// Returns true if only the user of the guest can cause the event.
    pub fn is_of_user(self) -> bool {
        matches!(self, Self::Open | Self::Close | Self::Stop | Self::Run)
    }
}

/// An event, and the adapter or queue that it concerns.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cause {
    /// The event.
    pub event: Event,
    /// The adapter or queue that the event concerns.
    pub subject: Subject,
}

/// The adapter or queue that an event concerns.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Subject {
    /// No adapter, or several.
    #[default]
    None,
    /// An adapter.
    Adapter(Apid),
    /// A queue.
    Queue(Apqn),
}

impl Cause {
    /// Creates a cause that concerns no adapter, or several.
    pub fn of(event: Event) -> Self {
        let subject = Subject::None;
        Self { event, subject }
    }

    /// Creates a cause that concerns an adapter.
    pub fn of_adapter(event: Event, apid: Apid) -> Self {
        let subject = Subject::Adapter(apid);
        Self { event, subject }
    }

    /// Creates a cause that concerns a queue.
    pub fn of_queue(event: Event, apqn: Apqn) -> Self {
        let subject = Subject::Queue(apqn);
        Self { event, subject }
    }

    /// Creates the cause of a change of an mdev.
    pub fn of_change(change: &Change) -> Self {
        Self::of(match change {
            Change::Open => Event::Open,
            Change::Close => Event::Close,
            Change::Leave => Event::Request,
            Change::Stop => Event::Stop,
            Change::Run => Event::Run,
            Change::Assign(_) => Event::Assignment,
        })
    }

    /// Returns the cause of a change of masks. An assignment and a scan concern the first adapter that is
    /// lost, or the first one that is gained if none is lost.
    pub fn of_masks(self, before: &Matrix, after: &Matrix) -> Self {
        match first_changed(before, after) {
            Some(apid) if matches!(self.event, Event::Assignment | Event::Scan) => {
                Self::of_adapter(self.event, apid)
            }
            _ => self,
        }
    }

    /// Writes the cause, with a key before the event, the adapter and the queue.
    fn write(&self, f: &mut fmt::Formatter<'_>, [event, adapter, queue]: [&str; 3]) -> fmt::Result {
        f.write_str(event)?;
        f.write_str(self.event.text())?;
        let apid = match self.subject {
            Subject::None => return Ok(()),
            Subject::Adapter(apid) => apid,
            Subject::Queue(apqn) => apqn.apid,
        };
        write!(f, "{adapter}{:02x}", apid.0)?;
        match self.subject {
            Subject::Queue(apqn) => write!(f, "{queue}{apqn}"),
            _ => Ok(()),
        }
    }
}

/// A change of a guest as text: `apm=00 aqm=0000-0001 adm=none cause=unbind adapter=01 queue=01.0001`
pub struct Text<'a> {
    /// The cause of the change.
    pub cause: Cause,
    /// The masks of the guest after the change.
    pub guest: &'a Matrix,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.guest)?;
        self.cause.write(f, [" cause=", " adapter=", " queue="])
    }
}

/// A cause as variables of a uevent: `CAUSE=unbind\0ADAPTER=01\0QUEUE=01.0001`
pub struct Variables(pub Cause);

impl fmt::Display for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, ["CAUSE=", "\0ADAPTER=", "\0QUEUE="])
    }
}

/// Returns the first adapter that is lost, or the first one that is gained if none is lost.
fn first_changed(before: &Matrix, after: &Matrix) -> Option<Apid> {
    let lost = (before.apm - after.apm).iter().next();
    lost.or_else(|| (after.apm - before.apm).iter().next())
}

/// The last events of each adapter.
#[derive(Clone, Copy)]
pub(super) struct Events([Adapter; IDS]);

#[derive(Clone, Copy)]
struct Adapter {
    /// The last event of a queue of the adapter.
    event: Event,
    /// The domain of that queue.
    apqi: Apqi,
    /// [`Event::InOrder`], [`Event::Deconfigured`] or [`Event::CheckStop`].
    state: Event,
}

impl Events {
    /// All adapters are in order. The event of an adapter without bound queues has no meaning.
    pub(super) const NONE: Self = Self(
        [Adapter {
            event: Event::InOrder,
            apqi: Apqi(0),
            state: Event::InOrder,
        }; IDS],
    );

    /// Records an event of a queue. The end of the reset that follows a binding does not replace the
    /// binding.
    #[inline(never)]
    pub(super) fn note(&mut self, event: Event, apqn: Apqn) {
        let Apqn { apid, apqi } = apqn;
        let last = &mut self.0[usize::from(apid.0)];
        if event != Event::Reset || last.event != Event::Bind || last.apqi != apqi {
            (last.event, last.apqi) = (event, apqi);
        }
    }
}

impl<S: Storage> Host<S> {
    /// Records an event of a queue.
    pub fn note(&mut self, event: Event, apqn: Apqn) {
        self.events.note(event, apqn);
    }

    /// Records the response code of TAPQ of a queue of an adapter. Returns the new state of the adapter
    /// if the state has changed.
    pub fn note_state(&mut self, apid: Apid, code: u8) -> Option<Cause> {
        let state = match code {
            response::DECONFIGURED => Event::Deconfigured,
            response::CHECKSTOPPED => Event::CheckStop,
            _ => Event::InOrder,
        };
        let adapter = &mut self.events.0[usize::from(apid.0)];
        let before = core::mem::replace(&mut adapter.state, state);
        (state != before).then(|| Cause::of_adapter(state, apid))
    }

    /// Returns [`Event::InOrder`], [`Event::Deconfigured`] or [`Event::CheckStop`].
    pub fn adapter_state(&self, apid: Apid) -> Event {
        self.events.0[usize::from(apid.0)].state
    }

    /// Returns the cause of a change of the host that changes the masks of a guest to `due`.
    ///
    /// The cause of a loss precedes the cause of a gain, because an operator looks for losses. `pending`
    /// is the cause of a change of the mdev that has waited for resets.
    pub fn cause(&self, masks: &Masks, due: &Matrix, pending: Option<Cause>) -> Cause {
        let before = &masks.due;
        if self.affects_all() {
            return Cause::of(Event::Scan);
        }
        match pending {
            Some(cause) if before.apm.is_subset(&due.apm) => return cause,
            _ => {}
        }
        // If only domains have changed, they have waited for resets of queues of any adapter.
        let apid = first_changed(before, due).or_else(|| due.apm.iter().next());
        let Some(apid) = apid else {
            return Cause::of(Event::Reset);
        };
        let Adapter { event, apqi, .. } = self.events.0[usize::from(apid.0)];
        Cause::of_queue(event, Apqn::new(apid, apqi))
    }
}
