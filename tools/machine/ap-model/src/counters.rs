// SPDX-License-Identifier: GPL-2.0
//! Counters of executed instructions.
//!
//! An instruction with any response code counts. An instruction that ends in a program
//! interruption does not.

use crate::function::Function;
use crate::ids::Apqn;
use std::collections::BTreeMap;
use std::fmt;

type Row = [u64; Function::ALL.len()];

/// The number of executions since the start or the last reset of the counters.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    total: Row,
    queues: BTreeMap<Apqn, Row>,
}

impl Counters {
    /// Counts an execution of `function`, on `queue` if the function has one.
    pub fn count(&mut self, function: Function, queue: Option<Apqn>) {
        self.total[function.index()] += 1;
        if let Some(queue) = queue {
            self.queues.entry(queue).or_default()[function.index()] += 1;
        }
    }

    /// Returns the number of executions of `function` on all queues.
    #[must_use]
    pub fn total(&self, function: Function) -> u64 {
        self.total[function.index()]
    }

    /// Returns the number of executions of `function` on `queue`.
    #[must_use]
    pub fn of_queue(&self, queue: Apqn, function: Function) -> u64 {
        self.queues
            .get(&queue)
            .map_or(0, |row| row[function.index()])
    }

    /// Returns the queues on which functions were executed.
    pub fn queues(&self) -> impl Iterator<Item = Apqn> {
        self.queues.keys().copied()
    }
}

impl fmt::Display for Counters {
    /// Writes a line `total tapq=N …` with all functions, and then a line for each queue with its
    /// counts other than 0.
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
