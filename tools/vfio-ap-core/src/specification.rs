// SPDX-License-Identifier: GPL-2.0

//! What a guest has to have, said as plainly as possible.
//!
//! This is what the driver is held against, at each level of the tests: the core in a small
//! universe, all of it (`tests/exploration.rs`), the core under random events (`tests/rules.rs`),
//! and the module in the emulated machine (`vm walk`). It shares no code with the driver, and knows
//! nothing of bits, resets and events.

pub mod text;

use std::collections::BTreeSet;

use crate::matrix::Matrix;

/// A queue: the numbers of its adapter and of its domain.
pub type Queue = (u8, u8);

/// Adapters, usage domains and control domains: assigned, of the host, or of a guest.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Sets {
    /// Numbers of adapters.
    pub adapters: BTreeSet<u8>,
    /// Numbers of usage domains.
    pub domains: BTreeSet<u8>,
    /// Numbers of control domains.
    pub control_domains: BTreeSet<u8>,
}

impl Sets {
    /// All queues of the adapters with the usage domains.
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

/// What a guest has: of what is assigned and what the host has, everything but the adapters of
/// which a queue could not be used.
///
/// `usable` are the queues that are bound to the driver and whose last reset has ended well.
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
