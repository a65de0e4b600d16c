// SPDX-License-Identifier: GPL-2.0
//! The machine: hardware, host configuration, queues, and the changes by the control language.
//!
//! The instructions are in [`crate::execute`], and the language is in [`crate::control`].

use crate::adapter::{Adapter, AdapterType, Mode, State};
use crate::counters::Counters;
use crate::ids::{Apid, Apqn};
use crate::interruption::Interruption;
use crate::limits::Limits;
use crate::mask::Mask;
use crate::queue::Queue;
use crate::sie::Sie;
use std::collections::BTreeMap;

/// An AP configuration with its complete state.
///
/// # Invariants
///
/// - No adapter and no mask exceeds the limits.
/// - A queue that is outside the host configuration or not online is clear.
/// - `queues` contains only queues of installed adapters.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Machine {
    pub(crate) limits: Limits,
    pub(crate) adapters: BTreeMap<Apid, Adapter>,
    pub(crate) apm: Mask,
    pub(crate) aqm: Mask,
    pub(crate) adm: Mask,
    pub(crate) queues: BTreeMap<Apqn, Queue>,
    pub(crate) counters: Counters,
    pub(crate) sie: Sie,
    pub(crate) interruptions: Vec<Interruption>,
}

/// The result of an SCLP command that configures or deconfigures an adapter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SclpAnswer {
    /// The state has changed.
    Changed,
    /// The adapter was already in this state.
    Unchanged,
    /// The adapter does not exist.
    NoAdapter,
}

impl Machine {
    /// Returns a machine with AP instructions, without adapters and with empty masks. A
    /// configuration file starts from it.
    #[must_use]
    pub fn bare() -> Self {
        Self::default()
    }

    /// Returns the machine without a configuration file: an adapter of each mode, and four domains.
    #[must_use]
    pub fn preset() -> Self {
        let adapter = |kind, mode| Adapter {
            kind: AdapterType(kind),
            mode,
            depth: Adapter::DEFAULT_DEPTH,
            state: State::Online,
        };
        let domains = Mask::up_to(3);
        Self {
            adapters: BTreeMap::from([
                (Apid(0), adapter(14, Mode::Cca)),
                (Apid(1), adapter(14, Mode::Ep11)),
                (Apid(2), adapter(13, Mode::Accelerator)),
            ]),
            apm: Mask::up_to(2),
            aqm: domains,
            adm: domains,
            ..Self::bare()
        }
    }

    /// Returns the facilities and limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns the counters of executions.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns the counters of guests.
    pub fn sie(&mut self) -> &mut Sie {
        &mut self.sie
    }

    /// Returns the interruptions that queues have requested since the last call.
    pub fn take_interruptions(&mut self) -> Vec<Interruption> {
        std::mem::take(&mut self.interruptions)
    }

    /// Returns true if the adapter of `queue` is installed and `queue` is in the host
    /// configuration.
    pub(crate) fn has(&self, queue: Apqn) -> bool {
        self.adapters.contains_key(&queue.apid)
            && self.apm.contains(queue.apid.0)
            && self.aqm.contains(queue.apqi.0)
    }

    /// Restores the invariants after a change.
    pub(crate) fn settle(&mut self) {
        let adapters = &self.adapters;
        self.queues
            .retain(|apqn, _| adapters.contains_key(&apqn.apid));
        for (apqn, queue) in &mut self.queues {
            let usable = adapters[&apqn.apid].state == State::Online
                && queue.settings.state == State::Online
                && self.apm.contains(apqn.apid.0)
                && self.aqm.contains(apqn.apqi.0);
            if !usable {
                queue.clear();
            }
        }
    }

    /// Executes SCLP command 0x001fXX01 (`online` is true) or 0x001eXX01: configures or
    /// deconfigures an adapter. An adapter in check stop can be deconfigured, and configuring it
    /// repairs it.
    pub fn sclp_configure(&mut self, apid: Apid, online: bool) -> SclpAnswer {
        let Some(adapter) = self.adapters.get_mut(&apid) else {
            return SclpAnswer::NoAdapter;
        };
        let to = match (adapter.state, online) {
            (State::Deconfigured, true) => State::Online,
            (State::Online | State::Checkstopped, false) => State::Deconfigured,
            _ => return SclpAnswer::Unchanged,
        };
        adapter.state = to;
        self.settle();
        SclpAnswer::Changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sclp_moves_between_configured_and_deconfigured() {
        let mut machine = Machine::preset();
        let apid = Apid(1);
        assert_eq!(machine.sclp_configure(apid, true), SclpAnswer::Unchanged);
        assert_eq!(machine.sclp_configure(apid, false), SclpAnswer::Changed);
        assert_eq!(machine.adapters[&apid].state, State::Deconfigured);
        assert_eq!(machine.sclp_configure(apid, false), SclpAnswer::Unchanged);
        assert_eq!(machine.sclp_configure(apid, true), SclpAnswer::Changed);
        assert_eq!(machine.adapters[&apid].state, State::Online);
        assert_eq!(machine.sclp_configure(Apid(9), true), SclpAnswer::NoAdapter);
    }

    #[test]
    fn only_what_is_installed_and_in_both_masks_is_there() {
        let mut machine = Machine::preset();
        machine.apm.insert(7);
        assert!(machine.has(Apqn::new(2, 3)));
        assert!(!machine.has(Apqn::new(2, 4)), "domain not in the mask");
        assert!(!machine.has(Apqn::new(7, 0)), "adapter not installed");
        machine.apm = Mask::EMPTY;
        assert!(!machine.has(Apqn::new(2, 3)), "adapter not in the mask");
    }
}
