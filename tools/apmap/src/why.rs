// SPDX-License-Identifier: GPL-2.0
//! Finds the reason why a guest does not have a queue. It asks one question after the other, until
//! an answer shows the cause.
//!
//! This module contains the order of the questions, and the texts of causes and remedies. `host`
//! and `explain` provide the facts.

use std::fmt::Write;

use anyhow::{Result, bail};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use uuid::Uuid;
use vfio_ap_core::mask::{Apid, Apqn};
use vfio_ap_core::matrix::Matrix;

use crate::draw::{self, wrap};
use crate::explain::{self, Cause, Reason, Trouble};
use crate::host::{Host, Mdev};
use crate::journal::{self, Message};
use crate::json::{self, Sets};
use crate::names;
use crate::report::{self, Event, User};
use crate::request::Subject;
use crate::sysfs::Sysfs;

/// A question and its answer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
struct Step {
    question: &'static str,
    answer: String,
}

/// The result for a part of the subject.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
struct Branch {
    /// The part, such as `adapter 02`.
    about: String,
    adapters: Vec<u8>,
    steps: Vec<Step>,
    /// The cause for programs, such as `not-bound`, or `None` without a cause.
    cause: Option<&'static str>,
    conclusion: String,
    remedy: Option<String>,
}

/// A change of the guest.
#[derive(Serialize)]
struct Change {
    /// The time in seconds since 1970.
    time: Option<i64>,
    cause: Option<String>,
    about: Option<String>,
    guest: Option<Sets>,
    #[serde(skip)]
    text: String,
}

/// A message of the kernel.
#[derive(Serialize)]
struct Said {
    time: i64,
    text: String,
}

/// The explanation of a subject.
#[derive(Serialize)]
pub struct Why {
    subject: String,
    mdev: Option<Uuid>,
    user: Option<&'static str>,
    process: Option<u32>,
    driver: Option<&'static str>,
    is_well: bool,
    verdict: String,
    branches: Vec<Branch>,
    history: Vec<Change>,
    messages: Vec<Said>,
    /// The facts that could not be found.
    unknown: Vec<String>,
}

/// Reads all files that this module and the picture need, for a recording.
///
/// # Errors
///
/// Returns an error if a file cannot be read.
pub fn read_all(sysfs: &Sysfs) -> Result<()> {
    let mut host = Host::read(sysfs)?;
    for place in 0..host.mdevs.len() {
        host.find_process(sysfs, place)?;
    }
    journal::read(sysfs, host.clock.map(|clock| clock.booted))?;
    Ok(())
}

impl Why {
    /// Finds the explanation.
    ///
    /// # Errors
    ///
    /// Returns an error if the subject does not exist, or if a file cannot be read.
    pub fn new(sysfs: &Sysfs, host: &mut Host, subject: &Subject) -> Result<Self> {
        let (place, queue) = match subject {
            Subject::Queue(apqn) => (host.owner(*apqn).map(|(place, _)| place), Some(*apqn)),
            Subject::Mdev(name) => {
                let uuid = name.find(host)?;
                let place = host.mdevs.iter().position(|mdev| mdev.uuid == uuid);
                let Some(place) = place else {
                    bail!("there is no mediated device {uuid}");
                };
                (Some(place), None)
            }
        };
        if let Some(place) = place {
            host.find_process(sysfs, place)?;
        }
        let messages = journal::read(sysfs, host.clock.map(|clock| clock.booted))?;
        let host = &*host;
        Ok(match (place, queue) {
            (Some(place), queue) => Self::of_mdev(host, place, queue, messages),
            (None, Some(apqn)) => Self::of_nobody(host, apqn),
            (None, None) => unreachable!("a mediated device has a place"),
        })
    }

    /// Returns true if nothing is missing.
    pub fn is_well(&self) -> bool {
        self.is_well
    }

    /// Explains a queue that is not assigned.
    fn of_nobody(host: &Host, apqn: Apqn) -> Self {
        let mut steps = vec![in_host(host, apqn.apid)];
        let queue = host.queues.get(&apqn);
        let driver = match queue {
            None => "no, the AP bus does not show it".into(),
            Some(queue) => match &queue.driver {
                None => "no driver".into(),
                Some(driver) => driver.clone(),
            },
        };
        steps.push(step("Which driver has the queue?", driver));
        if host.vfio_ap.is_none() {
            steps.push(step("Is vfio_ap loaded?", "no".into()));
        } else {
            steps.push(step("Which mdev is it assigned to?", "none".into()));
        }
        Self {
            subject: apqn.to_string(),
            mdev: None,
            user: None,
            process: None,
            driver: json::driver(host),
            is_well: false,
            verdict: format!("{apqn} is not assigned to any mediated device, so no guest has it."),
            branches: vec![Branch {
                about: format!("queue {apqn}"),
                adapters: vec![apqn.apid.0],
                steps,
                cause: Some("not-assigned"),
                conclusion: "Nobody has given the queue to a guest.".into(),
                remedy: Some(format!(
                    "apmap plan MDEV {apqn} prints the writes that do so"
                )),
            }],
            history: Vec::new(),
            messages: Vec::new(),
            unknown: Vec::new(),
        }
    }

    /// Explains the assignments of a mediated device, or one queue of it.
    fn of_mdev(
        host: &Host,
        place: usize,
        queue: Option<Apqn>,
        messages: Option<Vec<Message>>,
    ) -> Self {
        let mdev = &host.mdevs[place];
        let name = names::mdev(place, &mdev.uuid);
        let mut branches = Vec::new();
        let adapters: Vec<Apid> = match queue {
            Some(apqn) => vec![apqn.apid],
            None => mdev.assigned.apm.iter().collect(),
        };
        if mdev.assigned.apm.is_empty() || mdev.assigned.aqm.is_empty() {
            branches.push(without_queues(mdev));
        } else {
            for apid in adapters {
                add(&mut branches, of_adapter(host, place, apid));
            }
        }
        let domains = match queue {
            Some(apqn) if host.config.aqm.contains(apqn.apqi) => Vec::new(),
            Some(apqn) => vec![apqn.apqi.0],
            None => names::ids(mdev.assigned.aqm - host.config.aqm),
        };
        if !domains.is_empty() {
            branches.push(of_domains(&domains));
        }
        let control = names::ids(mdev.assigned.adm - host.config.adm);
        if queue.is_none() && !control.is_empty() {
            branches.push(of_control_domains(&control));
        }
        let is_asked = queue.is_some();
        branches.retain(|branch| branch.cause.is_some() || is_asked);
        let is_well = branches.iter().all(|branch| branch.cause.is_none());
        Self {
            subject: queue.map_or_else(|| name.clone(), |apqn| apqn.to_string()),
            mdev: Some(mdev.uuid),
            user: Some(json::user(mdev.user)),
            process: mdev.process.as_ref().map(|process| process.pid),
            driver: json::driver(host),
            is_well,
            verdict: verdict(host, mdev, &name, queue, is_well),
            history: history(host, mdev, messages.as_deref().unwrap_or_default()),
            unknown: unknown(host, mdev, messages.is_none()),
            messages: about(mdev, &branches, messages.unwrap_or_default()),
            branches,
        }
    }
}

fn step(question: &'static str, answer: String) -> Step {
    Step { question, answer }
}

/// Adds a branch. Adapters with the same explanation become one branch.
fn add(branches: &mut Vec<Branch>, branch: Branch) {
    if let Some(last) = branches.last_mut() {
        let is_same = last.steps == branch.steps
            && last.cause == branch.cause
            && last.conclusion == branch.conclusion
            && last.remedy == branch.remedy;
        if is_same {
            last.adapters.extend(&branch.adapters);
            last.about = format!("adapters {}", names::ranges(&last.adapters));
            return;
        }
    }
    branches.push(branch);
}

fn in_host(host: &Host, apid: Apid) -> Step {
    let answer = match host.adapters.get(&apid) {
        _ if !host.config.apm.contains(apid) => "no".into(),
        Some(adapter) => format!("yes, {}", adapter.kind),
        None => "yes, but the AP bus has not found it".into(),
    };
    step("Is the adapter in the host configuration?", answer)
}

fn without_queues(mdev: &Mdev) -> Branch {
    let what = if mdev.assigned.apm.is_empty() {
        "adapter"
    } else {
        "domain"
    };
    Branch {
        about: "the assignment".into(),
        adapters: Vec::new(),
        steps: vec![step("What is assigned?", names::matrix(&mdev.assigned))],
        cause: Some("no-queue-assigned"),
        conclusion: format!("No {what} is assigned. A queue takes an adapter and a domain."),
        remedy: Some(format!(
            "assign one: assign_{what} of the mdev, or apmap plan"
        )),
    }
}

fn of_domains(domains: &[u8]) -> Branch {
    Branch {
        about: format!("domains {}", names::ranges(domains)),
        adapters: Vec::new(),
        steps: vec![step(
            "Are the domains in the host configuration?",
            "no".into(),
        )],
        cause: Some("domain-not-in-host"),
        conclusion: "This host does not have these usage domains. They come to the guest when the \
                     host gets them."
            .into(),
        remedy: Some("give them to the LPAR at the HMC, or unassign them".into()),
    }
}

fn of_control_domains(domains: &[u8]) -> Branch {
    Branch {
        about: format!("control domains {}", names::ranges(domains)),
        steps: vec![step(
            "Are the control domains in the host configuration?",
            "no".into(),
        )],
        cause: Some("control-domain-not-in-host"),
        conclusion: "This host may not control these domains. They come to the guest when the \
                     host may."
            .into(),
        ..of_domains(domains)
    }
}

/// Explains why an assigned adapter is or is not in the guest.
fn of_adapter(host: &Host, place: usize, apid: Apid) -> Branch {
    let mdev = &host.mdevs[place];
    let mut steps = vec![in_host(host, apid)];
    let mut end = |more: Vec<Step>, cause, conclusion: &str, remedy: Option<String>| {
        steps.extend(more);
        Branch {
            about: format!("adapter {:02x}", apid.0),
            adapters: vec![apid.0],
            steps: std::mem::take(&mut steps),
            cause,
            conclusion: conclusion.into(),
            remedy,
        }
    };
    let trouble = host.adapters.get(&apid).and_then(Trouble::of);
    let order = step(
        "Does it work?",
        match trouble {
            Some(trouble) => format!("no: {}", trouble.text()),
            None => "yes, as far as the AP bus knows".into(),
        },
    );
    let with_driver = |answer: String| step("Does vfio_ap have all its assigned queues?", answer);
    let reset = |answer: &str| step("Are they reset?", answer.into());
    let in_guest = |answer: &str| step("Does the guest have them?", answer.into());
    if mdev.guest.apm.contains(apid) {
        let guest = match mdev.user {
            Some(User::Guest | User::Leaving) => in_guest("yes"),
            Some(User::Nobody) => in_guest("it would: no guest uses the mdev now"),
            None => in_guest("yes, if one uses the mdev"),
        };
        let more = vec![order, with_driver("yes".into()), guest];
        return match trouble {
            None => end(
                more,
                None,
                "Nothing is missing on the host. If the guest does not see the adapter, look \
                 there: lszcrypt -V, chzcrypt -e.",
                None,
            ),
            Some(Trouble::Deconfigured) => end(
                more,
                Some("deconfigured"),
                "The adapter was deconfigured. The guest keeps it and sees that; requests to it \
                 fail until it is configured again.",
                Some(format!(
                    "chzcrypt --config-on {:#04x}, or configure it at the HMC",
                    apid.0
                )),
            ),
            Some(Trouble::CheckStop) => end(
                more,
                Some("check-stop"),
                "The adapter has failed: it is in check stop. The guest keeps it and sees that; \
                 requests to it fail.",
                Some("deconfigure and configure it at the HMC; if that does not help, have it replaced".into()),
            ),
        };
    }
    match explain::cause(host, mdev, apid) {
        Cause::NotInHost => end(
            Vec::new(),
            Some("adapter-not-in-host"),
            "This host does not have the adapter. It comes to the guest when the host gets it.",
            Some("give it to the LPAR at the HMC, or unassign it".into()),
        ),
        Cause::Missing(queues) => {
            let missing = |is: fn(&Reason) -> bool| -> Vec<(Apqn, Reason)> {
                let mut queues = queues.clone();
                queues.retain(|(_, reason)| is(reason));
                queues
            };
            let elsewhere =
                missing(|reason| !matches!(reason, Reason::NotReset | Reason::ResetFailed));
            let text = draw::by_reason(&queues);
            if let Some((first, reason)) = elsewhere.first() {
                let (cause, remedy) = match reason {
                    Reason::NoDevice => (
                        "no-device",
                        "echo 1 >/sys/bus/ap/scans; if it is still missing, see dmesg".into(),
                    ),
                    _ => (
                        "not-bound",
                        format!(
                            "apmap plan {} {first} prints the writes that bring it back",
                            names::letter(place)
                        ),
                    ),
                };
                let more = vec![order, with_driver(format!("no: {text}"))];
                return end(
                    more,
                    Some(cause),
                    "A guest has an adapter with all its assigned domains or not at all, so that \
                     one missing queue takes the whole adapter away.",
                    Some(remedy),
                );
            }
            let bound = with_driver("yes".into());
            let more = vec![order, bound, reset(&format!("no: {text}"))];
            if queues
                .iter()
                .any(|(_, reason)| *reason == Reason::ResetFailed)
            {
                end(
                    more,
                    Some("reset-failed"),
                    "What could not be reset may hold something of its last user, and is not \
                     passed on. The driver tries again every five seconds.",
                    Some(
                        "see the messages below; if it goes on, look at the adapter at the HMC"
                            .into(),
                    ),
                )
            } else {
                end(
                    more,
                    Some("being-reset"),
                    "The queue was taken from a guest or bound a moment ago. It comes to the guest \
                     when its reset has ended.",
                    Some("wait, and ask again".into()),
                )
            }
        }
        Cause::Leaving => end(
            vec![
                order,
                with_driver("yes".into()),
                in_guest("no: the mdev is being removed"),
            ],
            Some("asked-to-leave"),
            "Somebody is removing the mdev. Its guest has nothing any more, and its user has been \
             asked to close the device.",
            Some("detach the device from the guest; a new mdev can take its place".into()),
        ),
        Cause::Withheld => end(
            vec![
                order,
                with_driver("yes".into()),
                reset("not known"),
                in_guest("no"),
            ],
            Some("withheld"),
            "The driver withholds the adapter: a reset goes on or has failed, or the mdev is being \
             removed.",
            Some(if host.is_c() {
                "the C driver does not tell which: see dmesg, and its debug feature in \
                 /sys/kernel/debug/s390dbf/vfio_ap"
                    .into()
            } else {
                "ask again as root, who may read the report of the driver in debugfs".into()
            }),
        ),
    }
}

/// Returns the result in one sentence.
fn verdict(host: &Host, mdev: &Mdev, name: &str, queue: Option<Apqn>, is_well: bool) -> String {
    let user = match (mdev.user, &mdev.process) {
        (Some(User::Nobody), _) => "no guest uses it now".into(),
        (Some(User::Leaving), _) => "its guest has been asked to give it back".into(),
        (Some(User::Guest), Some(process)) => {
            format!(
                "a guest uses it (process {}, {})",
                process.pid, process.name
            )
        }
        (Some(User::Guest), None) => "a guest uses it".into(),
        (None, _) => "only root may see whether a guest uses it".into(),
    };
    let what = match queue {
        Some(apqn) => {
            let has = mdev.guest.has_queue(apqn);
            let state = match (has, is_well) {
                (true, true) => "is passed on",
                (true, false) => "is passed on, and does not work",
                (false, _) => "is not passed on",
            };
            format!("{apqn} is assigned to mdev {name}, and {state}")
        }
        None => {
            let absent = mdev.assigned.minus(&mdev.guest);
            let broken: Vec<u8> = explain::broken(host, mdev)
                .iter()
                .map(|(apid, _)| apid.0)
                .collect();
            let mut parts = Vec::new();
            if !absent.apm.is_empty() {
                parts.push(format!("adapters {} are missing", names::set(absent.apm)));
            }
            if !absent.aqm.is_empty() {
                parts.push(format!("domains {} are missing", names::set(absent.aqm)));
            }
            if !absent.adm.is_empty() {
                parts.push(format!(
                    "control domains {} are missing",
                    names::set(absent.adm)
                ));
            }
            if !broken.is_empty() {
                parts.push(format!("adapters {} do not work", names::ranges(&broken)));
            }
            if parts.is_empty() && is_well {
                parts.push("nothing is missing of what is assigned".into());
            } else if parts.is_empty() {
                parts.push("there are no queues".into());
            }
            format!("Mdev {name}: {}", parts.join(", "))
        }
    };
    format!("{what}; {user}.")
}

/// Returns the last changes of the guest with descriptions. The driver has the last of them, and kernel
/// messages have older ones.
fn history(host: &Host, mdev: &Mdev, messages: &[Message]) -> Vec<Change> {
    const SHOWN: usize = 40;

    let reported = mdev
        .report
        .as_ref()
        .map_or(&[][..], |report| &report.events);
    let oldest = reported.first().and_then(|event| event.time);
    // The driver has the event, too. Times of kernel messages can differ by some seconds.
    let is_reported = |event: &Event| {
        reported.iter().any(|other| {
            (other.matrix, &other.cause, &other.about) == (event.matrix, &event.cause, &event.about)
                && is_near(other.time, event.time)
        })
    };
    let of_messages = messages
        .iter()
        .filter_map(|message| report::parse_message(message.about_guest(&mdev.uuid)?, message.time))
        .filter(|event| oldest.is_none() || event.time <= oldest || is_near(event.time, oldest))
        .filter(|event| !is_reported(event));
    let mut events: Vec<Event> = of_messages.chain(reported.iter().cloned()).collect();
    events.drain(..events.len().saturating_sub(SHOWN));
    let mut before: Option<Matrix> = None;
    let mut changes = Vec::new();
    for event in &events {
        let after = event.matrix.or(before);
        // The end of the last guest is not recorded.
        if event.cause.as_deref() == Some("open") {
            before = None;
        }
        let text = match (before, after) {
            (Some(before), Some(after)) if before == after => None,
            (None, Some(after)) => Some(format!("has {}", names::matrix(&after))),
            (Some(before), Some(after)) => Some(difference(&before, &after)),
            (_, None) => None,
        };
        before = after;
        changes.push(Change {
            time: event
                .time
                .or_else(|| Some(host.clock?.now - i64::try_from(event.ago? / 1000).ok()?)),
            cause: event.cause.clone(),
            about: event.about.clone(),
            guest: after.as_ref().map(Sets::from),
            text: match (text, cause_in_words(event)) {
                (Some(text), Some(cause)) => format!("{text}: {cause}"),
                (text, cause) => text
                    .or(cause)
                    .unwrap_or_else(|| "has kept all queues".into()),
            },
        });
    }
    changes
}

/// Returns true if two times are the same for clocks that differ by some seconds.
fn is_near(one: Option<i64>, other: Option<i64>) -> bool {
    const SECONDS: u64 = 3;

    one.zip(other)
        .is_some_and(|(one, other)| one.abs_diff(other) <= SECONDS)
}

fn difference(before: &Matrix, after: &Matrix) -> String {
    let (lost, got) = (before.minus(after), after.minus(before));
    let mut parts = Vec::new();
    for (verb, matrix) in [("lost", lost), ("got", got)] {
        let sets = [
            ("adapters", names::set(matrix.apm)),
            ("domains", names::set(matrix.aqm)),
            ("control domains", names::set(matrix.adm)),
        ];
        for (what, set) in sets.iter().filter(|(_, set)| set != "none") {
            parts.push(format!("{verb} {what} {set}"));
        }
    }
    parts.join(", ")
}

/// Returns the text for a cause in the driver's report.
fn cause_in_words(event: &Event) -> Option<String> {
    let cause = event.cause.as_deref()?;
    let about = event.about.as_deref().unwrap_or("?");
    Some(match cause {
        "open" => "the guest was started".into(),
        "close" => "the guest ended".into(),
        "request" => "the mdev is being removed".into(),
        "assignment" => "what is assigned was changed".into(),
        "scan" => "the host configuration has changed".into(),
        "bind" => format!("queue {about} was bound"),
        "unbind" => format!("queue {about} was unbound"),
        "gone" => format!("queue {about} has gone from the bus"),
        "reset" => format!("queue {about} was reset"),
        "reset-failed" => format!("queue {about} could not be reset"),
        "deconfigured" => format!("adapter {about} was deconfigured"),
        "check-stop" => format!("adapter {about} went into check stop"),
        "reset-overdue" => format!("the reset of queue {about} takes too long"),
        "in-order" => format!("adapter {about} works again"),
        other => other.into(),
    })
}

/// Returns the kernel's messages about a mediated device and the causes.
fn about(mdev: &Mdev, branches: &[Branch], messages: Vec<Message>) -> Vec<Said> {
    const SHOWN: usize = 8;

    let uuid = mdev.uuid.to_string();
    let is_about = |text: &str| {
        text.contains(&uuid)
            || branches
                .iter()
                .flat_map(|branch| &branch.adapters)
                .any(|apid| {
                    mdev.assigned.aqm.iter().any(|apqi| {
                        text.contains(&format!("queue {}", Apqn::new(Apid(*apid), apqi)))
                    })
                })
    };
    let mut said: Vec<Said> = messages
        .into_iter()
        // The history has the messages about the guest.
        .filter(|message| is_about(&message.text) && message.about_guest(&mdev.uuid).is_none())
        .map(|Message { time, text }| Said { time, text })
        .collect();
    said.drain(..said.len().saturating_sub(SHOWN));
    said
}

/// Returns the facts that could not be found.
fn unknown(host: &Host, mdev: &Mdev, are_messages_unknown: bool) -> Vec<String> {
    let mut unknown = Vec::new();
    if host.is_c() {
        unknown.push(
            "what was committed to the guest, when and why, and whether resets have failed: the C \
             driver does not tell"
                .into(),
        );
    } else if mdev.report.is_none() {
        let changes = if are_messages_unknown {
            "all changes of the guest"
        } else {
            "those changes of the guest that its user has made"
        };
        unknown.push(format!(
            "the states of resets, and {changes}: only root may read them in debugfs, and debugfs \
             has to be mounted"
        ));
    } else if mdev
        .report
        .iter()
        .flat_map(|report| &report.events)
        .any(|event| event.cause.is_none())
    {
        unknown.push("why the guest has changed: this version of the driver does not tell".into());
    }
    if mdev.user.is_none() {
        unknown.push("whether a guest uses the mdev: only root may see who has it open".into());
    }
    if are_messages_unknown {
        unknown.push(
            "what the kernel has said: only root, and the group of the journal, may read that"
                .into(),
        );
    }
    unknown
}

impl Why {
    /// Returns the text for people.
    pub fn text(&self, width: usize) -> String {
        const INDENT: usize = 3;

        let mut out = String::new();
        let _ = writeln!(out, "{}", wrap(&self.verdict, width, 0));
        for branch in &self.branches {
            let _ = writeln!(out, "\n{}", branch.about);
            for Step { question, answer } in &branch.steps {
                let _ = writeln!(out, "   {question}");
                let _ = writeln!(out, "      {}", wrap(answer, width, 2 * INDENT));
            }
            let _ = writeln!(
                out,
                "   So: {}",
                wrap(&branch.conclusion, width, 2 * INDENT)
            );
            if let Some(remedy) = &branch.remedy {
                let _ = writeln!(out, "   To do: {}", wrap(remedy, width, 2 * INDENT));
            }
        }
        let mut list = |title: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                let _ = writeln!(out, "\n{title}");
                for line in lines {
                    let _ = writeln!(out, "   {}", wrap(&line, width, 2 * INDENT));
                }
            }
        };
        let line = |time: Option<i64>, text: &str| match time {
            Some(time) => format!("{} {text}", clock_time(time)),
            None => text.to_owned(),
        };
        list(
            "What has happened to the guest",
            self.history
                .iter()
                .map(|change| line(change.time, &change.text))
                .collect(),
        );
        list(
            "What the kernel has said",
            self.messages
                .iter()
                .map(|said| line(Some(said.time), &said.text))
                .collect(),
        );
        list("Not known", self.unknown.clone());
        out
    }
}

/// Returns a time in the local time zone.
fn clock_time(time: i64) -> String {
    match Timestamp::from_second(time) {
        Ok(time) => {
            let time = time.to_zoned(TimeZone::system());
            time.strftime("%Y-%m-%d %H:%M:%S").to_string()
        }
        Err(_) => time.to_string(),
    }
}
