// SPDX-License-Identifier: GPL-2.0
//! The owner of each queue, and the reasons why a guest does not get an assigned queue.
//!
//! This module finds the reasons and does not filter. The driver reports the queues of the
//! guest, and the functional core finds the missing queues of an adapter.

use std::fmt;

use vfio_ap_core::mask::{Apid, Apqn};

use crate::host::{Adapter, Host, Mdev, Queue};
use crate::report::User;

/// Who has a queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owner {
    /// There is no such queue, and nobody asks for it.
    Absent,
    /// No driver.
    Unbound,
    /// One of the host's own drivers.
    Host,
    /// vfio_ap has it, and no mediated device.
    Free,
    /// The mediated device at this place in the list of them.
    Mdev(usize, Share),
}

/// What becomes of a queue that is assigned to a mediated device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Share {
    /// A guest has it.
    InUse,
    /// A guest would have it, if there were one.
    Ready,
    /// As one of these two, but its adapter does not work.
    Broken {
        /// A guest has it.
        in_use: bool,
    },
    /// It is missing, and keeps its whole adapter from the guest.
    Missing,
    /// It is kept from the guest with its adapter.
    Filtered,
    /// It is not in the host configuration.
    NotInHost,
}

/// Why a queue keeps its adapter from a guest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The AP bus does not show it, though it is in the host configuration.
    NoDevice,
    /// No driver has it.
    Unbound,
    /// This driver has it.
    OtherDriver(String),
    /// vfio_ap has it, and it is being reset.
    NotReset,
    /// vfio_ap has it, and could not reset it.
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
    /// Why vfio_ap does not pass a queue of an mdev on; none if nothing is known against it.
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

/// Why an adapter does not work though it is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// It was deconfigured.
    Deconfigured,
    /// It has failed.
    CheckStop,
}

impl Trouble {
    /// What is the matter with an adapter; none if nothing is.
    pub fn of(adapter: &Adapter) -> Option<Self> {
        if adapter.checkstopped {
            Some(Self::CheckStop)
        } else {
            (!adapter.configured).then_some(Self::Deconfigured)
        }
    }

    /// One or two words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Deconfigured => "deconfigured",
            Self::CheckStop => "check stop",
        }
    }
}

/// The adapters that a guest has, or would have, and that do not work.
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

/// An adapter that is assigned, but that the guest does not get.
pub struct Filtered {
    /// The adapter.
    pub apid: Apid,
    /// Why.
    pub cause: Cause,
}

/// Why an adapter is kept from a guest.
pub enum Cause {
    /// The host does not have it.
    NotInHost,
    /// vfio_ap does not have these queues, or has not reset them.
    Missing(Vec<(Apqn, Reason)>),
    /// The guest has been asked to give the mdev back.
    Leaving,
    /// vfio_ap has all its queues, and passes none of them on.
    Withheld,
}

impl Cause {
    /// What there is to say, apart from queues.
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

/// The assigned queues of an adapter that the host has and vfio_ap cannot pass on.
fn missing(host: &Host, mdev: &Mdev, apid: Apid) -> Vec<(Apqn, Reason)> {
    (mdev.assigned.aqm & host.config.aqm)
        .iter()
        .filter_map(|apqi| {
            let apqn = Apqn::new(apid, apqi);
            Some((apqn, Reason::of(host, mdev, apqn)?))
        })
        .collect()
}

/// Why an adapter that is assigned to an mdev is kept from its guest.
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

/// The adapters that are kept from the guest of a mediated device.
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

/// Who has a queue.
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
