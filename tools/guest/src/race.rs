// SPDX-License-Identifier: GPL-2.0
//! What a user does to its device while the guest is at it, or in a thread that gets no CPU.
//!
//! The answers of the guest are told in their order, equal ones in one line, and after them how
//! the deed has ended, and how long it took:
//!
//!     rc=05 cc=3 status=00050000 (3 times)
//!     rc=06 cc=3 status=00060000
//!     unmap: ok after 12 ms

use std::fmt;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;

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
            "replace" => Deed::Replace(memory),
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

impl Deputy<'_> {
    fn is_through(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end, and says how it was.
    fn report(self) -> Result<String> {
        let joined = self.thread.join().map_err(|_| Errno::EIO);
        let (result, took, _access) = joined.step("thread")?;
        Ok(ended(self.name, &result, took))
    }
}

fn ended(name: &str, result: &Result<()>, took: Duration) -> String {
    let how = result.as_ref().map_or_else(failed, |()| "ok".into());
    format!("{name}: {how} after {} ms", took.as_millis())
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

/// Asks the guest over and over, until the deed is done, which begins after `delay`.
pub fn race(
    guest: &Guest,
    device: &Device,
    what: &Named<'_>,
    delay: Duration,
    question: &[&str],
) -> Result<String> {
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
    Ok(format!("{answers}{}", deputy.report()?))
}

/// Asks the guest once; the deed begins after `delay`, and so do threads that take all CPU time that
/// they can get, until it is done.
pub fn after(
    guest: &Guest,
    device: &Device,
    what: &Named<'_>,
    delay: Duration,
    hogs: usize,
    question: &[&str],
) -> Result<String> {
    let deputy = what.start(device, delay, move || Hogs::new(hogs))?;
    let answer = interview::ask(guest, question).unwrap_or_else(|e| failed(&e));
    Ok(format!("{answer}\n{}", deputy.report()?))
}

/// Has the deed done by a thread that starves, as there are `hogs`; the memory of the guest is taken
/// away after `delay`.
pub fn starve(
    guest: &Guest,
    device: &Device,
    what: &Named<'_>,
    delay: Duration,
    hogs: usize,
) -> Result<String> {
    let deputy = what.start(device, Duration::ZERO, || {
        // If it cannot starve, then it is a race.
        let _ = scheduling::give(SELF, Share::Idle);
    })?;
    let hogs = Hogs::new(hogs);
    thread::sleep(delay);
    let begun = Instant::now();
    let unmapped = device.unmap(guest.memory);
    let took = begun.elapsed();
    drop(hogs);
    let unmapped = ended("unmap", &unmapped, took);
    Ok(format!("{unmapped}\n{}", deputy.report()?))
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
