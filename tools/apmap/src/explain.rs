// SPDX-License-Identifier: GPL-2.0
//! The owner of each queue, and the reasons why a guest does not get an assigned queue.
//!
//! This module finds the reasons and does not filter. The driver reports the queues of the guest,
//! and the functional core finds the missing queues of an adapter.

use std::fmt;

use vfio_ap_core::mask::{Apid, Apqn};

use crate::host::{Adapter, Host, Mdev, Queue};
use crate::report::User;

/// The owner of a queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owner {
    /// The queue does not exist and is not assigned.
    Absent,
    /// The queue has no driver.
    Unbound,
    /// The queue belongs to one of the host's own drivers.
    Host,
    /// vfio_ap has the queue, and no mediated device has it.
    Free,
    /// The mediated device with this index in [`Host::mdevs`].
    Mdev(usize, Share),
}

/// The state of a queue that is assigned to a mediated device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Share {
    /// A guest has the queue.
    InUse,
    /// The next guest of the mdev gets the queue.
    Ready,
    /// The queue is in use or ready, but its adapter does not work.
    Broken {
        /// True if a guest has the queue.
        in_use: bool,
    },
    /// The queue is missing, and the guest therefore does not get its adapter.
    Missing,
    /// The guest does not get the queue, because it does not get the adapter.
    Filtered,
    /// The queue is not in the host configuration.
    NotInHost,
}

/// The reason why a queue keeps its adapter from a guest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The queue is in the host configuration, but the AP bus has no device for it.
    NoDevice,
    /// The queue has no driver.
    Unbound,
    /// The queue belongs to this driver.
    OtherDriver(String),
    /// vfio_ap has the queue, and its reset is in progress.
    NotReset,
    /// vfio_ap has the queue, and its reset has failed.
    ResetFailed,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDevice => {
                f.write_str("is in the host configuration, but the AP bus has not found it")
            }
            Self::Unbound => f.write_str("is not bound to any driver"),
            Self::OtherDriver(driver) => write!(f, "is bound to {driver}"),
            Self::NotReset => f.write_str("is not reset yet"),
            Self::ResetFailed => f.write_str("could not be reset"),
        }
    }
}

impl Reason {
    /// Returns the reason why vfio_ap does not pass on a queue of an mdev, or `None` if no reason
    /// is known.
    fn of(host: &Host, mdev: &Mdev, apqn: Apqn) -> Option<Self> {
        match host.queues.get(&apqn) {
            None => Some(Self::NoDevice),
            Some(queue) if queue.is_with_vfio_ap() => {
                let missing = mdev.report.as_ref()?.missing.get(&apqn.apid)?;
                if missing.failed.contains(apqn.apqi) {
                    Some(Self::ResetFailed)
                } else {
                    let is_pending = missing.unfinished.contains(apqn.apqi);
                    is_pending.then_some(Self::NotReset)
                }
            }
            Some(queue) => Some(match &queue.driver {
                None => Self::Unbound,
                Some(driver) => Self::OtherDriver(driver.clone()),
            }),
        }
    }
}

/// The reason why an installed adapter does not work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// The adapter is deconfigured.
    Deconfigured,
    /// The adapter is in check stop.
    CheckStop,
}

impl Trouble {
    /// Returns the trouble of an adapter, or `None` if there is none.
    pub fn of(adapter: &Adapter) -> Option<Self> {
        if adapter.checkstopped {
            Some(Self::CheckStop)
        } else {
            (!adapter.configured).then_some(Self::Deconfigured)
        }
    }

    /// Returns a text of one or two words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Deconfigured => "deconfigured",
            Self::CheckStop => "check stop",
        }
    }
}

/// Returns the adapters of a guest, or of the next guest, that do not work.
pub fn broken(host: &Host, mdev: &Mdev) -> Vec<(Apid, Trouble)> {
    let adapters = mdev.guest.apm.iter().filter_map(|apid| {
        let trouble = host.adapters.get(&apid).and_then(Trouble::of)?;
        Some((apid, trouble))
    });
    if mdev.has_queues() {
        adapters.collect()
    } else {
        Vec::new()
    }
}

/// An assigned adapter that the guest does not get.
pub struct Filtered {
    /// The adapter.
    pub apid: Apid,
    /// The cause.
    pub cause: Cause,
}

/// The cause why a guest does not get an adapter.
pub enum Cause {
    /// The adapter is not in the host configuration.
    NotInHost,
    /// vfio_ap does not have these queues, or has not reset them.
    Missing(Vec<(Apqn, Reason)>),
    /// The user of the mdev was asked to release it.
    Leaving,
    /// vfio_ap has all queues of the adapter, and passes none of them on.
    Withheld,
}

impl Cause {
    /// Returns the text of the cause without queues.
    pub fn text(&self) -> &'static str {
        match self {
            Self::NotInHost => "not in the host configuration",
            Self::Missing(_) => "vfio_ap cannot pass on all its assigned queues",
            Self::Leaving => "the mdev is being removed: its guest is to give it back",
            Self::Withheld => {
                "vfio_ap has all its assigned queues, but withholds them: a reset is \
                 going on or has failed, or the guest is to give them back (see apmap why)"
            }
        }
    }
}

/// Returns the assigned queues of an adapter that are in the host configuration and that vfio_ap
/// cannot pass on.
fn missing(host: &Host, mdev: &Mdev, apid: Apid) -> Vec<(Apqn, Reason)> {
    (mdev.assigned.aqm & host.config.aqm)
        .iter()
        .filter_map(|apqi| {
            let apqn = Apqn::new(apid, apqi);
            Some((apqn, Reason::of(host, mdev, apqn)?))
        })
        .collect()
}

/// Returns the cause why the guest of an mdev does not get an assigned adapter.
pub fn cause(host: &Host, mdev: &Mdev, apid: Apid) -> Cause {
    if !host.config.apm.contains(apid) {
        return Cause::NotInHost;
    }
    let queues = missing(host, mdev, apid);
    if !queues.is_empty() {
        Cause::Missing(queues)
    } else if mdev.user == Some(User::Leaving) {
        Cause::Leaving
    } else {
        Cause::Withheld
    }
}

/// Returns the assigned adapters that the guest of a mediated device does not get.
pub fn filtered(host: &Host, mdev: &Mdev) -> Vec<Filtered> {
    if mdev.assigned.aqm.is_empty() {
        return Vec::new();
    }
    (mdev.assigned.apm - mdev.guest.apm)
        .iter()
        .map(|apid| Filtered {
            apid,
            cause: cause(host, mdev, apid),
        })
        .collect()
}

/// Returns the owner of a queue.
pub fn owner(host: &Host, apqn: Apqn) -> Owner {
    let queue = host.queues.get(&apqn);
    if let Some((place, mdev)) = host.owner(apqn) {
        return Owner::Mdev(place, share(host, mdev, apqn));
    }
    match queue {
        None => Owner::Absent,
        Some(queue) if queue.is_with_vfio_ap() => Owner::Free,
        Some(Queue { driver: None, .. }) => Owner::Unbound,
        Some(_) => Owner::Host,
    }
}

fn share(host: &Host, mdev: &Mdev, apqn: Apqn) -> Share {
    if !host.config.has_queue(apqn) {
        Share::NotInHost
    } else if mdev.guest.has_queue(apqn) {
        let in_use = host.queues.get(&apqn).is_some_and(|queue| queue.in_use);
        let adapter = host.adapters.get(&apqn.apid);
        if adapter.and_then(Trouble::of).is_some() {
            Share::Broken { in_use }
        } else if in_use {
            Share::InUse
        } else {
            Share::Ready
        }
    } else if Reason::of(host, mdev, apqn).is_some() {
        Share::Missing
    } else {
        Share::Filtered
    }
}
