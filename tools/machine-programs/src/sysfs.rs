// SPDX-License-Identifier: GPL-2.0
//! Attributes, as a test wants them: one system call for each write, and a list of
//! lines as one line.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use nix::errno::Errno;

use crate::error::{Result, Step};

/// Writes `text` and a newline by exactly one system call: a short write is an
/// answer too.
///
/// # Errors
///
/// What open or write say; `EMSGSIZE` for a short write.
pub fn write(file: impl AsRef<Path>, text: &str) -> Result<()> {
    let mut file = OpenOptions::new().write(true).open(file).step("open")?;
    let line = format!("{text}\n");
    match file.write(line.as_bytes()).step("write")? {
        n if n == line.len() => Ok(()),
        _ => Err(Errno::EMSGSIZE).step("write"),
    }
}

/// All that can be read, in one line.
///
/// # Errors
///
/// What open or read say.
pub fn read(file: impl AsRef<Path>) -> Result<String> {
    let text = fs::read_to_string(file).step("read")?;
    Ok(text.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
}
