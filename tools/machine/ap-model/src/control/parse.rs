// SPDX-License-Identifier: GPL-2.0
//! Parses text into commands and reports syntax errors. It does not know the state of the machine.

use super::{
    AdapterChange, Command, Error, Limit, MaskChange, MaskName, Query, QueueChange, Selector,
    SieQuery,
};
use crate::adapter::{Adapter, AdapterType, Mode, State};
use crate::function::Function;
use crate::ids::{Apid, Apqi};
use crate::limits::Limits;
use crate::mask::Mask;
use crate::queue::{Fault, Polls};
use crate::sie::Count;
use crate::status::ResponseCode;

/// A result with an error message that does not contain the line.
type Result<T> = std::result::Result<T, String>;

/// Returns the commands of a request, each with its line, counted from 1.
pub(super) fn request(text: &str) -> std::result::Result<Vec<(usize, Command)>, Error> {
    let mut commands = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        let code = line.split('#').next().unwrap_or_default();
        for part in code.split(';').map(str::trim).filter(|p| !p.is_empty()) {
            let command = command(part).map_err(|message| Error {
                line: line_number,
                message,
            })?;
            commands.push((line_number, command));
        }
    }
    Ok(commands)
}

fn command(text: &str) -> Result<Command> {
    if let Some(command) = mask_command(text)? {
        return Ok(command);
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["adapter", apids, rest @ ..] => Ok(Command::Adapter(list(apids)?, adapter(rest)?)),
        ["limits", first, rest @ ..] => std::iter::once(first)
            .chain(rest)
            .map(|word| limit(word))
            .collect::<Result<_>>()
            .map(Command::Limits),
        ["queue", queues, rest @ ..] => Ok(Command::Queue(selector(queues)?, queue(rest)?)),
        ["counters", rest @ ..] => counters(rest).map(Command::Counters),
        ["sie", rest @ ..] => sie(rest).map(Command::Sie),
        ["bare"] => Ok(Command::Bare),
        ["show"] => Ok(Command::Show),
        ["help"] => Ok(Command::Help),
        [
            name @ ("adapter" | "limits" | "queue" | "bare" | "show" | "help"),
            ..,
        ] => Err(format!("wrong number of words for '{name}'; see 'help'")),
        _ => Err(format!("unknown command '{text}'; see 'help'")),
    }
}

/// Parses `apm = …` and similar commands. Blanks around the sign are ignored.
fn mask_command(text: &str) -> Result<Option<Command>> {
    let (name, rest) = match text.get(..3) {
        Some("apm") => (MaskName::Apm, &text[3..]),
        Some("aqm") => (MaskName::Aqm, &text[3..]),
        Some("adm") => (MaskName::Adm, &text[3..]),
        _ => return Ok(None),
    };
    let rest = rest.trim_start();
    let change = match rest.chars().next() {
        Some('=') => MaskChange::Set,
        Some('+') => MaskChange::Add,
        Some('-') => MaskChange::Remove,
        _ => return Err(format!("'=', '+' or '-' expected after '{}'", &text[..3])),
    };
    let numbers = rest[1..].trim();
    let bits = if numbers.is_empty() && change == MaskChange::Set {
        Mask::EMPTY
    } else {
        list(numbers)?
    };
    Ok(Some(Command::Mask(name, change, bits)))
}

fn adapter(words: &[&str]) -> Result<AdapterChange> {
    match words {
        ["none"] => Ok(AdapterChange::Remove),
        ["state", name] => state(name).map(AdapterChange::State),
        [what] => install(what, Adapter::DEFAULT_DEPTH),
        [what, option] => {
            let depth = option
                .strip_prefix("depth=")
                .ok_or_else(|| format!("'depth=N' expected, not '{option}'"))?;
            match number(depth)? {
                depth @ 1..=Adapter::MAX_DEPTH => install(what, depth),
                _ => Err(format!("the depth is 1 to {}", Adapter::MAX_DEPTH)),
            }
        }
        _ => Err("TYPE, 'none' or 'state STATE' expected after the adapters".into()),
    }
}

fn install(what: &str, depth: u8) -> Result<AdapterChange> {
    let wrong = || format!("'{what}' is no adapter type: cex4 to cex8 or a number, then a, c or p");
    let mode = what
        .chars()
        .last()
        .and_then(Mode::from_letter)
        .ok_or_else(wrong)?;
    let name = &what[..what.len() - 1];
    let kind = match name.strip_prefix("cex") {
        Some(generation) => generation.parse().ok().and_then(AdapterType::cex),
        None => number(name).ok().map(AdapterType),
    };
    // Linux takes type 0 as missing information about the adapter.
    let kind = kind.filter(|kind| kind.0 != 0).ok_or_else(wrong)?;
    Ok(AdapterChange::Install { kind, mode, depth })
}

fn limit(word: &str) -> Result<Limit> {
    let (name, value) = word
        .split_once('=')
        .ok_or_else(|| format!("NAME=VALUE expected, not '{word}'"))?;
    match (name, value) {
        ("na", value) => number(value).map(Limit::Na),
        ("nd", value) => number(value).map(Limit::Nd),
        (name, value) => {
            let flags = Limits::default().flags().map(|(flag, _)| flag);
            let flag = flags
                .into_iter()
                .find(|flag| *flag == name)
                .ok_or_else(|| format!("unknown limit '{name}': {}, na or nd", flags.join(", ")))?;
            match value {
                "on" => Ok(Limit::Flag(flag, true)),
                "off" => Ok(Limit::Flag(flag, false)),
                _ => Err(format!("'{name}' is on or off, not '{value}'")),
            }
        }
    }
}

fn queue(words: &[&str]) -> Result<QueueChange> {
    match words {
        ["state", name] => state(name).map(QueueChange::State),
        ["reset-polls", count] => polls(count).map(QueueChange::ResetPolls),
        ["irq-polls", count] => polls(count).map(QueueChange::IrqPolls),
        ["reply-polls", count] => polls(count).map(QueueChange::ReplyPolls),
        [name, "clear"] => Ok(QueueChange::Fault(queue_function(name)?, None)),
        [name, rc, options @ ..] if rc.starts_with("rc=") => {
            let function = queue_function(name)?;
            fault(&rc[3..], options).map(|fault| QueueChange::Fault(function, Some(fault)))
        }
        _ => Err(
            "'state', 'reset-polls', 'irq-polls', 'reply-polls' or a function with 'rc=XX' or 'clear' \
                  expected after the queue"
                .into(),
        ),
    }
}

fn fault(rc: &str, options: &[&str]) -> Result<Fault> {
    let digits = rc.strip_prefix("0x").unwrap_or(rc);
    let rc = u8::from_str_radix(digits, 16)
        .map_err(|_| format!("'{rc}' is no response code: two hexadecimal digits"))?;
    let mut fault = Fault {
        rc: ResponseCode(rc),
        asynchronous: false,
        times: None,
    };
    for option in options {
        match (*option, option.strip_prefix("times=")) {
            ("async", _) => fault.asynchronous = true,
            (_, Some(times)) => {
                fault.times = match times.parse() {
                    Ok(0) | Err(_) => {
                        return Err(format!("'{times}' is no number of times, 1 or more"));
                    }
                    Ok(times) => Some(times),
                }
            }
            _ => return Err(format!("'times=N' or 'async' expected, not '{option}'")),
        }
    }
    Ok(fault)
}

fn counters(words: &[&str]) -> Result<Query> {
    match words {
        [] => Ok(Query::All),
        ["reset"] => Ok(Query::Reset),
        [queues, name] => Ok(Query::Sum(selector(queues)?, Some(function(name)?))),
        [queues] if queues.contains('.') => Ok(Query::Sum(selector(queues)?, None)),
        [name] => Ok(Query::Sum(Selector::ALL, Some(function(name)?))),
        _ => Err("wrong number of words for 'counters'; see 'help'".into()),
    }
}

fn sie(words: &[&str]) -> Result<SieQuery> {
    let count = |name: &str| {
        Count::from_name(name).ok_or_else(|| format!("unknown count '{name}': {}", Count::names()))
    };
    match words {
        [] => Ok(SieQuery::All),
        ["reset"] => Ok(SieQuery::Reset),
        [name] => Ok(SieQuery::Sum(None, count(name)?)),
        [cpu, name] => {
            let cpu = cpu
                .parse()
                .map_err(|_| format!("'{cpu}' is no number of a CPU"))?;
            Ok(SieQuery::Sum(Some(cpu), count(name)?))
        }
        _ => Err("wrong number of words for 'sie'; see 'help'".into()),
    }
}

fn function(name: &str) -> Result<Function> {
    Function::from_name(name).ok_or_else(|| {
        let names = Function::ALL.map(Function::name).join(", ");
        format!("unknown function '{name}': {names}")
    })
}

fn queue_function(name: &str) -> Result<Function> {
    match function(name)? {
        Function::Qci => Err("qci concerns no queue".into()),
        function => Ok(function),
    }
}

fn state(name: &str) -> Result<State> {
    State::ALL
        .into_iter()
        .find(|state| state.name() == name)
        .ok_or_else(|| {
            let names = State::ALL.map(State::name).join(", ");
            format!("unknown state '{name}': {names}")
        })
}

fn polls(text: &str) -> Result<Polls> {
    match text {
        "forever" => Ok(Polls::Forever),
        _ => text
            .parse()
            .map(Polls::Count)
            .map_err(|_| format!("'{text}' is neither a number of polls nor 'forever'")),
    }
}

fn selector(text: &str) -> Result<Selector> {
    let wrong = || format!("'{text}' is no queue: as in 01.0003, or * for either part");
    let part = |digits: &str, most: usize| match digits {
        "*" => Ok(None),
        _ if digits.len() <= most => u8::from_str_radix(digits, 16)
            .map(Some)
            .map_err(|_| wrong()),
        _ => Err(wrong()),
    };
    let (apid, apqi) = text.split_once('.').ok_or_else(wrong)?;
    Ok(Selector {
        apid: part(apid, 2)?.map(Apid),
        apqi: part(apqi, 4)?.map(Apqi),
    })
}

/// Parses a list of numbers and ranges with at least one number.
fn list(text: &str) -> Result<Mask> {
    let mut bits = Mask::EMPTY;
    for part in text.split(',').map(str::trim) {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first.trim())?, number(last.trim())?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return Err(format!("the range '{part}' runs backwards"));
        }
        bits = bits.union((first..=last).collect());
    }
    Ok(bits)
}

/// Parses a number from 0 to 255, decimal or with the prefix 0x.
fn number(text: &str) -> Result<u8> {
    let value = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => text.parse(),
    };
    value.map_err(|_| format!("'{text}' is no number from 0 to 255"))
}
