// SPDX-License-Identifier: GPL-2.0
//! The owner of each queue, and the reasons why a guest does not get an assigned queue.
//!
//! This module finds the reasons and does not filter. The driver reports the queues of the
//! guest, and the functional core finds the missing queues of an adapter.

use std::fmt;

use vfio_ap_core::mask::{Apid, Apqi, Apqn, Mask};

use crate::host::{Host, Mdev, Queue, Rules};

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
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDevice => {
                f.write_str("is in the host configuration, but the AP bus has not found it")
            }
            Self::Unbound => f.write_str("is not bound to any driver"),
            Self::OtherDriver(driver) => write!(f, "is bound to {driver}"),
        }
    }
}

impl Reason {
    /// Why vfio_ap does not have a queue; none if it has.
    pub fn of(queue: Option<&Queue>) -> Option<Self> {
        match queue {
            None => Some(Self::NoDevice),
            Some(queue) if queue.is_with_vfio_ap() => None,
            Some(queue) => Some(match &queue.driver {
                None => Self::Unbound,
                Some(driver) => Self::OtherDriver(driver.clone()),
            }),
        }
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
    /// vfio_ap does not have these queues.
    Missing(Vec<(Apqn, Reason)>),
    /// vfio_ap has all its queues, and passes none of them on.
    Withheld,
}

impl Cause {
    /// What there is to say, apart from queues.
    pub fn text(&self) -> &'static str {
        match self {
            Self::NotInHost => "not in the host configuration",
            Self::Missing(_) => "vfio_ap does not have all its assigned queues",
            Self::Withheld => {
                "vfio_ap has all its assigned queues, but withholds them: a reset is \
                 going on or has failed, or the guest is to give them back (see the kernel log)"
            }
        }
    }
}

/// The assigned queues of an adapter that the host has and vfio_ap has not.
fn missing(rules: &Rules, mdev: &Mdev, apid: Apid) -> Mask<Apqi> {
    (mdev.assigned.aqm & rules.config().aqm) - rules.queues.usable(apid)
}

/// The adapters that are kept from the guest of a mediated device.
pub fn filtered(host: &Host, rules: &Rules, mdev: &Mdev) -> Vec<Filtered> {
    if mdev.assigned.aqm.is_empty() {
        return Vec::new();
    }
    (mdev.assigned.apm - mdev.guest.apm)
        .iter()
        .map(|apid| {
            let queues = missing(rules, mdev, apid)
                .iter()
                .filter_map(|apqi| {
                    let apqn = Apqn::new(apid, apqi);
                    Some((apqn, Reason::of(host.queues.get(&apqn))?))
                })
                .collect::<Vec<_>>();
            let cause = if !host.config.apm.contains(apid) {
                Cause::NotInHost
            } else if queues.is_empty() {
                Cause::Withheld
            } else {
                Cause::Missing(queues)
            };
            Filtered { apid, cause }
        })
        .collect()
}

/// Who has a queue.
pub fn owner(host: &Host, rules: &Rules, apqn: Apqn) -> Owner {
    let queue = host.queues.get(&apqn);
    if let Some((place, mdev)) = host.owner(apqn) {
        return Owner::Mdev(place, share(host, rules, mdev, apqn));
    }
    match queue {
        None => Owner::Absent,
        Some(queue) if queue.is_with_vfio_ap() => Owner::Free,
        Some(Queue { driver: None, .. }) => Owner::Unbound,
        Some(_) => Owner::Host,
    }
}

fn share(host: &Host, rules: &Rules, mdev: &Mdev, apqn: Apqn) -> Share {
    if !host.config.has_queue(apqn) {
        Share::NotInHost
    } else if mdev.guest.has_queue(apqn) {
        match host.queues.get(&apqn) {
            Some(queue) if queue.in_use => Share::InUse,
            _ => Share::Ready,
        }
    } else if missing(rules, mdev, apqn.apid).contains(apqn.apqi) {
        Share::Missing
    } else {
        Share::Filtered
    }
}
