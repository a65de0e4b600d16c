// SPDX-License-Identifier: GPL-2.0

//! The wall clock.
//!
//! C header: [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)

use kernel::bindings;

/// Returns the nanoseconds since 1970.
pub(crate) fn real_nanoseconds() -> i64 {
    // SAFETY: This may be called everywhere.
    unsafe { bindings::ktime_get_real() }
}
