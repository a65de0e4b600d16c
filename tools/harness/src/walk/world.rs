// SPDX-License-Identifier: GPL-2.0
//! The expected state in a walk: hardware, AP bus and driver as plain sets.
//!
//! [`vfio_ap_core::specification`] computes the masks of the guest. The rest is public: the queues
//! of the bus, the reservations, and the errors. This module does not use bits, locks, or the
//! driver's own steps. Only resets have a history: the outcome of the last reset of a queue decides
//! if the queue can be used.

use std::collections::{BTreeMap, BTreeSet};

use vfio_ap_core::specification::text::{listing, masks};
use vfio_ap_core::specification::{self, Queue, Sets};

use super::operation::{Kind, Name, Operation, hexadecimal};

/// The number of adapters and of domains, as in `default.machine`. They are numbered from 0.
pub const IDS: u8 = 4;
/// The greatest number that can be assigned, as in [`super::MACHINE`].
pub const LIMIT: u8 = 15;
/// The type of all adapters, as in [`super::MACHINE`].
const TYPE: &str = "cex7a";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Driver {
    None,
    Host,
    VfioAp,
}

#[derive(Clone, Debug, Default)]
struct Mdev {
    assigned: Sets,
    open: bool,
    /// True if it was opened through an iommufd.
    cdev: bool,
    granted: Sets,
}

/// The expected result of an operation, apart from the state afterwards.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// The answer: `ok`, an errno, or `any`.
    pub text: &'static str,
    /// True if the operation does not wait for the expected state.
    pub soon: bool,
    /// True if the expected state needs a retry by the driver.
    pub retried: bool,
    /// The minimum and the maximum number of commits for each mdev.
    pub commits: BTreeMap<Name, (usize, usize)>,
}

/// The machine, the bus and the driver.
#[derive(Clone, Debug)]
pub struct World {
    adapters: BTreeMap<u8, &'static str>,
    hardware: Sets,
    broken: BTreeSet<Queue>,
    /// The queues whose resets take some time.
    slow: BTreeSet<Queue>,
    /// The host configuration at the last scan.
    bus: Sets,
    /// The host configuration that the driver knows. The driver queries the machine if a reset
    /// contradicts it.
    host: Sets,
    cards: BTreeMap<u8, &'static str>,
    queues: BTreeMap<Queue, Driver>,
    reserved: Sets,
    mdevs: BTreeMap<Name, Mdev>,
    /// The driver's queues whose last reset has failed.
    failed: BTreeSet<Queue>,
    /// The queues that were reset in this step.
    reset: BTreeSet<Queue>,
    /// True if, in this step, the driver has retried a reset or a query with another outcome.
    retried: bool,
    /// The number of changes of the masks of guests in this step.
    changes: BTreeMap<Name, usize>,
    /// True if queues were removed and added in an unknown order.
    restless: bool,
}

/// Returns the set of a kind.
fn part(sets: &mut Sets, kind: Kind) -> &mut BTreeSet<u8> {
    match kind {
        Kind::Adapter => &mut sets.adapters,
        Kind::Domain => &mut sets.domains,
        Kind::ControlDomain => &mut sets.control_domains,
    }
}

fn set(set: &mut BTreeSet<u8>, n: u8, on: bool) {
    if on {
        set.insert(n);
    } else {
        set.remove(&n);
    }
}

impl Default for World {
    /// Returns the default machine. The driver is loaded, and vfio_ap has adapters 1 to 3.
    fn default() -> Self {
        let all = || (0..IDS).collect();
        let mut world = Self {
            adapters: (0..IDS).map(|a| (a, TYPE)).collect(),
            hardware: Sets {
                adapters: all(),
                domains: all(),
                control_domains: all(),
            },
            broken: BTreeSet::new(),
            slow: BTreeSet::new(),
            bus: Sets::default(),
            host: Sets::default(),
            cards: BTreeMap::new(),
            queues: BTreeMap::new(),
            reserved: Sets {
                adapters: (0..=255).filter(|a| ![1, 2, 3].contains(a)).collect(),
                domains: (0..=255).collect(),
                control_domains: BTreeSet::new(),
            },
            mdevs: BTreeMap::new(),
            failed: BTreeSet::new(),
            reset: BTreeSet::new(),
            retried: false,
            changes: BTreeMap::new(),
            restless: false,
        };
        world.scan();
        world
    }
}

impl World {
    fn is_reserved(&self, (adapter, domain): Queue) -> bool {
        self.reserved.adapters.contains(&adapter) && self.reserved.domains.contains(&domain)
    }

    fn exists(&self, queue: Queue) -> bool {
        self.adapters.contains_key(&queue.0) && self.hardware.queues().contains(&queue)
    }

    fn bound(&self) -> BTreeSet<Queue> {
        let bound = self.queues.iter().filter(|(_, d)| **d == Driver::VfioAp);
        bound.map(|(q, _)| *q).collect()
    }

    fn usable(&self) -> BTreeSet<Queue> {
        &self.bound() - &self.failed
    }

    /// Returns the masks that a guest with these assignments has.
    fn guest(&self, assigned: &Sets) -> Sets {
        specification::guest(assigned, &self.host, &self.usable())
    }

    /// Resets a queue of the driver.
    fn reset(&mut self, queue: Queue) {
        self.reset.insert(queue);
        if self.can_be_reset(queue) {
            self.failed.remove(&queue);
        } else {
            self.failed.insert(queue);
        }
    }

    fn can_be_reset(&self, queue: Queue) -> bool {
        self.exists(queue) && !self.broken.contains(&queue)
    }

    /// Retries failed resets. Queries the configuration of the machine if a reset contradicts the
    /// known one, or if the bus knows another one.
    fn retry(&mut self) {
        let known = self.host.queues();
        // A broken queue answers even if it is not in the configuration of the machine.
        let is_there = |q: &Queue| self.exists(*q) || self.broken.contains(q);
        let contradicts = |q: &Queue| is_there(q) != known.contains(q);
        let by_this_step = self.reset.iter().any(contradicts);
        let by_retry = self.failed.iter().any(contradicts) || self.host != self.bus;

        let still_failed: BTreeSet<Queue> = (self.failed.iter().copied())
            .filter(|q| !self.can_be_reset(*q))
            .collect();
        self.retried |= still_failed != self.failed;
        self.failed = still_failed;

        if self.host != self.hardware && (by_this_step || by_retry) {
            self.retried |= !by_this_step;
            self.host = self.hardware.clone();
        }
    }

    /// Returns true if a guest has the queue.
    fn is_granted(&self, queue: Queue) -> bool {
        let mut mdevs = self.mdevs.values();
        mdevs.any(|mdev| mdev.granted.queues().contains(&queue))
    }

    /// Binds a queue to the driver that it is meant for, and unbinds it from another one.
    fn probe(&mut self, queue: Queue) {
        let driver = if self.is_reserved(queue) {
            Driver::Host
        } else {
            Driver::VfioAp
        };
        let before = self.queues.insert(queue, driver);
        if before != Some(driver) {
            self.failed.remove(&queue);
            if driver == Driver::VfioAp {
                self.reset(queue);
            }
        }
    }

    fn forget(&mut self, queue: Queue) {
        self.queues.remove(&queue);
        self.failed.remove(&queue);
    }

    /// Updates the masks of guests, and resets the queues that guests lose. The resets can fail.
    fn settle(&mut self) {
        loop {
            self.retry();
            let due = |mdev: &Mdev| match mdev.open {
                true => self.guest(&mdev.assigned),
                false => Sets::default(),
            };
            let change = self
                .mdevs
                .iter()
                .map(|(name, mdev)| (*name, due(mdev)))
                .find(|(name, due)| self.mdevs[name].granted != *due);
            let Some((name, due)) = change else { return };
            let lost = match self.mdevs.get_mut(&name) {
                Some(mdev) => {
                    let had = std::mem::replace(&mut mdev.granted, due);
                    &had.queues() - &mdev.granted.queues()
                }
                None => BTreeSet::new(),
            };
            *self.changes.entry(name).or_default() += 1;
            for queue in &lost & &self.bound() {
                self.reset(queue);
            }
        }
    }

    fn scan(&mut self) {
        for a in 0..=LIMIT {
            let there: BTreeSet<Queue> = (0..IDS).map(|d| (a, d)).collect();
            let there: BTreeSet<Queue> = there.into_iter().filter(|q| self.exists(*q)).collect();
            let card = (!there.is_empty()).then(|| self.adapters[&a]);
            let had = self.cards.get(&a).copied();
            // An adapter of another type is a new adapter.
            let exchanged = had.is_some() && had != card;
            self.restless |= exchanged && self.hardware.adapters.contains(&a);
            let gone = |q: &Queue| q.0 == a && (exchanged || !there.contains(q));
            for queue in self.queues.keys().copied().filter(gone).collect::<Vec<_>>() {
                self.forget(queue);
            }
            match card {
                Some(card) => self.cards.insert(a, card),
                None => self.cards.remove(&a),
            };
            for queue in there {
                if !self.queues.contains_key(&queue) {
                    self.probe(queue);
                }
            }
        }
        if self.bus != self.hardware {
            self.bus = self.hardware.clone();
            self.host = self.hardware.clone();
            for queue in self.failed.clone() {
                self.reset(queue);
            }
        }
    }

    fn assign(&mut self, name: Name, new: Sets) -> &'static str {
        let added = &new.queues() - &self.mdevs[&name].assigned.queues();
        let is_taken = |(other, mdev): (&Name, &Mdev)| {
            *other != name && !mdev.assigned.queues().is_disjoint(&added)
        };
        if added.iter().any(|q| self.is_reserved(*q)) {
            return "EADDRNOTAVAIL";
        }
        if self.mdevs.iter().any(is_taken) {
            return "EADDRINUSE";
        }
        if let Some(mdev) = self.mdevs.get_mut(&name) {
            mdev.assigned = new;
        }
        "ok"
    }

    fn reserve(&mut self, kind: Kind, n: u8, on: bool) -> &'static str {
        let uses = |mdev: &Mdev| {
            mdev.assigned
                .queues()
                .iter()
                .any(|(a, d)| n == if kind == Kind::Adapter { *a } else { *d })
        };
        let news = on && !part(&mut self.reserved, kind).contains(&n);
        if news && self.mdevs.values().any(uses) {
            return "EBUSY";
        }
        set(part(&mut self.reserved, kind), n, on);
        "ok"
    }

    fn bind(&mut self, queue: Queue) -> &'static str {
        match self.queues.get(&queue) {
            None => "ENODEV",
            Some(Driver::Host | Driver::VfioAp) => "EBUSY",
            Some(Driver::None) if self.is_reserved(queue) => "ENODEV",
            Some(Driver::None) => {
                self.probe(queue);
                "ok"
            }
        }
    }

    fn unbind(&mut self, queue: Queue) -> &'static str {
        if self.queues.get(&queue) != Some(&Driver::VfioAp) {
            return "ENODEV";
        }
        // A queue of a guest is reset before it leaves the driver.
        if self.is_granted(queue) {
            self.reset.insert(queue);
        }
        self.queues.insert(queue, Driver::None);
        self.failed.remove(&queue);
        "ok"
    }

    /// Changes an adapter, which has to be installed.
    fn on_installed(&mut self, adapter: u8, change: impl FnOnce(&mut Self)) -> &'static str {
        if !self.adapters.contains_key(&adapter) {
            return "refused";
        }
        change(self);
        "ok"
    }

    fn act(&mut self, operation: &Operation) -> &'static str {
        let on = match operation {
            Operation::Remove(name)
            | Operation::Assign(name, ..)
            | Operation::Configure(name, _)
            | Operation::Open(name, _) => self.mdevs.get(name).map(|mdev| mdev.open),
            // The other operations do not need an mdev, or handle a missing one themselves.
            _ => Some(false),
        };
        let Some(is_open) = on else {
            // The mdev does not exist.
            return "ENOENT";
        };
        match *operation {
            Operation::Create(name) => {
                if self.mdevs.contains_key(&name) {
                    return "EEXIST";
                }
                self.mdevs.insert(name, Mdev::default());
                "ok"
            }
            Operation::Remove(_) if is_open => "EBUSY",
            Operation::Remove(name) => {
                self.mdevs.remove(&name);
                "ok"
            }
            Operation::Assign(name, kind, n, on) => {
                let Some(n) = u8::try_from(n).ok().filter(|n| *n <= LIMIT) else {
                    return "ENODEV";
                };
                let mut new = self.mdevs[&name].assigned.clone();
                set(part(&mut new, kind), n, on);
                self.assign(name, new)
            }
            Operation::Configure(name, ref new) => self.assign(name, new.clone()),
            Operation::Open(_, _) if is_open => "EBUSY",
            Operation::Open(name, cdev) => {
                let mdev = self.mdevs.entry(name).or_default();
                (mdev.open, mdev.cdev) = (true, cdev);
                "ok"
            }
            // Operations on memory do not change queues.
            Operation::Replace(name) | Operation::Detach(name) | Operation::Plug(name) => {
                let needs_iommufd = !matches!(operation, Operation::Plug(_));
                match self.mdevs.get(&name).filter(|mdev| mdev.open) {
                    None => "ENODEV",
                    // VFIO passes the unknown ioctl to the driver, which does not know it either.
                    Some(mdev) if !mdev.cdev && matches!(operation, Operation::Detach(_)) => {
                        "EOPNOTSUPP"
                    }
                    Some(mdev) if needs_iommufd && !mdev.cdev => "ENOTTY",
                    Some(_) => "ok",
                }
            }
            Operation::Close(name) | Operation::Reset(name) => {
                let Some(mdev) = self.mdevs.get_mut(&name).filter(|mdev| mdev.open) else {
                    return "ENODEV";
                };
                if matches!(operation, Operation::Close(_)) {
                    mdev.open = false;
                    return "ok";
                }
                let queues = mdev.granted.queues();
                for queue in &queues & &self.bound() {
                    self.reset(queue);
                }
                match queues.is_disjoint(&self.failed) {
                    true => "ok",
                    false => "EIO",
                }
            }
            Operation::Host(kind, n, on) => {
                set(part(&mut self.hardware, kind), n, on);
                "ok"
            }
            Operation::Scan => {
                self.scan();
                "ok"
            }
            Operation::Bind(queue) => self.bind(queue),
            Operation::Unbind(queue) => self.unbind(queue),
            Operation::Reserve(kind, n, on) => {
                let answer = self.reserve(kind, n, on);
                // This includes queues without a driver, regardless of the answer.
                for queue in self.queues.keys().copied().collect::<Vec<_>>() {
                    self.probe(queue);
                }
                self.restless = true;
                answer
            }
            Operation::Install(a, what) => {
                self.adapters.insert(a, what);
                "ok"
            }
            Operation::Uninstall(a) => self.on_installed(a, |world| {
                world.adapters.remove(&a);
                // The machine removes all settings of the queues.
                world.broken.retain(|q| q.0 != a);
                world.slow.retain(|q| q.0 != a);
            }),
            // The expected state does not change. The queues are not accessible in the meantime,
            // and are reset when they return.
            Operation::State(a, _) => self.on_installed(a, |_| {}),
            Operation::Config(..) => "any",
            Operation::Break(q) => self.on_installed(q.0, |world| {
                world.broken.insert(q);
            }),
            Operation::Slow(q, _) => self.on_installed(q.0, |world| {
                world.slow.insert(q);
            }),
            Operation::Busy(q, _) => self.on_installed(q.0, |world| {
                world.broken.remove(&q);
                world.slow.insert(q);
            }),
            Operation::Mend(q) => self.on_installed(q.0, |world| {
                world.broken.remove(&q);
                world.slow.remove(&q);
            }),
        }
    }

    /// Executes the operation and returns its expected result.
    pub fn take(&mut self, operation: &Operation) -> Answer {
        self.changes.clear();
        self.restless = false;
        self.reset.clear();
        self.retried = false;
        let was_slow = !self.slow.is_empty();
        let text = self.act(operation);
        let knew = self.host.clone();
        self.settle();
        let asks = self.retried || self.host != knew;
        let is_slow = was_slow || !self.slow.is_empty();
        let count = |(name, n): (&Name, &usize)| {
            // An outcome that is not known immediately can take an additional commit.
            let exact = *n == 1 && !is_slow && !asks;
            (*name, (1, if exact { 1 } else { n + 2 }))
        };
        let commits = if self.restless {
            self.mdevs.keys().map(|name| (*name, (0, 100))).collect()
        } else {
            self.changes.iter().map(count).collect()
        };
        // Assigning, opening and closing wait for all consequences.
        let waits = matches!(
            operation,
            Operation::Assign(..)
                | Operation::Configure(..)
                | Operation::Open(..)
                | Operation::Close(..)
        );
        Answer {
            text,
            soon: !waits || asks,
            retried: self.retried,
            commits,
        }
    }

    /// Returns the visible state, with the names of `apwalk`.
    pub fn seen(&self) -> BTreeMap<String, String> {
        let mut seen = BTreeMap::new();
        for name in ['A', 'B', 'C'] {
            let mut see = |what: &str, text: String| {
                seen.insert(format!("{name} {what}"), text);
            };
            match self.mdevs.get(&name) {
                None => {
                    for what in ["matrix", "guest_matrix", "control_domains", "ap_config"] {
                        see(what, "absent".into());
                    }
                    see("kvm", masks(&Sets::default()));
                }
                Some(mdev) => {
                    see("matrix", listing(&mdev.assigned));
                    see("guest_matrix", listing(&self.guest(&mdev.assigned)));
                    let domains = mdev.assigned.control_domains.iter();
                    let domains: Vec<_> = domains.map(|d| format!("{d:04x}")).collect();
                    see("control_domains", domains.join(" "));
                    see("kvm", masks(&mdev.granted));
                    let Sets {
                        adapters,
                        domains,
                        control_domains,
                    } = &mdev.assigned;
                    let masks = [adapters, domains, control_domains].map(hexadecimal);
                    see("ap_config", masks.join(","));
                }
            }
        }
        for queue in (0..IDS).flat_map(|a| (0..IDS).map(move |d| (a, d))) {
            let assigns = |mdev: &Mdev| mdev.assigned.queues().contains(&queue);
            let status = match self.queues.get(&queue) {
                Some(Driver::VfioAp) if self.is_granted(queue) => "in use",
                Some(Driver::VfioAp) if self.mdevs.values().any(assigns) => "assigned",
                Some(Driver::VfioAp) => "unassigned",
                _ => "absent",
            };
            let name = format!("{:02x}.{:04x} status", queue.0, queue.1);
            seen.insert(name, status.into());
        }
        seen
    }
}
