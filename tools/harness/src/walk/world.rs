// SPDX-License-Identifier: GPL-2.0
//! The expected state in a walk: hardware, AP bus and driver as plain sets.
//!
//! [`vfio_ap_core::specification`] computes the masks of the guest. The rest is known to an
//! administrator: the queues of the bus, the reservations, and the errors. The module knows
//! neither bits nor locks nor the steps of the driver. Only resets have a history here: the
//! outcome of its last reset decides if a queue can be used.

use std::collections::{BTreeMap, BTreeSet};

use vfio_ap_core::specification::text::{listing, masks};
use vfio_ap_core::specification::{self, Queue, Sets};

use super::operation::{Kind, Name, Operation, hexadecimal};

/// The adapters and domains that there may be: 0 to 3, as in `default.machine`.
pub const IDS: u8 = 4;
/// The greatest number that can be assigned, as [`super::MACHINE`] says.
pub const LIMIT: u8 = 15;
/// The type of all adapters, as [`super::MACHINE`] says.
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
    /// Whether by an iommufd.
    cdev: bool,
    granted: Sets,
}

/// What an operation leads to, besides what is to be seen afterwards.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// `ok`, an errno, or `any`.
    pub text: &'static str,
    /// Whether nobody waits for it.
    pub soon: bool,
    /// True if the expected state needs a retry by the driver.
    pub retried: bool,
    /// For each mdev, between how many commits.
    pub commits: BTreeMap<Name, (usize, usize)>,
}

/// The machine, the bus and the driver.
#[derive(Clone, Debug)]
pub struct World {
    adapters: BTreeMap<u8, &'static str>,
    hardware: Sets,
    broken: BTreeSet<Queue>,
    /// Queues whose resets take some time.
    slow: BTreeSet<Queue>,
    /// The host configuration as of the last scan.
    bus: Sets,
    /// The host configuration that the driver knows. The driver queries the machine if a reset
    /// contradicts it.
    host: Sets,
    cards: BTreeMap<u8, &'static str>,
    queues: BTreeMap<Queue, Driver>,
    reserved: Sets,
    mdevs: BTreeMap<Name, Mdev>,
    /// Queues of ours whose last reset has failed.
    failed: BTreeSet<Queue>,
    /// Queues that were reset in this step.
    reset: BTreeSet<Queue>,
    /// In this step, the driver has retried a reset or a query, with another outcome.
    retried: bool,
    /// How often the masks of guests have changed in this step.
    changes: BTreeMap<Name, usize>,
    /// Queues went and came in ways of which only the outcome is known here.
    restless: bool,
}

/// The set of a kind.
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
    /// The default machine, in which adapters 1 to 3 are given to vfio_ap, with the driver
    /// loaded.
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

    /// What a guest has, or would have.
    fn guest(&self, assigned: &Sets) -> Sets {
        specification::guest(assigned, &self.host, &self.usable())
    }

    /// A queue of ours is reset.
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
        // A broken queue answers even if the machine does not have it.
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

    /// A queue gets the driver that it is meant for, or loses the one that is not.
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

    /// Guests get what they have to have; what they lose is reset, which may fail.
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
            // An adapter of another type is another adapter.
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
        // A guest's queue is reset before it goes.
        if self.is_granted(queue) {
            self.reset.insert(queue);
        }
        self.queues.insert(queue, Driver::None);
        self.failed.remove(&queue);
        "ok"
    }

    /// The machine is told something about an adapter that has to be installed.
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
            // The others are about none, or say for themselves what if there is none.
            _ => Some(false),
        };
        let Some(is_open) = on else {
            // There is no such mdev.
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
            // No queue has to do with memory.
            Operation::Replace(name) | Operation::Detach(name) | Operation::Plug(name) => {
                let needs_iommufd = !matches!(operation, Operation::Plug(_));
                match self.mdevs.get(&name).filter(|mdev| mdev.open) {
                    None => "ENODEV",
                    // VFIO passes the request to the driver, which has none of this number.
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
                // Also those that have no driver, whatever the answer.
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
                // The machine forgets all that was set for its queues.
                world.broken.retain(|q| q.0 != a);
                world.slow.retain(|q| q.0 != a);
            }),
            // Nothing changes: nobody can get at the queues, and they come back reset.
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

    /// Does it, and says what it leads to.
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
            // What is not known at once may take a commit more.
            let exact = *n == 1 && !is_slow && !asks;
            (*name, (1, if exact { 1 } else { n + 2 }))
        };
        let commits = if self.restless {
            self.mdevs.keys().map(|name| (*name, (0, 100))).collect()
        } else {
            self.changes.iter().map(count).collect()
        };
        // Who assigns, opens or closes waits for all that this leads to.
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

    /// All that can be seen now, by the names of `apwalk`.
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
