// SPDX-License-Identifier: GPL-2.0

//! The debug feature of s390: `/sys/kernel/debug/s390dbf/vfio_ap/sprintf`.
//!
//! Owns the area of the debug feature, and the formats of its entries. The entries are formatted when
//! they are read.
//!
//! C header: [`arch/s390/include/asm/debug.h`](srctree/arch/s390/include/asm/debug.h)

use core::ptr::NonNull;

use kernel::prelude::*;

use crate::{
    bindings as b,
    matrix::{
        mask::Apqn,
        Matrix, //
    }, //
};

/// Levels, as in other areas of AP. A lower level is more important.
const WARN: i32 = 4;
const INFO: i32 = 5;

/// The maximum number of arguments of an entry, including the format.
const MAX_ARGS: i32 = 9;

/// Writes an entry if the level of the area includes it. The arguments are converted to `u64`, so each
/// directive of the format must have the length modifier `l`.
macro_rules! event {
    ($area:expr, $level:expr, $format:literal $(, $arg:expr)* $(,)?) => {{
        let area = $area.0.as_ptr();
        // SAFETY: By the type invariant. The level is an integer that may change at any time.
        if unsafe { (&raw const (*area).level).read_volatile() } >= $level {
            // SAFETY: By the type invariant. The format is a static string. It has as many directives
            // as there are arguments, and no argument is a pointer.
            unsafe {
                b::__debug_sprintf_event(
                    area,
                    $level,
                    $format.as_char_ptr().cast_mut(),
                    $(u64::from($arg)),*
                );
            }
        }
    }};
}

/// The registration of an area.
///
/// # Invariants
///
/// The pointer refers to a registered area.
pub(crate) struct DebugFeature(NonNull<b::debug_info_t>);

// SAFETY: Areas have their own locks.
unsafe impl Send for DebugFeature {}
// SAFETY: As above.
unsafe impl Sync for DebugFeature {}

impl DebugFeature {
    /// Registers the area.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is no memory.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: The name is a valid string, and is copied. The view is a static of C code.
        unsafe {
            let area = b::debug_register(c"vfio_ap".as_char_ptr(), 4, 1, MAX_ARGS * 8);
            let area = NonNull::new(area).ok_or(ENOMEM)?;
            b::debug_register_view(area.as_ptr(), &raw mut b::debug_sprintf_view);
            b::debug_set_level(area.as_ptr(), WARN);
            // INVARIANT: The area was registered above.
            Ok(Self(area))
        }
    }

    /// Records that PQAP(AQIC) of a guest was refused.
    pub(crate) fn aqic_refused(&self, apqn: Apqn, enable: bool, nib: u64, code: u8) {
        event!(
            self,
            WARN,
            c"aqic: apqn=%02lx.%04lx enable=%lu nib=%#lx refused with %#04lx\n",
            apqn.apid.0,
            apqn.apqi.0,
            enable,
            nib,
            code
        );
    }

    /// Records that the reset of a queue has failed.
    pub(crate) fn reset_failed(&self, apqn: Apqn, code: u8) {
        event!(
            self,
            WARN,
            c"reset: apqn=%02lx.%04lx failed with %#04lx\n",
            apqn.apid.0,
            apqn.apqi.0,
            code
        );
    }

    /// Records that pages were unpinned though the machine may still write to them. Their frames are kept.
    pub(crate) fn frames_kept(&self, count: u32) {
        event!(
            self,
            WARN,
            c"aqic: the machine may write to %lu pages that were given back: kept until it does not\n",
            count
        );
    }

    /// Records a commit to a guest. An entry has room for 64 adapters and domains.
    pub(crate) fn committed(&self, matrix: &Matrix) {
        event!(
            self,
            INFO,
            c"commit: apm=%016lx.. aqm=%016lx.. adm=%016lx..\n",
            matrix.apm.words()[0],
            matrix.aqm.words()[0],
            matrix.adm.words()[0]
        );
    }
}

impl Drop for DebugFeature {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { b::debug_unregister(self.0.as_ptr()) }
    }
}
