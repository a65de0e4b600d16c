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
        cause::{
            Cause,
            Subject, //
        },
        mask::Apqn,
        Matrix, //
    }, //
};

/// Levels, as in other areas of AP. A lower level is more important.
const WARN: i32 = 4;
const INFO: i32 = 5;

/// The maximum number of arguments of an entry, including the format.
const MAX_ARGS: i32 = 6;

/// Writes an entry if the level of the area includes it. The arguments are converted to `u64`, so each
/// directive of the format must have the length modifier `l`.
macro_rules! event {
    ($area:expr, $level:expr, $format:expr $(, $arg:expr)* $(,)?) => {{
        if $area.has_level($level) {
            // SAFETY: By the type invariant. The format is a static string. It has no more directives than
            // there are arguments. An argument is an integer, or a pointer to a static string.
            unsafe {
                b::__debug_sprintf_event(
                    $area.0.as_ptr(),
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

    /// Returns true if the level of the area includes entries of a level.
    fn has_level(&self, level: i32) -> bool {
        // SAFETY: By the type invariant. The level is an integer that may change at any time.
        unsafe { (&raw const (*self.0.as_ptr()).level).read_volatile() >= level }
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

    /// Records a change of the guest of an mdev, and its masks.
    pub(crate) fn guest_changed(&self, mdev: &CStr, cause: Cause, guest: &Matrix) {
        if !self.has_level(INFO) {
            return;
        }
        // The entry has numbers, because the name may be freed before the entry is read.
        let uuid = parse_uuid(mdev);
        let (format, apid, apqi) = match cause.subject {
            Subject::None => (c"guest: mdev=%016lx%016lx cause=%s\n", 0, 0),
            Subject::Adapter(apid) => (
                c"guest: mdev=%016lx%016lx cause=%s adapter=%02lx\n",
                apid.0,
                0,
            ),
            Subject::Queue(apqn) => (
                c"guest: mdev=%016lx%016lx cause=%s queue=%02lx.%04lx\n",
                apqn.apid.0,
                apqn.apqi.0,
            ),
        };
        event!(
            self,
            INFO,
            format,
            (uuid >> 64) as u64,
            uuid as u64,
            Text(cause.event.name()),
            apid,
            apqi
        );
        for (format, words) in [
            (c"guest: apm=%016lx%016lx%016lx%016lx\n", guest.apm.words()),
            (c"guest: aqm=%016lx%016lx%016lx%016lx\n", guest.aqm.words()),
            (c"guest: adm=%016lx%016lx%016lx%016lx\n", guest.adm.words()),
        ] {
            event!(self, INFO, format, words[0], words[1], words[2], words[3]);
        }
    }
}

/// A string as an argument. It is static, because readers of the entry read the string.
struct Text(&'static CStr);

impl From<Text> for u64 {
    fn from(text: Text) -> Self {
        text.0.as_char_ptr().addr() as u64
    }
}

/// Returns the bits of a UUID.
fn parse_uuid(text: &CStr) -> u128 {
    let digits = text.to_bytes().iter();
    digits
        .filter_map(|digit| char::from(*digit).to_digit(16))
        .fold(0, |bits, digit| bits << 4 | u128::from(digit))
}

impl Drop for DebugFeature {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { b::debug_unregister(self.0.as_ptr()) }
    }
}
