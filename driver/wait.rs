// SPDX-License-Identifier: GPL-2.0

//! Waits with a timeout.
//!
//! Owns the timeouts of the driver. The architecture has no limit for the duration of a reset. A queue
//! that is not reset in time is not passed to a guest, and delays nobody any further.

use kernel::time::{
    delay::fsleep,
    Delta,
    Instant,
    Monotonic, //
};

/// Timeout of the bus for resets, in milliseconds. A reset of working hardware is shorter.
pub(crate) const BUS_TIMEOUT: i64 = 1_000;

/// Timeout of administrators, of users who close an mdev, and of the bus for users of mdevs, in
/// milliseconds.
pub(crate) const DEFAULT_TIMEOUT: i64 = 2_000;

/// Timeout of a user who has requested a reset, in milliseconds.
pub(crate) const RESET_TIMEOUT: i64 = 10_000;

/// Timeout of an intercepted instruction of a guest, in milliseconds.
pub(crate) const GUEST_TIMEOUT: i64 = 100;

/// The first part of a wait, with a shorter interval, in milliseconds. Most resets end within it.
const EARLY: i64 = 20;

/// A wait with a timeout.
pub(crate) struct Wait {
    start: Instant<Monotonic>,
    timeout: i64,
    is_interruptible: bool,
}

impl Wait {
    /// Begins a wait with a timeout in milliseconds.
    pub(crate) fn new(timeout: i64) -> Self {
        Self {
            start: Instant::now(),
            timeout,
            is_interruptible: false,
        }
    }

    /// Begins a wait that also ends when the task has a signal.
    pub(crate) fn interruptible(timeout: i64) -> Self {
        Self {
            is_interruptible: true,
            ..Self::new(timeout)
        }
    }

    /// Sleeps before the caller checks its condition again. Returns false, without sleeping, at the end
    /// of the wait.
    ///
    /// A caller polls its condition, so no one has to wake it. Must be called without locks.
    pub(crate) fn sleep(&self) -> bool {
        let waited = self.start.elapsed().as_millis();
        if waited >= self.timeout || self.is_interruptible && kernel::current!().signal_pending() {
            return false;
        }
        fsleep(Delta::from_millis(if waited < EARLY { 1 } else { 5 }));
        true
    }

    /// Returns true in the first part of the wait.
    pub(crate) fn is_early(&self) -> bool {
        self.start.elapsed().as_millis() < EARLY
    }
}
