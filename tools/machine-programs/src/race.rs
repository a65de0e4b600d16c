// SPDX-License-Identifier: GPL-2.0
//! Actions of a user on its device while the guest uses the device, or in a thread without CPU
//! time.
//!
//! The answers of the guest are printed in their order. Successive equal answers are one line. The
//! outcome and the duration of the action follow:
//!
//! ```text
//! rc=05 cc=3 status=00050000 (3 times)
//! rc=06 cc=3 status=00060000
//! unmap: ok after 12 ms
//! ```

use std::fmt;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::gettid;

use crate::error::{Error, Result, Step};
use crate::interview;
use crate::scheduling::{self, Hogs, SELF, Share};
use crate::vm::{Access, Deed, Device, Guest};

/// The maximum number of lines with answers on the console.
const LINES: usize = 40;

/// An action with its name.
pub struct Named<'a> {
    /// The name in commands.
    pub name: &'a str,
    /// The action.
    pub deed: Deed,
}

impl<'a> Named<'a> {
    /// Returns the action with this name. Actions on storage use the storage of the guest.
    pub fn new(name: &'a str, guest: &Guest) -> Option<Self> {
        let memory = guest.memory;
        let deed = match name {
            "reset" => Deed::Reset,
            "map" => Deed::Map(memory),
            "unmap" => Deed::Unmap(memory),
            "detach" => Deed::Detach,
            "attach" => Deed::Attach,
            "replace" => Deed::Replace(Some(memory)),
            _ => return None,
        };
        Some(Self { name, deed })
    }

    /// Starts a thread that executes the action after `ready` has returned.
    fn start<T: 'static>(
        &self,
        device: &Device,
        delay: Duration,
        ready: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Deputy<'a>> {
        let (access, deed) = (device.access()?, self.deed);
        let thread = thread::spawn(move || {
            thread::sleep(delay);
            let _held = ready();
            let begun = Instant::now();
            let result = access.act(deed);
            (result, begun.elapsed(), access)
        });
        let name = self.name;
        Ok(Deputy { name, thread })
    }
}

/// The thread that executes the action.
struct Deputy<'a> {
    name: &'a str,
    thread: JoinHandle<(Result<()>, Duration, Access)>,
}

impl<'a> Deputy<'a> {
    fn is_through(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end of the thread.
    fn end(self) -> Result<End<'a>> {
        let joined = self.thread.join().map_err(|_| Errno::EIO);
        // No other thread closes the device.
        let (result, took, _access) = joined.step("thread")?;
        Ok(End {
            name: self.name,
            result,
            took,
        })
    }
}

/// The result of an action.
pub struct End<'a> {
    /// The name of the action.
    pub name: &'a str,
    /// The result of the system call.
    pub result: Result<()>,
    /// The duration.
    pub took: Duration,
}

impl fmt::Display for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, result, took } = self;
        let how = result.as_ref().map_or_else(failed, |()| "ok".into());
        write!(f, "{name}: {how} after {} ms", took.as_millis())
    }
}

/// Returns an error as a part of an answer, which does not end the answer.
fn failed(e: &Error) -> String {
    format!("{:?} by {}", e.errno, e.step)
}

/// The answers and their numbers. Equal successive answers are one entry.
#[derive(Default)]
struct Answers(Vec<(String, u32)>);

impl Answers {
    fn add(&mut self, answer: String) {
        match self.0.last_mut() {
            Some((last, times)) if *last == answer => *times += 1,
            _ => self.0.push((answer, 1)),
        }
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (answer, times) in self.0.iter().take(LINES) {
            match times {
                1 => writeln!(f, "{answer}")?,
                _ => writeln!(f, "{answer} ({times} times)")?,
            }
        }
        match self.0.len().saturating_sub(LINES) {
            0 => Ok(()),
            more => writeln!(f, "and {more} lines more"),
        }
    }
}

/// The answers of the guest, and the result of the action.
pub struct Account<'a> {
    answers: Answers,
    /// The result of the action.
    pub end: End<'a>,
}

impl fmt::Display for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.answers, self.end)
    }
}

/// Repeats a query of the guest until the action has finished. The action starts after `delay`.
///
/// # Errors
///
/// Returns an error if the thread of the action fails.
pub fn race<'a>(
    guest: &Guest,
    device: &Device,
    what: &Named<'a>,
    delay: Duration,
    question: &[&str],
) -> Result<Account<'a>> {
    let deputy = what.start(device, delay, || ())?;
    let mut answers = Answers::default();
    while !deputy.is_through() {
        match interview::ask(guest, question) {
            Ok(answer) => answers.add(answer),
            Err(e) => {
                // The guest would not answer the next query either.
                answers.add(failed(&e));
                break;
            }
        }
    }
    let end = deputy.end()?;
    Ok(Account { answers, end })
}

/// Sends one query to the guest. The action starts after `delay`, when `ready` has returned. The
/// value of `ready` is dropped at the end of the action.
///
/// # Errors
///
/// Returns an error if the thread of the action cannot be started.
pub fn after<'a, T: 'static>(
    guest: &Guest,
    device: &Device,
    what: &Named<'a>,
    delay: Duration,
    ready: impl FnOnce() -> T + Send + 'static,
    question: &[&str],
) -> Result<Account<'a>> {
    let deputy = what.start(device, delay, ready)?;
    let answer = interview::ask(guest, question).unwrap_or_else(|e| failed(&e));
    let mut answers = Answers::default();
    answers.add(answer);
    let end = deputy.end()?;
    Ok(Account { answers, end })
}

/// Executes the action in a thread that `hogs` threads deprive of CPU time. After `delay`, the
/// memory of the guest is unmapped, and the thread gets CPU time again.
///
/// Returns the results of the unmapping and of the action, in this order.
///
/// # Errors
///
/// Returns an error if the thread of the action cannot be started.
pub fn starve<'a>(
    guest: &Guest,
    device: &Device,
    what: &Named<'a>,
    delay: Duration,
    hogs: usize,
) -> Result<[End<'a>; 2]> {
    let (hello, thread) = mpsc::channel();
    let deputy = what.start(device, Duration::ZERO, move || {
        // Without SCHED_IDLE, the two actions simply race.
        let _ = scheduling::give(SELF, Share::Idle);
        let _ = hello.send(gettid());
    })?;
    let hogs = Hogs::new(hogs);
    thread::sleep(delay);
    let begun = Instant::now();
    let unmapped = End {
        name: "unmap",
        result: device.unmap(guest.memory),
        took: begun.elapsed(),
    };
    drop(hogs);
    if let Ok(thread) = thread.recv() {
        // The thread may have ended.
        let _ = scheduling::give(thread, Share::Nice(0));
    }
    Ok([unmapped, deputy.end()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_answers_are_told_once() {
        let mut answers = Answers::default();
        for answer in ["a", "a", "b", "a"] {
            answers.add(answer.into());
        }
        assert_eq!(answers.to_string(), "a (2 times)\nb\na\n");
        for n in 0..LINES {
            answers.add(n.to_string());
        }
        assert!(answers.to_string().ends_with("\nand 3 lines more\n"));
    }
}
