// SPDX-License-Identifier: GPL-2.0
//! The control language: what one tells the machine from outside the architecture.
//!
//! The same language serves the configuration file, the back door for programs that
//! run in the machine, and the socket for those that run beside it. This is the
//! grammar, and also what the command `help` answers:
//!
//! ```text
#![doc = include_str!("help.txt")]
//! ```
//!
//! Some rules that the table has no room for:
//!
//! - A request takes effect as a whole. If a command is wrong, the error tells its
//!   line, and the machine is as it was before.
//! - `adapter LIST none` also forgets what was set for the queues. Another type keeps
//!   it.
//! - In QUEUE, `*` stands for every *installed* adapter, or for every domain that the
//!   limits allow.
//! - A queue that leaves the host configuration, or is no longer online, loses its
//!   messages, its interruptions and a reset under way.
//! - Nothing may go beyond the limits: shrink masks before limits.
//! - What is forced by `rc=` goes before everything but program interruptions, and the
//!   function is *not* performed, also with `rc=00`. Each execution that was answered
//!   so counts against `times`.
//!
//! | module | owns |
//! |---|---|
//! | `parse` | text to commands; knows no machine |
//! | `apply` | commands to changes and replies |
//! | `show` | the machine as commands |

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

/// What the command `help` answers.
pub const HELP: &str = include_str!("help.txt");

/// Why a request was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    /// The line of the request, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for Error {}

/// One command.
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

/// A set of queues; `None` is `*`.
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
    /// Carry out a request, and give the text that answers it (empty if it only
    /// changed something).
    ///
    /// # Errors
    ///
    /// The first wrong command; nothing was changed then.
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
