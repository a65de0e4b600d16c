// SPDX-License-Identifier: GPL-2.0

//! Limits on the number of messages. The kernel writes the number of suppressed messages later.
//!
//! C header: [`include/linux/ratelimit.h`](srctree/include/linux/ratelimit.h)

use crate::bindings as b;

/// Returns true if one more message about a change may be written. There are at most ten in five seconds.
pub(crate) fn admits_change() -> bool {
    // SAFETY: This may be called everywhere.
    unsafe { b::vfio_ap_guest_messages() }
}

/// Returns true if one more message about a request of a user may be written. There are at most twenty in
/// a minute. A user who repeats a request does not suppress messages about changes.
pub(crate) fn admits_refusal() -> bool {
    // SAFETY: As above.
    unsafe { b::vfio_ap_migration_messages() }
}
