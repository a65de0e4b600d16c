// SPDX-License-Identifier: GPL-2.0
//! What a user does to its device while the guest is at it, or in a thread that gets no CPU.
//!
//! The answers of the guest are told in their order, equal ones in one line, and after them how
//! the deed has ended, and how long it took:
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

/// More lines than this would only fill the console.
const LINES: usize = 40;

/// A deed with its name.
pub struct Named<'a> {
    /// As a command has it.
    pub name: &'a str,
    /// The deed.
    pub deed: Deed,
}

impl<'a> Named<'a> {
    /// The deed of this name, with the storage of a guest if it is about storage.
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

    /// Has another thread do it in a while, when `ready` has returned.
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

/// The thread that does it.
struct Deputy<'a> {
    name: &'a str,
    thread: JoinHandle<(Result<()>, Duration, Access)>,
}

impl<'a> Deputy<'a> {
    fn is_through(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end.
    fn end(self) -> Result<End<'a>> {
        let joined = self.thread.join().map_err(|_| Errno::EIO);
        // Nobody else closes the device.
        let (result, took, _access) = joined.step("thread")?;
        Ok(End {
            name: self.name,
            result,
            took,
        })
    }
}

/// How a deed has ended.
pub struct End<'a> {
    /// The name of the deed.
    pub name: &'a str,
    /// What the kernel said.
    pub result: Result<()>,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, result, took } = self;
        let how = result.as_ref().map_or_else(failed, |()| "ok".into());
        write!(f, "{name}: {how} after {} ms", took.as_millis())
    }
}

/// An error that is a part of an answer, and not the end of it.
fn failed(e: &Error) -> String {
    format!("{:?} by {}", e.errno, e.step)
}

/// Answers, equal ones as one.
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

/// What the guest has answered, and how the deed has ended.
pub struct Account<'a> {
    answers: Answers,
    /// The deed.
    pub end: End<'a>,
}

impl fmt::Display for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.answers, self.end)
    }
}

/// Asks the guest over and over, until the deed is done, which begins after `delay`.
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
                // It would not answer the next question either.
                answers.add(failed(&e));
                break;
            }
        }
    }
    let end = deputy.end()?;
    Ok(Account { answers, end })
}

/// Asks the guest once. The deed begins after `delay`, when `ready` has returned; what that returns
/// is dropped when the deed is done.
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

/// Has the deed done by a thread that starves, as there are `hogs`; the memory of the guest is
/// taken away after `delay`, and the thread is fed again after that.
///
/// How both have ended: first how the memory was taken away.
pub fn starve<'a>(
    guest: &Guest,
    device: &Device,
    what: &Named<'a>,
    delay: Duration,
    hogs: usize,
) -> Result<[End<'a>; 2]> {
    let (hello, thread) = mpsc::channel();
    let deputy = what.start(device, Duration::ZERO, move || {
        // If it cannot starve, then it is a race.
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
        // It may have ended.
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
