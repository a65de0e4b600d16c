// SPDX-License-Identifier: GPL-2.0
//! How often what was executed.
//!
//! An instruction that ends in a program interruption has not been executed and is
//! not counted; one with any response code has, and is.

use crate::function::Function;
use crate::ids::Apqn;
use std::collections::BTreeMap;
use std::fmt;

type Row = [u64; Function::ALL.len()];

/// Executions since the start or the last reset of the counters.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    total: Row,
    queues: BTreeMap<Apqn, Row>,
}

impl Counters {
    /// One more `function`, on `queue` if it concerns one.
    pub fn count(&mut self, function: Function, queue: Option<Apqn>) {
        self.total[function.index()] += 1;
        if let Some(queue) = queue {
            self.queues.entry(queue).or_default()[function.index()] += 1;
        }
    }

    /// How often `function` was executed, on any queue.
    #[must_use]
    pub fn total(&self, function: Function) -> u64 {
        self.total[function.index()]
    }

    /// How often `function` was executed on `queue`.
    #[must_use]
    pub fn of_queue(&self, queue: Apqn, function: Function) -> u64 {
        self.queues
            .get(&queue)
            .map_or(0, |row| row[function.index()])
    }

    /// The queues on which anything was executed.
    pub fn queues(&self) -> impl Iterator<Item = Apqn> {
        self.queues.keys().copied()
    }
}

impl fmt::Display for Counters {
    /// A line `total tapq=N …` with every function, then a line for each queue with
    /// those that are not 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("total")?;
        for function in Function::ALL {
            write!(f, " {function}={}", self.total(function))?;
        }
        writeln!(f)?;
        for (queue, row) in &self.queues {
            write!(f, "{queue}")?;
            for function in Function::ALL {
                if row[function.index()] != 0 {
                    write!(f, " {function}={}", row[function.index()])?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_and_queues_are_counted_apart() {
        let mut counters = Counters::default();
        counters.count(Function::Tapq, Some(Apqn::new(1, 3)));
        counters.count(Function::Tapq, Some(Apqn::new(0, 3)));
        counters.count(Function::Zapq, Some(Apqn::new(1, 3)));
        counters.count(Function::Qci, None);
        assert_eq!(counters.total(Function::Tapq), 2);
        assert_eq!(counters.of_queue(Apqn::new(1, 3), Function::Tapq), 1);
        assert_eq!(counters.of_queue(Apqn::new(1, 4), Function::Tapq), 0);
        assert_eq!(
            counters.to_string(),
            "total tapq=2 rapq=0 zapq=1 aqic=0 qci=1 qact=0 nqap=0 dqap=0\n\
             00.0003 tapq=1\n\
             01.0003 tapq=1 zapq=1\n"
        );
    }
}
