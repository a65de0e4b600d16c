// SPDX-License-Identifier: GPL-2.0
//! The kernel's messages about vfio_ap.
//!
//! This module finds the messages in the journal, or otherwise in the kernel's own buffer, which
//! overwrites the oldest ones.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

use anyhow::Result;
use uuid::Uuid;

use crate::sysfs::{Access, Sysfs};

/// A message of the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// The time in seconds since 1970.
    pub time: i64,
    /// The text.
    pub text: String,
}

impl Message {
    /// Returns the masks and the cause of a message about a change of the guest of an mdev.
    pub fn about_guest(&self, mdev: &Uuid) -> Option<&str> {
        let (_, text) = self.text.split_once(&format!("{mdev}: guest: "))?;
        Some(text)
    }
}

/// Returns the messages of vfio_ap since the boot, or `None` if they are not readable.
///
/// # Errors
///
/// Returns an error if reading the messages fails for another reason than permission.
pub fn read(sysfs: &Sysfs, booted: Option<i64>) -> Result<Option<Vec<Message>>> {
    let text = sysfs.messages(|| match of_journal() {
        Some(text) => Ok(text),
        None => of_kernel(booted.unwrap_or(0)),
    })?;
    Ok(match text {
        Access::Text(text) => Some(text.lines().filter_map(parse).collect()),
        Access::Absent | Access::Denied => None,
    })
}

/// Parses `1764252192 vfio_ap_mdev …`.
fn parse(line: &str) -> Option<Message> {
    let (time, text) = line.split_once(' ')?;
    Some(Message {
        time: time.parse().ok()?,
        text: text.into(),
    })
}

/// Returns true if the message is from the driver. The kernel prints other messages about each
/// mediated device.
fn is_ours(text: &str) -> bool {
    text.starts_with("vfio_ap") && !text.contains(" iommu group ")
}

/// Returns the lines of the journal, if it contains any.
fn of_journal() -> Option<String> {
    let output = Command::new("journalctl")
        .args(["--dmesg", "--quiet", "--no-pager", "--output=short-unix"])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success() && !text.is_empty()).then(|| lines_of_journal(&text))
}

/// Parses `1764252192.123456 host kernel: vfio_ap_mdev …`.
fn lines_of_journal(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let parts = line.split_once('.').zip(line.split_once(" kernel: "));
        if let Some(((seconds, _), (_, text))) = parts.filter(|(_, (_, text))| is_ours(text)) {
            lines += &format!("{seconds} {text}\n");
        }
    }
    lines
}

/// Returns the messages in the kernel's own buffer.
fn of_kernel(booted: i64) -> io::Result<String> {
    let mut kmsg = OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open("/dev/kmsg")?;
    let mut lines = String::new();
    let mut record = [0; 8192];
    loop {
        match kmsg.read(&mut record) {
            Ok(0) => return Ok(lines),
            Ok(length) => {
                lines += &line_of_record(&String::from_utf8_lossy(&record[..length]), booted)
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(lines),
            // The next message has been overwritten in the meantime.
            Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) => {}
            Err(e) => return Err(e),
        }
    }
}

/// Parses `5,1234,98765432,-;vfio_ap_mdev …`. The third number is in microseconds since the boot.
/// Further lines may follow.
fn line_of_record(record: &str, booted: i64) -> String {
    let line = record.lines().next().unwrap_or_default();
    let Some((prefix, text)) = line.split_once(';').filter(|(_, text)| is_ours(text)) else {
        return String::new();
    };
    let micros = prefix
        .split(',')
        .nth(2)
        .and_then(|micros| micros.parse::<i64>().ok());
    format!("{} {text}\n", booted + micros.unwrap_or(0) / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_in_both_places() {
        let journal = "1764252192.123456 z16 kernel: vfio_ap_mdev aa: lost\n\
                       1764252193.000000 z16 kernel: ap: other\n";
        assert_eq!(
            lines_of_journal(journal),
            "1764252192 vfio_ap_mdev aa: lost\n"
        );
        let record = "6,1234,98765432,-;vfio_ap_mdev aa: lost\n SUBSYSTEM=mdev\n";
        assert_eq!(line_of_record(record, 1000), "1098 vfio_ap_mdev aa: lost\n");
        assert_eq!(line_of_record("6,1,2,-;ap: other\n", 1000), "");
        assert_eq!(
            parse("1098 vfio_ap_mdev aa: lost"),
            Some(Message {
                time: 1098,
                text: "vfio_ap_mdev aa: lost".into()
            })
        );
    }
}
