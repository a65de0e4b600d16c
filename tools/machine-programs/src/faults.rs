// SPDX-License-Identifier: GPL-2.0
//! Fault injection into allocations of the kernel, by `/proc/PID/task/TID/fail-nth`, and the kernel
//! messages about the faults.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use nix::libc;

use crate::error::{Result, Step};

const FAILSLAB: &str = "/sys/kernel/debug/failslab";

/// Makes allocations of one thread fail.
pub struct Injector(File);

impl Injector {
    /// Returns an injector for a thread of this process.
    ///
    /// # Errors
    ///
    /// Returns `ENOENT` if the kernel has no fault injection.
    pub fn new(thread: u32) -> Result<Self> {
        let path = format!("/proc/self/task/{thread}/fail-nth");
        let file = OpenOptions::new().read(true).write(true).open(path);
        Ok(Self(file.step("fail-nth")?))
    }

    /// Makes the `nth` allocation from now on fail.
    ///
    /// # Errors
    ///
    /// Returns the error of write.
    pub fn arm(&self, nth: u32) -> Result<()> {
        // No memory is allocated between this point and the tested system call.
        let text = format!("{nth}\n");
        self.0.write_all_at(text.as_bytes(), 0).step("arm")
    }

    /// Ends the fault injection. Returns true if an allocation has failed.
    ///
    /// # Errors
    ///
    /// Returns the error of read or write.
    pub fn disarm(&self) -> Result<bool> {
        let mut text = [0; 16];
        let length = self.0.read_at(&mut text, 0).step("read fail-nth")?;
        self.0.write_all_at(b"0\n", 0).step("disarm")?;
        Ok(text[..length].starts_with(b"0"))
    }
}

/// The messages of the kernel.
pub struct Messages(File);

/// The messages about faults, and all others.
#[derive(Default)]
pub struct Heard {
    /// The number of faults with the driver among the callers of the allocation.
    pub own: u32,
    /// The callers of the failed allocations, the innermost first. Allocations with `__GFP_NOWARN`
    /// have no message.
    pub callers: Vec<String>,
    /// All other messages, as on the console.
    pub rest: Vec<String>,
}

impl Messages {
    /// Returns the messages from now on. Each fault is reported with its callers.
    ///
    /// # Errors
    ///
    /// Returns an error if the kernel cannot inject faults.
    pub fn listen() -> Result<Self> {
        for (file, text) in [("ignore-gfp-wait", "N"), ("verbose", "2")] {
            fs::write(format!("{FAILSLAB}/{file}"), text).step("failslab")?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(libc::O_NONBLOCK);
        let messages = Self(file.open("/dev/kmsg").step("/dev/kmsg")?);
        messages.hear();
        Ok(messages)
    }

    /// Returns the messages since the last call.
    pub fn hear(&self) -> Heard {
        let mut heard = Heard::default();
        let (mut in_dump, mut is_own) = (false, false);
        let mut record = vec![0; 8192];
        loop {
            let length = match (&self.0).read(&mut record) {
                Ok(0) => break,
                Ok(length) => length,
                // A message was overwritten before it was read.
                Err(e) if e.kind() == ErrorKind::BrokenPipe => {
                    heard.rest.push("messages were lost".into());
                    continue;
                }
                Err(_) => break,
            };
            let record = String::from_utf8_lossy(&record[..length]);
            let Some((prefix, text)) = record.split_once(';') else {
                continue;
            };
            let text = text.lines().next().unwrap_or_default();
            if text.contains("FAULT_INJECTION") {
                (in_dump, is_own) = (true, false);
                continue;
            }
            if in_dump && is_part_of_dump(text) {
                if text.contains("[vfio_ap]") && !is_own {
                    is_own = true;
                    heard.own += 1;
                }
                if let Some((_address, caller)) = text.split_once(">] ") {
                    heard.callers.push(caller.to_owned());
                }
                continue;
            }
            in_dump = false;
            let time = prefix.split(',').nth(2).unwrap_or_default();
            let time: u64 = time.parse().unwrap_or(0);
            let (seconds, rest) = (time / 1_000_000, time % 1_000_000);
            heard.rest.push(format!("[{seconds:5}.{rest:06}] {text}"));
        }
        heard
    }
}

/// Returns true if a line belongs to a list of callers or to its head.
fn is_part_of_dump(text: &str) -> bool {
    let heads = [
        " ",
        "([<",
        "name fail",
        "CPU:",
        "Hardware name:",
        "Call Trace:",
        "Tainted:",
    ];
    heads.iter().any(|head| text.starts_with(head))
        || text.contains("lock held by")
        || text.contains("locks held by")
}
