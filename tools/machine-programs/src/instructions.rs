// SPDX-License-Identifier: GPL-2.0
//! Costs of operations, as the number of instructions that the CPUs of the machine execute.
//!
//! The machine counts the instructions (see `apctl help`). No page fault or other additional work
//! of the kernel occurs between the marks. The count of the kernel's instructions contains only the
//! measured work and interruptions, such as those of the clock.

use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use nix::sys::mman::{MlockAllFlags, mlockall};

use crate::backdoor;

/// The addresses of the driver, and those of the kernel with all its modules.
#[derive(Clone, Debug)]
pub struct Places {
    own: Range<u64>,
    kernel: Range<u64>,
}

impl Places {
    /// Finds the loaded driver.
    ///
    /// # Errors
    ///
    /// Returns an error if the driver is not loaded.
    pub fn find() -> io::Result<Self> {
        let modules = fs::read_to_string("/proc/modules")?;
        Self::parse(&modules)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "vfio_ap in /proc/modules"))
    }

    /// Parses a list of modules: name, size of all areas, users, state, address of the text.
    ///
    /// The text is at most as long as all areas together, and contains no text of another module.
    /// It includes the stubs for calls of other modules.
    fn parse(modules: &str) -> Option<Self> {
        let mut starts = Vec::new();
        let mut driver = None;
        for line in modules.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let start = parse_address(words.get(5)?)?;
            starts.push(start);
            if words[0] == "vfio_ap" {
                driver = Some(start..start + words[1].parse::<u64>().ok()?);
            }
        }
        let mut own = driver?;
        for start in starts.into_iter().filter(|start| *start > own.start) {
            own.end = own.end.min(start);
        }
        // A module is within 2 GiB of the kernel. The addresses of programs are far below.
        let kernel = own.start - (2 << 30)..u64::MAX;
        Some(Self { own, kernel })
    }

    /// Returns true if the address is in the driver.
    pub fn is_own(&self, address: u64) -> bool {
        self.own.contains(&address)
    }

    /// Returns true if the address is in the kernel or a module.
    pub fn is_kernel(&self, address: u64) -> bool {
        self.kernel.contains(&address)
    }
}

fn parse_address(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

/// The cost of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The number of instructions of the kernel, with all its modules.
    pub whole: u64,
    /// The number of instructions of the driver, which are a part of `whole`.
    pub own: u64,
    /// The duration in the time of the machine.
    pub time: Duration,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { whole, own, time } = self;
        write!(f, "whole={whole} own={own} ns={}", time.as_nanos())
    }
}

/// Executes `work` and measures its cost.
///
/// # Errors
///
/// Returns the reply of the machine if it does not count instructions.
pub fn measure<T>(places: &Places, work: impl FnOnce() -> T) -> Result<(T, Cost), String> {
    let (result, time) = count(work)?;
    let whole = executed(&places.kernel)?;
    let own = executed(&places.own)?;
    Ok((result, Cost { whole, own, time }))
}

/// Executes `work` between the two marks. The machine then has the counts of executed instructions.
///
/// # Errors
///
/// Returns the reply of the machine if it does not count instructions.
pub fn count<T>(work: impl FnOnce() -> T) -> Result<(T, Duration), String> {
    // This prevents page faults of this program between the marks.
    mlockall(MlockAllFlags::MCL_CURRENT).map_err(|errno| format!("mlockall: {errno:?}"))?;
    backdoor::ask("instructions start")?;
    let begin = Instant::now();
    backdoor::tell("instructions start");
    let result = work();
    backdoor::tell("instructions stop");
    Ok((result, begin.elapsed()))
}

/// Returns the number of executed instructions at these addresses.
///
/// # Errors
///
/// Returns the error of the machine.
pub fn executed(addresses: &Range<u64>) -> Result<u64, String> {
    let Range { start, end } = addresses;
    let reply = backdoor::ask(&format!("instructions {start:x} {end:x}"))?;
    reply.trim().parse().map_err(|_| reply)
}

/// Returns the executed blocks: their addresses and their numbers of instructions.
///
/// # Errors
///
/// Returns the error of the machine.
pub fn blocks() -> Result<Vec<(u64, u64)>, String> {
    let reply = backdoor::ask_at_length("instructions blocks")?;
    let block = |line: &str| {
        let (address, count) = line.split_once(' ')?;
        Some((parse_address(address)?, count.parse().ok()?))
    };
    Ok(reply.lines().filter_map(block).collect())
}

/// Executes one instruction `n` times, and no other instruction within the returned addresses. This
/// checks the counter of the machine.
#[cfg(target_arch = "s390x")]
pub fn known_loop(n: u64) -> Range<u64> {
    let (start, end): (u64, u64);
    // SAFETY: only registers change.
    unsafe {
        std::arch::asm!(
            "larl {start}, 1f",
            "larl {end}, 2f",
            // A branch to the next instruction makes the loop begin a new block.
            "j 1f",
            "nopr",
            "1: brctg {n}, 1b",
            "2:",
            n = inout(reg) n => _,
            start = out(reg) start,
            end = out(reg) end,
            options(nostack, nomem),
        );
    }
    start..end
}

/// On other architectures, the compiler only checks these programs.
#[cfg(not(target_arch = "s390x"))]
pub fn known_loop(_: u64) -> Range<u64> {
    0..0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_ends_where_another_module_begins() {
        let modules = "vfio_ap 65536 0 - Live 0x000003ff80010000 (O)\n\
                       zcrypt 4096 1 x, Live 0x000003ff80018000\n\
                       vfio 4096 1 x, Live 0x000003ff80008000\n";
        let places = Places::parse(modules).unwrap();
        assert_eq!(places.own, 0x3ff_8001_0000..0x3ff_8001_8000);
        assert!(places.is_kernel(0x3ff_e000_0000) && !places.is_kernel(0x100_0000));
        assert!(Places::parse("vfio 4096 0 - Live 0x8000\n").is_none());
    }
}
