// SPDX-License-Identifier: GPL-2.0
//! How many instructions are executed, and where: for benchmarks.
//!
//! Only with the argument `count=on`, as counting makes the emulation slower. Then each
//! instruction adds one to the count of its block, a run of instructions that QEMU
//! translates together, which is known by its address. An instruction that is
//! interrupted and executed again (its operand had to be paged in) counts again.
//!
//! What is counted is what is between two marks, on all CPUs:
//!
//! ```text
//! instructions start          from here
//! instructions stop           up to here
//! instructions [FROM TO]      how many, of those at addresses from FROM and below TO
//! instructions blocks         those blocks of which any were executed: address, number
//! ```
//!
//! Addresses are hexadecimal, without 0x.

use crate::ffi;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many blocks can be told apart. Linux and some programs have less than half.
pub(crate) const MOST_BLOCKS: usize = 1 << 18;

type Result<T> = std::result::Result<T, String>;

/// The counts of all blocks.
pub(crate) struct Instructions {
    counter: Box<dyn Counter>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number of each block, by its address.
    numbers: HashMap<u64, usize>,
    /// The address of each block, by its number.
    addresses: Vec<u64>,
    /// The counts when it was started.
    before: Vec<u64>,
    /// What was counted since then, when it was stopped.
    counted: Vec<u64>,
}

/// What translated code adds to.
pub(crate) trait Counter: Send + Sync {
    /// Where the instructions of a block are counted; `block` is less than [`MOST_BLOCKS`].
    fn entry(&self, block: usize) -> ffi::U64;
    /// The sums over all vCPUs, of the first `blocks` blocks.
    fn sums(&self, blocks: usize) -> Vec<u64>;
}

impl Instructions {
    /// Nothing has been counted.
    pub(crate) fn new(counter: impl Counter + 'static) -> Self {
        Self {
            counter: Box::new(counter),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the instructions of the block at `address` are counted.
    pub(crate) fn of_block(&self, address: u64) -> ffi::U64 {
        self.counter.entry(self.state().number(address))
    }

    /// Obey a command, of which `words` are those behind `instructions`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn control(&self, words: &[&str]) -> Result<String> {
        let mut state = self.state();
        match words {
            ["start"] => {
                state.before = self.counter.sums(state.addresses.len());
                state.counted.clear();
            }
            ["stop"] => {
                let now = self.counter.sums(state.addresses.len());
                state.stop(&now);
            }
            [] => return Ok(format!("{}\n", state.sum(0, u64::MAX))),
            ["blocks"] => return Ok(state.blocks()),
            [from, to] => {
                let (from, to) = (address(from)?, address(to)?);
                return Ok(format!("{}\n", state.sum(from, to)));
            }
            _ => {
                return Err(
                    "'start', 'stop', 'blocks', nothing or two addresses expected \
                            behind 'instructions'"
                        .into(),
                );
            }
        }
        Ok(String::new())
    }
}

impl State {
    fn number(&mut self, address: u64) -> usize {
        *self.numbers.entry(address).or_insert_with(|| {
            assert!(
                self.addresses.len() < MOST_BLOCKS,
                "more than {MOST_BLOCKS} blocks of instructions cannot be counted"
            );
            self.addresses.push(address);
            self.addresses.len() - 1
        })
    }

    fn stop(&mut self, now: &[u64]) {
        let before = self.before.iter().copied().chain(std::iter::repeat(0));
        self.counted = now.iter().zip(before).map(|(n, b)| n - b).collect();
    }

    fn sum(&self, from: u64, to: u64) -> u64 {
        let range = from..to;
        self.executed()
            .filter(|(address, _)| range.contains(address))
            .map(|(_, count)| count)
            .sum()
    }

    fn blocks(&self) -> String {
        let mut text = String::new();
        for (address, count) in self.executed() {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{address:x} {count}");
        }
        text
    }

    /// The address of each block of which something was executed, and how much.
    fn executed(&self) -> impl Iterator<Item = (u64, u64)> {
        let counted = self.addresses.iter().zip(&self.counted);
        counted
            .map(|(&address, &count)| (address, count))
            .filter(|&(_, count)| count != 0)
    }
}

fn address(text: &str) -> Result<u64> {
    u64::from_str_radix(text, 16).map_err(|_| format!("'{text}' is no address: hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_marks_is_counted_by_address() {
        let mut state = State::default();
        assert_eq!([0x10, 0x20, 0x10].map(|at| state.number(at)), [0, 1, 0]);
        state.before = vec![5, 7];
        // A block that was not known at the first mark, and one that was not executed.
        assert_eq!(state.number(0x30), 2);
        state.stop(&[9, 7, 3]);
        assert_eq!(state.sum(0, u64::MAX), 7);
        assert_eq!((state.sum(0x10, 0x30), state.sum(0x30, 0x31)), (4, 3));
        assert_eq!(state.blocks(), "10 4\n30 3\n");
    }

    #[test]
    fn addresses_are_hexadecimal() {
        assert_eq!(address("3ff0"), Ok(0x3ff0));
        assert!(address("0x3ff0").is_err());
    }
}
