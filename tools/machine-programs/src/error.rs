// SPDX-License-Identifier: GPL-2.0
//! Errors: the step that failed, and the name of the errno.

use std::{fmt, io};

use nix::errno::Errno;

/// The result of a step that ends in a system call.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed system call.
#[derive(Debug)]
pub struct Error {
    /// The failed step, for example `VFIO_DEVICE_BIND_IOMMUFD`.
    pub step: String,
    /// The errno of the kernel.
    pub errno: Errno,
}

impl fmt::Display for Error {
    /// Writes the step and the errno. The errno is the last word, which scenarios compare.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: error {:?}", self.step, self.errno)
    }
}

impl std::error::Error for Error {}

/// Adds the name of a step to the error of a system call.
pub trait Step<T> {
    /// Adds the name of the step.
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
