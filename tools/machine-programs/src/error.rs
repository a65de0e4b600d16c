// SPDX-License-Identifier: GPL-2.0
//! Errors as a test wants them: which step failed, and the errno by its name.

use std::{fmt, io};

use nix::errno::Errno;

/// The result of a step that ends in a system call.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed system call.
#[derive(Debug)]
pub struct Error {
    /// What was being done, for instance `VFIO_DEVICE_BIND_IOMMUFD`.
    pub step: String,
    /// Why the kernel refused.
    pub errno: Errno,
}

impl fmt::Display for Error {
    /// The errno comes last: that is the word a scenario compares.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: error {:?}", self.step, self.errno)
    }
}

impl std::error::Error for Error {}

/// Gives the name of a step to the error of a system call.
pub trait Step<T> {
    /// Names the step.
    fn step(self, step: impl Into<String>) -> Result<T>;
}

impl<T> Step<T> for nix::Result<T> {
    fn step(self, step: impl Into<String>) -> Result<T> {
        self.map_err(|errno| Error {
            step: step.into(),
            errno,
        })
    }
}

impl<T> Step<T> for io::Result<T> {
    fn step(self, step: impl Into<String>) -> Result<T> {
        self.map_err(|e| Error {
            step: step.into(),
            errno: e.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
        })
    }
}
