// SPDX-License-Identifier: GPL-2.0

//! Waits that have an end.
//!
//! Owns the times after which the driver gives up. The architecture sets no limit to resets. A queue
//! that is not reset by then stays out of everybody's reach, but does not hold up anybody.

use kernel::time::{
    delay::fsleep,
    Delta,
    Instant,
    Monotonic, //
};

/// For how long the bus waits for resets, in milliseconds: longer than one takes on any hardware that
/// works.
pub(crate) const BUS_TIMEOUT: i64 = 1_000;

/// For how long the bus waits for the users of mdevs, and administrators and users who close an mdev
/// for anything, in milliseconds.
pub(crate) const DEFAULT_TIMEOUT: i64 = 2_000;

/// For how long a user waits who has asked for a reset, in milliseconds.
pub(crate) const RESET_TIMEOUT: i64 = 10_000;

/// For how long a guest's CPU waits for the machine, in milliseconds.
pub(crate) const GUEST_TIMEOUT: i64 = 100;

/// Time after which a look at what is waited for may come later, in milliseconds: most resets take
/// less.
const EARLY: i64 = 20;

/// A wait that ends after some time.
pub(crate) struct Wait {
    start: Instant<Monotonic>,
    timeout: i64,
    is_interruptible: bool,
}

impl Wait {
    /// Begins a wait of so many milliseconds.
    pub(crate) fn new(timeout: i64) -> Self {
        Self {
            start: Instant::now(),
            timeout,
            is_interruptible: false,
        }
    }

    /// Begins a wait that a signal ends as well.
    pub(crate) fn interruptible(timeout: i64) -> Self {
        Self {
            is_interruptible: true,
            ..Self::new(timeout)
        }
    }

    /// Sleeps for a moment, before the caller looks again at what it waits for. Returns false, without
    /// any sleep, if the wait is over.
    ///
    /// Nobody has to wake who waits here. Must be called without any lock.
    pub(crate) fn sleep(&self) -> bool {
        let waited = self.start.elapsed().as_millis();
        if waited >= self.timeout || self.is_interruptible && kernel::current!().signal_pending() {
            return false;
        }
        fsleep(Delta::from_millis(if waited < EARLY { 1 } else { 5 }));
        true
    }

    /// Returns true if the wait has just begun.
    pub(crate) fn is_early(&self) -> bool {
        self.start.elapsed().as_millis() < EARLY
    }
}
