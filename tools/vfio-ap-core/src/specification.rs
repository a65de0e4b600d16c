// SPDX-License-Identifier: GPL-2.0

//! The specification of the masks of a guest, in the simplest form.
//!
//! All levels of tests compare the driver with this specification: the core in all states of a
//! small universe (`tests/exploration.rs`), the core under random events (`tests/rules.rs`), and
//! the module in the emulated machine (`vm walk`). The specification shares no code with the
//! driver, and does not use bits, resets or events.

pub mod text;

use std::collections::BTreeSet;

use crate::matrix::Matrix;

/// A queue: the numbers of its adapter and its domain.
pub type Queue = (u8, u8);

/// The adapters, usage domains and control domains of an assignment, a host or a guest.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Sets {
    /// The numbers of adapters.
    pub adapters: BTreeSet<u8>,
    /// The numbers of usage domains.
    pub domains: BTreeSet<u8>,
    /// The numbers of control domains.
    pub control_domains: BTreeSet<u8>,
}

impl Sets {
    /// Returns all queues of the adapters and usage domains.
    pub fn queues(&self) -> BTreeSet<Queue> {
        let of = |a: &u8| self.domains.iter().map(|d| (*a, *d)).collect::<Vec<_>>();
        self.adapters.iter().flat_map(of).collect()
    }
}

impl From<&Matrix> for Sets {
    fn from(matrix: &Matrix) -> Self {
        let Matrix { apm, aqm, adm } = matrix;
        let all = || 0..=255;
        Self {
            adapters: all().filter(|n| apm.contains((*n).into())).collect(),
            domains: all().filter(|n| aqm.contains((*n).into())).collect(),
            control_domains: all().filter(|n| adm.contains((*n).into())).collect(),
        }
    }
}

/// Returns the sets of a guest. They are the assigned numbers that the host has, without the
/// adapters that have an unusable queue.
///
/// `usable` are the queues that are bound to the driver and whose last reset has succeeded.
pub fn guest(assigned: &Sets, host: &Sets, usable: &BTreeSet<Queue>) -> Sets {
    let domains = &assigned.domains & &host.domains;
    let whole = |a: &u8| domains.iter().all(|d| usable.contains(&(*a, *d)));
    Sets {
        adapters: (&assigned.adapters & &host.adapters)
            .into_iter()
            .filter(whole)
            .collect(),
        control_domains: &assigned.control_domains & &host.control_domains,
        domains,
    }
}
