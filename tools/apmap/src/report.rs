// SPDX-License-Identifier: GPL-2.0
//! The driver's report about a mediated device in debugfs.
//!
//! This module parses the report. It ignores unknown lines, because a later driver may add lines.

use std::collections::BTreeMap;

use vfio_ap_core::mask::{Apid, Apqi, Mask};
use vfio_ap_core::matrix::Matrix;

use crate::host::parse_id;

/// The directory of the reports, relative to the root of sysfs.
pub const DEBUGFS: &str = "kernel/debug/vfio_ap";

/// The user of a mediated device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum User {
    /// The device has no user.
    Nobody,
    /// A guest uses the device.
    Guest,
    /// A guest that was asked to release the device. It has no queues from then on.
    Leaving,
}

/// The assigned queues of an adapter that cannot be passed on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Missing {
    /// Queues that were recently taken from a guest or bound, and are not reset yet.
    pub unfinished: Mask<Apqi>,
    /// Queues whose reset has failed.
    pub failed: Mask<Apqi>,
}

/// An event of a guest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// The time since the event, in milliseconds. `None` for kernel messages.
    pub ago: Option<u64>,
    /// The matrix of the guest after the event, or `None` if it has not changed.
    pub matrix: Option<Matrix>,
    /// The cause. Older drivers do not report it.
    pub cause: Option<String>,
    /// The adapter or queue of the cause.
    pub about: Option<String>,
    /// The time of the event, in seconds since 1970.
    pub time: Option<i64>,
}

/// A report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// The user of the device.
    pub user: User,
    /// The missing queues by adapter.
    pub missing: BTreeMap<Apid, Missing>,
    /// The events, the oldest first.
    pub events: Vec<Event>,
}

impl Report {
    /// Parses a report. Returns `None` if the text is not a report.
    pub fn parse(text: &str) -> Option<Self> {
        let mut report = Self {
            user: User::Nobody,
            missing: BTreeMap::new(),
            events: Vec::new(),
        };
        let mut is_report = false;
        for line in text.lines() {
            if let Some(user) = line.strip_prefix("used by: ") {
                is_report = true;
                report.user = match user {
                    "nobody" => User::Nobody,
                    "guest, asked to leave" => User::Leaving,
                    _ => User::Guest,
                };
            } else if let Some(filtered) = line.strip_prefix("filtered: adapter ") {
                let (apid, missing) = filtered.split_once(", for ")?;
                let apid = Apid(parse_id(apid).ok()?);
                report.missing.insert(apid, parse_missing(missing)?);
            } else if let Some(event) = line
                .strip_prefix("commit ")
                .or_else(|| line.strip_prefix("event "))
            {
                report.events.push(parse_event(event)?);
            }
        }
        is_report.then_some(report)
    }
}

/// Parses `domains 0001 not bound, 0002-0003 not reset yet, 0004 not reset, as that failed`.
fn parse_missing(text: &str) -> Option<Missing> {
    const NOT_BOUND: &str = "not bound";
    const NOT_YET: &str = "not reset yet";
    const FAILED: &str = "not reset, as that failed";

    let mut missing = Missing::default();
    let mut rest = text.strip_prefix("domains ")?;
    loop {
        let (domains, state) = rest.split_once(' ')?;
        let domains = parse_ranges(domains)?;
        let known = [NOT_BOUND, NOT_YET, FAILED];
        let known = known.into_iter().find(|known| state.starts_with(known))?;
        match known {
            NOT_YET => missing.unfinished = domains,
            FAILED => missing.failed = domains,
            _ => {}
        }
        rest = match state[known.len()..].strip_prefix(", ") {
            Some(rest) => rest,
            None => return Some(missing),
        };
    }
}

/// Parses `250 ms ago: apm=00 aqm=0000-0001 adm=none cause=open time=1764252192`. An older driver
/// prints only the beginning.
fn parse_event(text: &str) -> Option<Event> {
    let (ago, words) = text.split_once(" ms ago: ")?;
    Some(Event {
        ago: Some(ago.parse().ok()?),
        ..parse_words(words)?
    })
}

/// Parses a kernel message about a guest.
pub fn parse_message(text: &str, time: i64) -> Option<Event> {
    Some(Event {
        time: Some(time),
        ..parse_words(text)?
    })
}

/// Parses `apm=00 aqm=0000-0001 adm=none cause=unbind adapter=01 queue=01.0001 time=1764252192`.
fn parse_words(words: &str) -> Option<Event> {
    let words: BTreeMap<&str, &str> = words
        .split(' ')
        .filter_map(|word| word.split_once('='))
        .collect();
    let text = |name: &str| words.get(name).map(|text| (*text).to_owned());
    Some(Event {
        ago: None,
        matrix: match (words.get("apm"), words.get("aqm"), words.get("adm")) {
            (Some(apm), Some(aqm), Some(adm)) => Some(Matrix {
                apm: parse_ranges(apm)?,
                aqm: parse_ranges(aqm)?,
                adm: parse_ranges(adm)?,
            }),
            _ => None,
        },
        cause: text("cause"),
        about: text("queue").or_else(|| text("adapter")),
        time: words.get("time").and_then(|time| time.parse().ok()),
    })
}

/// Parses `00-03,07` or `none`.
fn parse_ranges<I: Copy + From<u8> + Into<u8>>(text: &str) -> Option<Mask<I>> {
    let mut mask = Mask::EMPTY;
    if text == "none" {
        return Some(mask);
    }
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        for id in parse_id(first).ok()?..=parse_id(last).ok()? {
            mask.insert(id.into());
        }
    }
    Some(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(id: u8) -> Mask<Apqi> {
        Mask::only(Apqi(id))
    }

    #[test]
    fn a_report_is_understood() {
        let report = Report::parse(
            "used by: guest, asked to leave\n\
             not in the host configuration: adapters 09\n\
             filtered: adapter 01, for domains 0001 not bound, 0004 not reset, as that failed\n\
             filtered: adapter 02, for domains 0001 not reset yet\n\
             something new: 3\n\
             commits: 1\n\
             commit 250 ms ago: apm=00,02 aqm=0001 adm=none cause=unbind queue=01.0001 time=17\n\
             event 2 ms ago: apm=00,02 aqm=0001 adm=none cause=deconfigured adapter=02 time=18\n",
        )
        .unwrap();
        assert_eq!(report.user, User::Leaving);
        assert_eq!(report.missing[&Apid(1)].failed, only(4));
        assert_eq!(report.missing[&Apid(1)].unfinished, Mask::EMPTY);
        assert_eq!(report.missing[&Apid(2)].unfinished, only(1));
        let [event, second] = &report.events[..] else {
            panic!("{report:?}")
        };
        assert_eq!((event.ago, event.time), (Some(250), Some(17)));
        assert_eq!(event.matrix.unwrap().aqm, only(1));
        assert_eq!(
            (second.matrix, second.about.as_deref()),
            (event.matrix, Some("02"))
        );
        assert_eq!(event.cause.as_deref(), Some("unbind"));
        assert_eq!(event.about.as_deref(), Some("01.0001"));
    }

    #[test]
    fn a_message_of_the_core_is_understood() {
        use vfio_ap_core::cause::{Cause, Event, Text};

        let guest = Matrix {
            aqm: only(1),
            ..Matrix::EMPTY
        };
        let apqn = vfio_ap_core::mask::Apqn::from_raw(0x0103);
        let cause = Cause::of_queue(Event::Unbind, apqn);
        let text = Text {
            cause,
            guest: &guest,
        };
        let event = parse_message(&text.to_string(), 17).unwrap();
        assert_eq!((event.ago, event.time), (None, Some(17)));
        assert_eq!(event.matrix, Some(guest));
        assert_eq!(event.cause.as_deref(), Some("unbind"));
        assert_eq!(event.about.as_deref(), Some("01.0003"));
    }

    #[test]
    fn the_failures_of_the_core_are_understood() {
        let missing = vfio_ap_core::queues::Unusable {
            unbound: only(1),
            unfinished: only(2),
            failed: only(3),
        };
        let parsed = parse_missing(&missing.to_string()).unwrap();
        assert_eq!((parsed.unfinished, parsed.failed), (only(2), only(3)));
    }

    #[test]
    fn other_texts_are_none() {
        assert_eq!(Report::parse(""), None);
        assert_eq!(Report::parse("commits: 3\n"), None);
        assert_eq!(Report::parse("used by: guest\ncommit x\n"), None);
    }
}
