// SPDX-License-Identifier: GPL-2.0
//! Counts executed instructions by block, for benchmarks.
//!
//! Counting slows the emulation down and needs the argument `count=on`. Each instruction then adds
//! one to the count of its block. A block is a run of instructions that QEMU translates together,
//! identified by its address. An instruction that is interrupted and repeated, for example for a
//! page fault, counts again.
//!
//! The results cover the instructions between two marks, on all CPUs:
//!
//! ```text
//! instructions start          sets the first mark
//! instructions stop           sets the second mark
//! instructions [FROM TO]      the number of instructions, or of those at FROM <= address < TO
//! instructions blocks         the executed blocks: address, number of instructions
//! ```
//!
//! Addresses are hexadecimal, without 0x.

use crate::ffi;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The maximum number of blocks. Linux and some programs have less than half as many.
pub(crate) const MOST_BLOCKS: usize = 1 << 18;

type Result<T> = std::result::Result<T, String>;

/// The counts of all blocks.
pub(crate) struct Instructions {
    counter: Box<dyn Counter>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The indexes of the blocks by address.
    numbers: HashMap<u64, usize>,
    /// The addresses of the blocks by index.
    addresses: Vec<u64>,
    /// The counts at the first mark.
    before: Vec<u64>,
    /// The differences of the counts between the two marks.
    counted: Vec<u64>,
}

/// The counters of translated code.
pub(crate) trait Counter: Send + Sync {
    /// Returns the counter of a block. `block` is less than [`MOST_BLOCKS`].
    fn entry(&self, block: usize) -> ffi::U64;
    /// Returns the sums over all vCPUs for the first `blocks` blocks.
    fn sums(&self, blocks: usize) -> Vec<u64>;
}

impl Instructions {
    /// Returns a state without counts.
    pub(crate) fn new(counter: impl Counter + 'static) -> Self {
        Self {
            counter: Box::new(counter),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the counter of the block at `address`.
    pub(crate) fn of_block(&self, address: u64) -> ffi::U64 {
        self.counter.entry(self.state().number(address))
    }

    /// Executes a command. `words` are the words after `instructions`.
    ///
    /// # Errors
    ///
    /// Returns the error of the command.
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
            // Writing to a `String` does not fail.
            let _ = writeln!(text, "{address:x} {count}");
        }
        text
    }

    /// Returns the addresses of the executed blocks with the numbers of executed instructions.
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
        // The first block is unknown at the first mark, and the second one is not executed.
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
