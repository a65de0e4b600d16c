// SPDX-License-Identifier: GPL-2.0
//! Reads and writes attributes: one system call for each write, and multi-line attributes as one
//! line.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use nix::errno::Errno;

use crate::error::{Result, Step};

/// Writes `text` and a newline with exactly one system call. A short write is an error.
///
/// # Errors
///
/// Returns the error of open or write, or `EMSGSIZE` for a short write.
pub fn write(file: impl AsRef<Path>, text: &str) -> Result<()> {
    let mut file = OpenOptions::new().write(true).open(file).step("open")?;
    let line = format!("{text}\n");
    match file.write(line.as_bytes()).step("write")? {
        n if n == line.len() => Ok(()),
        _ => Err(Errno::EMSGSIZE).step("write"),
    }
}

/// Returns the whole contents in one line.
///
/// # Errors
///
/// Returns the error of open or read.
pub fn read(file: impl AsRef<Path>) -> Result<String> {
    let text = fs::read_to_string(file).step("read")?;
    Ok(text.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
}
