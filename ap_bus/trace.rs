// SPDX-License-Identifier: GPL-2.0

//! The tracepoints of the driver.
//!
//! `trace.h` defines them for C code. `kernel::declare_trace!` needs bindings in the kernel crate, which
//! a module cannot extend. A tracepoint that is off costs a call and a branch.

use kernel::prelude::*;

use crate::{
    bindings as b,
    matrix::{
        cause::{
            Cause,
            Subject, //
        },
        mask::Apqn,
        queues::{
            response,
            Progress, //
        },
        Matrix, //
    }, //
};

/// Traces a change of the guest of an mdev, and its masks.
pub(crate) fn guest_changed(mdev: &CStr, cause: Cause, guest: &Matrix) {
    let (adapter, domain) = match cause.subject {
        Subject::None => (-1, -1),
        Subject::Adapter(apid) => (apid.0.into(), -1),
        Subject::Queue(apqn) => (apqn.apid.0.into(), apqn.apqi.0.into()),
    };
    // SAFETY: The names are valid strings, and the masks have 256 bits. All are copied.
    unsafe {
        b::vfio_ap_trace_guest(
            mdev.as_char_ptr(),
            cause.event.name().as_char_ptr(),
            adapter,
            domain,
            guest.apm.words().as_ptr(),
            guest.aqm.words().as_ptr(),
            guest.adm.words().as_ptr(),
        )
    }
}

/// Traces the end of a reset, if it has ended.
pub(crate) fn reset_end(apqn: Apqn, progress: Progress) {
    let code = match progress {
        Progress::Pending => return,
        Progress::Done => response::NORMAL,
        Progress::Failed(code) => code,
    };
    // SAFETY: The arguments are numbers.
    unsafe { b::vfio_ap_trace_reset_end(apqn.to_raw(), code) }
}

/// Traces the response code of PQAP(AQIC) of a guest.
pub(crate) fn aqic(apqn: Apqn, code: u8) {
    // SAFETY: The arguments are numbers.
    unsafe { b::vfio_ap_trace_aqic(apqn.to_raw(), code) }
}
