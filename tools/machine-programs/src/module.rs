// SPDX-License-Identifier: GPL-2.0
//! Loading and unloading kernel modules, with exactly one attempt each. busybox's insmod tries
//! twice.

use std::ffi::CString;
use std::fs::File;

use nix::errno::Errno;
use nix::kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module};

use crate::error::{Result, Step};

fn cstring(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Errno::EINVAL).step("text")
}

/// Loads a module from a file.
///
/// # Errors
///
/// Returns the error of the kernel.
pub fn insert(file: &str, args: &str) -> Result<()> {
    let file = File::open(file).step("open")?;
    finit_module(&file, &cstring(args)?, ModuleInitFlags::empty()).step("finit_module")
}

/// Unloads a module if it is not in use.
///
/// # Errors
///
/// Returns the error of the kernel.
pub fn remove(name: &str) -> Result<()> {
    delete_module(&cstring(name)?, DeleteModuleFlags::O_NONBLOCK).step("delete_module")
}
