// SPDX-License-Identifier: GPL-2.0
//! Executes commands and returns their replies.

use super::{
    AdapterChange, Command, HELP, Limit, MaskChange, MaskName, Query, QueueChange, Selector,
    SieQuery,
};
use crate::adapter::{Adapter, State};
use crate::counters::Counters;
use crate::function::Function;
use crate::ids::{Apid, Apqi, Apqn};
use crate::limits::Limits;
use crate::machine::Machine;
use crate::mask::Mask;
use crate::sie::Sie;

type Result<T> = std::result::Result<T, String>;

impl Machine {
    /// Executes one command and returns its reply. An error can leave the machine half changed, so
    /// the caller works on a copy.
    pub(super) fn apply(&mut self, command: &Command) -> Result<String> {
        match command {
            Command::Adapter(apids, change) => {
                for apid in apids.iter() {
                    self.change_adapter(Apid(apid), change)?;
                }
            }
            Command::Mask(name, change, bits) => {
                let mask = match name {
                    MaskName::Apm => &mut self.apm,
                    MaskName::Aqm => &mut self.aqm,
                    MaskName::Adm => &mut self.adm,
                };
                *mask = match change {
                    MaskChange::Set => *bits,
                    MaskChange::Add => mask.union(*bits),
                    MaskChange::Remove => mask.without(*bits),
                };
            }
            Command::Limits(changes) => {
                for &change in changes {
                    change_limit(&mut self.limits, change);
                }
            }
            Command::Queue(selector, change) => self.change_queues(*selector, *change)?,
            Command::Counters(query) => return Ok(self.query(*query)),
            Command::Sie(query) => return Ok(self.query_sie(*query)),
            Command::Bare => {
                *self = Self {
                    sie: std::mem::take(&mut self.sie),
                    interruptions: std::mem::take(&mut self.interruptions),
                    ..Self::bare()
                };
            }
            Command::Show => return Ok(self.show()),
            Command::Help => return Ok(HELP.into()),
        }
        self.check_limits()?;
        self.settle();
        Ok(String::new())
    }

    fn change_adapter(&mut self, apid: Apid, change: &AdapterChange) -> Result<()> {
        let missing = || format!("adapter {} is not installed", apid.0);
        match *change {
            AdapterChange::Install { kind, mode, depth } => {
                let adapter = Adapter {
                    kind,
                    mode,
                    depth,
                    state: State::Online,
                };
                if self.adapters.insert(apid, adapter).is_some() {
                    // The new adapter does not have the state of the old one.
                    for (_, queue) in self.queues.iter_mut().filter(|(q, _)| q.apid == apid) {
                        queue.clear();
                    }
                }
            }
            AdapterChange::Remove => {
                self.adapters.remove(&apid).ok_or_else(missing)?;
            }
            AdapterChange::State(state) => {
                self.adapters.get_mut(&apid).ok_or_else(missing)?.state = state;
            }
        }
        Ok(())
    }

    fn change_queues(&mut self, selector: Selector, change: QueueChange) -> Result<()> {
        for apqn in self.select(selector)? {
            let queue = self.queues.entry(apqn).or_default();
            match change {
                QueueChange::State(state) => queue.settings.state = state,
                QueueChange::ResetPolls(polls) => queue.set_reset_polls(polls),
                QueueChange::IrqPolls(polls) => queue.set_irq_polls(polls),
                QueueChange::ReplyPolls(polls) => {
                    queue.set_reply_polls(polls);
                    self.interruptions.extend(queue.take_request());
                }
                QueueChange::Fault(function, fault) => {
                    queue.settings.faults[function.index()] = fault;
                }
            }
        }
        Ok(())
    }

    fn select(&self, selector: Selector) -> Result<Vec<Apqn>> {
        let apids: Vec<Apid> = match selector.apid {
            Some(apid) if self.adapters.contains_key(&apid) => vec![apid],
            Some(apid) => return Err(format!("adapter {} is not installed", apid.0)),
            None => self.adapters.keys().copied().collect(),
        };
        let last = self.limits.max_apqi();
        let apqis = match selector.apqi {
            Some(Apqi(apqi)) if apqi > last => {
                return Err(format!("domain {apqi} is beyond the limit, {last}"));
            }
            Some(Apqi(apqi)) => apqi..=apqi,
            None => 0..=last,
        };
        Ok(apids
            .into_iter()
            .flat_map(|apid| apqis.clone().map(move |apqi| Apqn::new(apid.0, apqi)))
            .collect())
    }

    fn query(&mut self, query: Query) -> String {
        match query {
            Query::All => self.counters.to_string(),
            Query::Reset => {
                self.counters = Counters::default();
                String::new()
            }
            Query::Sum(selector, Some(function)) => {
                format!("{}\n", self.sum(selector, function))
            }
            Query::Sum(selector, None) => {
                let counts = Function::ALL
                    .into_iter()
                    .filter(|&function| function != Function::Qci)
                    .map(|function| format!("{function}={}", self.sum(selector, function)));
                counts.collect::<Vec<_>>().join(" ") + "\n"
            }
        }
    }

    fn query_sie(&mut self, query: SieQuery) -> String {
        match query {
            SieQuery::All => self.sie.to_string(),
            SieQuery::Sum(cpu, count) => format!("{}\n", self.sie.sum(cpu, count)),
            SieQuery::Reset => {
                self.sie = Sie::default();
                String::new()
            }
        }
    }

    fn sum(&self, selector: Selector, function: Function) -> u64 {
        if selector == Selector::ALL {
            return self.counters.total(function);
        }
        self.counters
            .queues()
            .filter(|&queue| selector.matches(queue))
            .map(|queue| self.counters.of_queue(queue, function))
            .sum()
    }

    fn check_limits(&self) -> Result<()> {
        let limits = &self.limits;
        let adapters: Mask = self.adapters.keys().map(|apid| apid.0).collect();
        let sets = [
            ("installed adapter", adapters, limits.apids()),
            ("apm: adapter", self.apm, limits.apids()),
            ("aqm: domain", self.aqm, limits.apqis()),
            ("adm: domain", self.adm, limits.apqis()),
        ];
        for (what, set, allowed) in sets {
            let beyond = set.without(allowed);
            if !beyond.is_empty() {
                return Err(format!("{what} {beyond} beyond the limits"));
            }
        }
        Ok(())
    }
}

fn change_limit(limits: &mut Limits, change: Limit) {
    match change {
        Limit::Na(na) => limits.na = na,
        Limit::Nd(nd) => limits.nd = nd,
        Limit::Flag(name, on) => {
            for (_, flag) in limits.flags_mut().into_iter().filter(|(n, _)| *n == name) {
                *flag = on;
            }
        }
    }
}
