// SPDX-License-Identifier: GPL-2.0

//! The limit on the number of messages about guests.
//!
//! C header: [`include/linux/ratelimit.h`](srctree/include/linux/ratelimit.h)

use crate::bindings as b;

/// Returns true if one more message may be written. There are at most ten in five seconds. The kernel
/// writes the number of suppressed messages later.
pub(crate) fn admits() -> bool {
    // SAFETY: This may be called everywhere.
    unsafe { b::vfio_ap_guest_messages() }
}
