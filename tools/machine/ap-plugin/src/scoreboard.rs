// SPDX-License-Identifier: GPL-2.0
//! Numbers for each vCPU, which translated code tests and increments without a callback.

use crate::ffi;
use crate::instructions::{Counter, MOST_BLOCKS};
use std::ffi::c_uint;

/// A scoreboard. It is never freed.
#[derive(Clone, Copy)]
struct Scoreboard(*mut ffi::Scoreboard);

// SAFETY: QEMU allows the use of a scoreboard in any thread.
unsafe impl Send for Scoreboard {}
// SAFETY: As above.
unsafe impl Sync for Scoreboard {}

impl Scoreboard {
    /// Returns a scoreboard with `size` bytes for each vCPU, all 0.
    fn new(size: usize) -> Self {
        // SAFETY: No preconditions.
        Self(unsafe { ffi::qemu_plugin_scoreboard_new(size) })
    }

    /// Returns the number at an index.
    fn entry(self, index: usize) -> ffi::U64 {
        ffi::U64 {
            score: self.0,
            offset: index * size_of::<u64>(),
        }
    }
}

/// A flag for each vCPU, which translated code can test.
pub(crate) struct Gate(Scoreboard);

impl Gate {
    /// Returns a gate that is closed for all vCPUs.
    pub(crate) fn new() -> Self {
        Self(Scoreboard::new(size_of::<u64>()))
    }

    /// Returns the number to test, which is not 0 if the gate is open.
    pub(crate) fn entry(&self) -> ffi::U64 {
        self.0.entry(0)
    }

    /// Opens or closes the gate for a vCPU.
    pub(crate) fn set(&self, vcpu: c_uint, open: bool) {
        // SAFETY: The scoreboard is alive, and `vcpu` comes from QEMU.
        unsafe { ffi::qemu_plugin_u64_set(self.entry(), vcpu, u64::from(open)) };
    }
}

/// The number of blocks between two ticks of a clock.
const BLOCKS: u64 = 16;

/// A count of executed blocks up to the next tick, for each vCPU.
pub(crate) struct Clock(Scoreboard);

impl Clock {
    /// The clock ticks at this count and beyond. A stopped clock starts at 0 and never reaches it.
    pub(crate) const TICK: u64 = 1 << 63;

    /// Returns a clock that is stopped for all vCPUs.
    pub(crate) fn new() -> Self {
        Self(Scoreboard::new(size_of::<u64>()))
    }

    /// Returns the number to increment and to test.
    pub(crate) fn entry(&self) -> ffi::U64 {
        self.0.entry(0)
    }

    /// Makes the clock tick once after a few blocks, or stops it. Only the vCPU itself may call it,
    /// because it counts in the meantime.
    pub(crate) fn run(&self, vcpu: c_uint, run: bool) {
        let count = if run { Self::TICK - BLOCKS } else { 0 };
        // SAFETY: The scoreboard is alive, and `vcpu` comes from QEMU.
        unsafe { ffi::qemu_plugin_u64_set(self.entry(), vcpu, count) };
    }
}

/// Counters for translated code, one for each block and vCPU.
pub(crate) struct Counts(Scoreboard);

impl Counts {
    /// Returns counters that are all 0.
    pub(crate) fn new() -> Self {
        Self(Scoreboard::new(MOST_BLOCKS * size_of::<u64>()))
    }
}

impl Counter for Counts {
    fn entry(&self, block: usize) -> ffi::U64 {
        assert!(block < MOST_BLOCKS);
        self.0.entry(block)
    }

    fn sums(&self, blocks: usize) -> Vec<u64> {
        assert!(blocks <= MOST_BLOCKS);
        let mut sums = vec![0; blocks];
        // SAFETY: No preconditions.
        let vcpus = unsafe { ffi::qemu_plugin_num_vcpus() };
        for vcpu in 0..c_uint::try_from(vcpus).unwrap_or(0) {
            // SAFETY: The scoreboard is alive, and `vcpu` is one of its rows.
            let row = unsafe { ffi::qemu_plugin_scoreboard_find(self.0.0, vcpu) }.cast::<u64>();
            for (block, sum) in sums.iter_mut().enumerate() {
                // SAFETY: `block` is within the row. Translated code of other vCPUs may increment
                // the counter at any time.
                *sum += unsafe { row.add(block).read_volatile() };
            }
        }
        sums
    }
}
