// SPDX-License-Identifier: GPL-2.0
//! The control language, which controls the machine from outside the architecture.
//!
//! The configuration file, the back door for programs inside the machine, and the socket for
//! programs outside it use the same language. This is the grammar, which is also the reply to the
//! command `help`:
//!
//! ```text
#![doc = include_str!("help.txt")]
//! ```
//!
//! Further rules:
//!
//! - A request takes effect as a whole. If a command is wrong, the error message contains its line,
//!   and the machine does not change.
//! - `adapter LIST none` also removes the settings of the queues. A change of the type keeps them.
//! - In QUEUE, `*` stands for all *installed* adapters, or for all domains within the limits.
//! - A queue that leaves the host configuration, or whose state is no longer online, loses its
//!   messages, its interruptions and a reset in progress.
//! - Adapters and masks cannot exceed the limits. Reduce the masks before the limits.
//! - A response that `rc=` forces has priority over all other responses except program
//!   interruptions. The function is *not* performed, even with `rc=00`. Each execution with a
//!   forced response counts against `times`.
//!
//! | module | contents |
//! |---|---|
//! | `parse` | parses text into commands, without a machine |
//! | `apply` | executes commands and returns replies |
//! | `show` | prints the machine as commands |

mod apply;
mod parse;
mod show;

use crate::adapter::{AdapterType, Mode, State};
use crate::function::Function;
use crate::ids::{Apid, Apqi, Apqn};
use crate::machine::Machine;
use crate::mask::Mask;
use crate::queue::{Fault, Polls};
use crate::sie::Count;
use std::fmt;

/// The reply to the command `help`.
pub const HELP: &str = include_str!("help.txt");

/// The error of a refused request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    /// The line of the request, counted from 1.
    pub line: usize,
    /// The error message.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for Error {}

/// A command.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Command {
    Adapter(Mask, AdapterChange),
    Mask(MaskName, MaskChange, Mask),
    Limits(Vec<Limit>),
    Queue(Selector, QueueChange),
    Counters(Query),
    Sie(SieQuery),
    Bare,
    Show,
    Help,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum AdapterChange {
    Install {
        kind: AdapterType,
        mode: Mode,
        depth: u8,
    },
    Remove,
    State(State),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum MaskName {
    Apm,
    Aqm,
    Adm,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum MaskChange {
    Set,
    Add,
    Remove,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Limit {
    Flag(&'static str, bool),
    Na(u8),
    Nd(u8),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum QueueChange {
    State(State),
    ResetPolls(Polls),
    IrqPolls(Polls),
    ReplyPolls(Polls),
    Fault(Function, Option<Fault>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Query {
    All,
    Sum(Selector, Option<Function>),
    Reset,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SieQuery {
    All,
    Sum(Option<u16>, Count),
    Reset,
}

/// A set of queues. `None` is `*`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Selector {
    apid: Option<Apid>,
    apqi: Option<Apqi>,
}

impl Selector {
    const ALL: Self = Self {
        apid: None,
        apqi: None,
    };

    fn matches(&self, queue: Apqn) -> bool {
        self.apid.is_none_or(|apid| apid == queue.apid)
            && self.apqi.is_none_or(|apqi| apqi == queue.apqi)
    }
}

impl Machine {
    /// Executes a request and returns the reply, which is empty if the request only changes the
    /// machine.
    ///
    /// # Errors
    ///
    /// Returns the error of the first wrong command. The machine is then unchanged.
    pub fn control(&mut self, request: &str) -> Result<String, Error> {
        let commands = parse::request(request)?;
        let mut next = self.clone();
        let mut reply = String::new();
        for (line, command) in commands {
            let text = next
                .apply(&command)
                .map_err(|message| Error { line, message })?;
            reply.push_str(&text);
        }
        *self = next;
        Ok(reply)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
