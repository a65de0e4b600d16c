// SPDX-License-Identifier: GPL-2.0

//! The debug feature of s390: `/sys/kernel/debug/s390dbf/vfio_ap/sprintf`.
//!
//! Owns the area and the formats of what is written to it: C code formats them when somebody reads.
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

/// Levels, as in other areas of AP: the lower, the more important.
const WARN: i32 = 4;
const INFO: i32 = 5;

/// The most arguments that an entry has, the format included.
const MAX_ARGS: i32 = 9;

/// Writes an entry, if the level asks for it. All arguments become `u64`, so that the directives of
/// the format, which is a literal, have to be those of `long`.
macro_rules! event {
    ($area:expr, $level:expr, $format:literal $(, $arg:expr)* $(,)?) => {{
        let area = $area.0.as_ptr();
        // SAFETY: By the type invariant; the level is a number that may change at any time.
        if unsafe { (&raw const (*area).level).read_volatile() } >= $level {
            // SAFETY: As above; the format is a static with as many directives as there are
            // arguments, none of which is a pointer.
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

/// The area, until this is dropped.
///
/// # Invariants
///
/// The pointer is that of a registered area.
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
    /// `ENOMEM`: nothing else keeps it from being registered.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: The name is a string, and copied; the view is a static of C code.
        unsafe {
            let area = b::debug_register(c"vfio_ap".as_char_ptr(), 4, 1, MAX_ARGS * 8);
            let area = NonNull::new(area).ok_or(ENOMEM)?;
            b::debug_register_view(area.as_ptr(), &raw mut b::debug_sprintf_view);
            b::debug_set_level(area.as_ptr(), WARN);
            // INVARIANT: Registered just now.
            Ok(Self(area))
        }
    }

    /// A request of a guest about interruptions was not carried out.
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

    /// A queue could not be reset.
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

    /// A user has got pages back that the machine may still write to: their frames are kept.
    pub(crate) fn frames_kept(&self, count: u32) {
        event!(
            self,
            WARN,
            c"aqic: the machine may write to %lu pages that were given back: kept until it does not\n",
            count
        );
    }

    /// Masks were committed to a guest; only the first 64 adapters and domains have room.
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
