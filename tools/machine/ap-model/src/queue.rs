// SPDX-License-Identifier: GPL-2.0
//! The state machine of an AP queue: messages, reset, interruptions, forced responses.
//!
//! The unit of time is a poll. Each AP instruction on the queue is one poll. A reset, a change of
//! interruptions or a reply with a duration of N polls is in progress for the next N instructions,
//! and finished for the one after them. A test controls all durations, and no duration depends on a
//! clock.
//!
//! A queue does not know its number, its adapter or the host configuration.

use crate::adapter::State;
use crate::function::Function;
use crate::interruption::Interruption;
use crate::message::{Reply, Taken};
use crate::status::{ResponseCode, Status};
use std::collections::VecDeque;
use std::fmt;

/// A duration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Polls {
    /// The operation is in progress for this number of polls.
    Count(u32),
    /// The operation never ends by itself.
    Forever,
}

impl fmt::Display for Polls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(n) => write!(f, "{n}"),
            Self::Forever => f.write_str("forever"),
        }
    }
}

/// A forced response, in the place of the function.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The response code.
    pub rc: ResponseCode,
    /// Sets the status bit for an asynchronous failure of an earlier function.
    pub asynchronous: bool,
    /// The number of remaining executions with this response, or `None` for all executions.
    pub times: Option<u32>,
}

impl fmt::Display for Fault {
    /// Writes the response in the control language.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rc={}", self.rc)?;
        if let Some(times) = self.times {
            write!(f, " times={times}")?;
        }
        if self.asynchronous {
            write!(f, " async")?;
        }
        Ok(())
    }
}

/// The settings of a queue by a test. They outlast resets, changes of the adapter's type and
/// changes of the host configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The state of the queue. The state of the adapter has priority.
    pub state: State,
    /// The duration of a reset.
    pub reset_polls: Polls,
    /// The duration of enabling or disabling interruptions.
    pub irq_polls: Polls,
    /// The duration of the adapter's work on a message.
    pub reply_polls: Polls,
    /// The forced responses, indexed by [`Function::index`].
    pub faults: [Option<Fault>; Function::ALL.len()],
}

impl Default for Settings {
    /// Returns settings without forced responses. Operations that are asynchronous on hardware are
    /// in progress for one poll, but a reply is available immediately.
    fn default() -> Self {
        Self {
            state: State::Online,
            reset_polls: Polls::Count(1),
            irq_polls: Polls::Count(1),
            reply_polls: Polls::Count(0),
            faults: [None; Function::ALL.len()],
        }
    }
}

/// A change of the interruption state in progress.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Change {
    left: Polls,
    to: Option<Interruption>,
}

/// A queue of an adapter.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Queue {
    /// The settings of a test.
    pub settings: Settings,
    reset: Option<Polls>,
    interruption: Option<Interruption>,
    change: Option<Change>,
    /// The replies to the messages in the queue, the oldest first.
    messages: VecDeque<Reply>,
    /// The number of replies that can be received.
    ready: usize,
    /// The remaining time of the adapter's work on the first other message.
    work: Option<Polls>,
    /// A requested interruption.
    request: Option<Interruption>,
}

/// Counts one poll. Returns the remaining polls if the operation is in progress for this
/// instruction, and `None` if it has ended.
fn poll(left: Polls) -> Option<Polls> {
    match left {
        Polls::Count(0) => None,
        Polls::Count(n) => Some(Polls::Count(n - 1)),
        Polls::Forever => Some(Polls::Forever),
    }
}

impl Queue {
    /// Counts one poll before the execution of an AP instruction. Returns true if a reset is in
    /// progress for the instruction.
    pub fn begin(&mut self) -> bool {
        if let Some(left) = self.reset {
            self.reset = poll(left);
            if self.reset.is_none() {
                self.clear();
            }
        } else if let Some(change) = &mut self.change {
            match poll(change.left) {
                Some(left) => change.left = left,
                None => {
                    self.interruption = change.to;
                    self.change = None;
                }
            }
        }
        if self.reset.is_none()
            && let Some(left) = self.work
        {
            self.work = poll(left);
            if self.work.is_none() {
                self.reply();
            }
        }
        self.reset.is_some()
    }

    /// Makes the reply to the oldest unanswered message available, and begins the next one.
    fn reply(&mut self) {
        self.ready += 1;
        self.request = self.interruption;
        self.work();
    }

    /// Begins the work on the oldest unanswered message, if there is one.
    fn work(&mut self) {
        self.work = None;
        if self.ready == self.messages.len() {
            return;
        }
        match self.settings.reply_polls {
            Polls::Count(0) => self.reply(),
            polls => self.work = Some(polls),
        }
    }

    /// Returns the forced response of `function`, if there is one, and counts its use.
    pub fn take_fault(&mut self, function: Function) -> Option<Fault> {
        let slot = &mut self.settings.faults[function.index()];
        let fault = (*slot)?;
        *slot = match fault.times {
            Some(0 | 1) => None,
            times => Some(Fault {
                times: times.map(|n| n - 1),
                ..fault
            }),
        };
        Some(fault)
    }

    /// Returns the status with response code `rc` of the queue with depth `depth`.
    #[must_use]
    pub fn status(&self, depth: u8, rc: ResponseCode) -> Status {
        Status {
            queue_empty: self.messages.is_empty(),
            replies_waiting: self.ready != 0,
            queue_full: self.messages.len() >= usize::from(depth),
            asynchronous: false,
            irq_enabled: self.interruption.is_some(),
            rc,
        }
    }

    /// Begins a reset (RAPQ and ZAPQ). The end of the reset removes messages and interruptions.
    pub fn reset(&mut self) {
        match self.settings.reset_polls {
            Polls::Count(0) => self.clear(),
            left => self.reset = Some(left),
        }
    }

    /// Sets the duration of resets, and the remaining time of a reset in progress.
    pub fn set_reset_polls(&mut self, polls: Polls) {
        self.settings.reset_polls = polls;
        if self.reset.is_some() {
            self.reset();
        }
    }

    /// Sets the duration of changes of the interruption state, and the remaining time of a change
    /// in progress.
    pub fn set_irq_polls(&mut self, polls: Polls) {
        self.settings.irq_polls = polls;
        if let Some(change) = self.change {
            self.change_interruption(change.to);
        }
    }

    /// Begins to enable interruptions for the receiver `to`, or to disable them (AQIC).
    pub fn control_interruption(&mut self, to: Option<Interruption>) -> ResponseCode {
        if self.change.is_some() {
            ResponseCode::BUSY
        } else if to.is_some() == self.interruption.is_some() {
            ResponseCode::OTHERWISE_CHANGED
        } else {
            self.change_interruption(to);
            ResponseCode::NORMAL
        }
    }

    fn change_interruption(&mut self, to: Option<Interruption>) {
        match self.settings.irq_polls {
            Polls::Count(0) => {
                self.interruption = to;
                self.change = None;
            }
            left => self.change = Some(Change { left, to }),
        }
    }

    /// Sets the duration of replies, and the remaining time of a reply in progress.
    pub fn set_reply_polls(&mut self, polls: Polls) {
        self.settings.reply_polls = polls;
        self.work();
    }

    /// Adds the message with this reply to the queue if it has room (NQAP).
    pub fn put(&mut self, reply: Reply, depth: u8) -> ResponseCode {
        if self.messages.len() >= usize::from(depth) {
            return ResponseCode::QUEUE_FULL;
        }
        self.messages.push_back(reply);
        if self.work.is_none() {
            self.work();
        }
        ResponseCode::NORMAL
    }

    /// Returns the receiver of an interruption if a reply has become available since the last call.
    pub fn take_request(&mut self) -> Option<Interruption> {
        self.request.take()
    }

    /// Removes and returns at most `space` bytes of the oldest reply (DQAP). A reply stays in the
    /// queue until all its bytes have been received.
    pub fn take(&mut self, space: u64) -> Option<Taken> {
        if self.ready == 0 {
            return None;
        }
        let taken = self.messages.front_mut()?.take(space);
        if taken.residual == 0 {
            self.messages.pop_front();
            self.ready -= 1;
        }
        Some(taken)
    }

    /// Sets the state after a finished reset: no messages, no interruptions, no operation in
    /// progress.
    pub fn clear(&mut self) {
        let settings = std::mem::take(&mut self.settings);
        *self = Self {
            settings,
            ..Self::default()
        };
    }

    /// Returns a text about the operations in progress, or `None` if there are none.
    #[must_use]
    pub fn activity(&self) -> Option<String> {
        let mut parts = Vec::new();
        if let Some(left) = self.reset {
            parts.push(format!("reset under way, polls left: {left}"));
        }
        if let Some(interruption) = self.interruption {
            parts.push(format!("interruptions enabled: {interruption}"));
        }
        if let Some(change) = self.change {
            let what = if change.to.is_some() {
                "being enabled"
            } else {
                "being disabled"
            };
            parts.push(format!("interruptions {what}, polls left: {}", change.left));
        }
        if self.ready != 0 {
            parts.push(format!("replies waiting: {}", self.ready));
        }
        if let Some(left) = self.work {
            let count = self.messages.len() - self.ready;
            parts.push(format!(
                "messages: {count}, polls left for the first: {left}"
            ));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Mode;
    use crate::ids::Apqn;

    const IRQ: Interruption = Interruption {
        nib: 0x1000,
        isc: 3,
        gisa: None,
    };

    fn reply(psmid: u64) -> Reply {
        Reply::to(Mode::Cca, Apqn::new(0, 0), psmid, &[])
    }

    fn busy_queue() -> Queue {
        let mut queue = Queue::default();
        queue.set_irq_polls(Polls::Count(0));
        assert_eq!(queue.control_interruption(Some(IRQ)), ResponseCode::NORMAL);
        assert_eq!(queue.put(reply(7), 8), ResponseCode::NORMAL);
        queue
    }

    fn flags(queue: &Queue) -> (bool, bool) {
        let status = queue.status(8, ResponseCode::NORMAL);
        (status.queue_empty, status.irq_enabled)
    }

    #[test]
    fn a_reset_takes_effect_after_its_polls_and_not_before() {
        let mut queue = busy_queue();
        queue.set_reset_polls(Polls::Count(3));
        queue.reset();
        for _ in 0..3 {
            assert!(queue.begin());
            assert_eq!(flags(&queue), (false, true));
        }
        assert!(!queue.begin());
        assert_eq!(flags(&queue), (true, false));
    }

    #[test]
    fn a_reset_of_no_polls_is_done_at_once() {
        let mut queue = busy_queue();
        queue.set_reset_polls(Polls::Count(0));
        queue.reset();
        assert_eq!(flags(&queue), (true, false));
        assert!(!queue.begin());
    }

    #[test]
    fn a_reset_without_end_ends_when_it_is_given_one() {
        let mut queue = busy_queue();
        queue.set_reset_polls(Polls::Forever);
        queue.reset();
        for _ in 0..1000 {
            assert!(queue.begin());
        }
        queue.set_reset_polls(Polls::Count(1));
        assert!(queue.begin());
        assert!(!queue.begin());
    }

    #[test]
    fn interruptions_are_enabled_and_disabled_after_a_poll() {
        let mut queue = Queue::default();
        assert_eq!(
            queue.control_interruption(None),
            ResponseCode::OTHERWISE_CHANGED
        );
        assert_eq!(queue.control_interruption(Some(IRQ)), ResponseCode::NORMAL);
        assert_eq!(queue.control_interruption(Some(IRQ)), ResponseCode::BUSY);
        queue.begin();
        assert!(!flags(&queue).1);
        queue.begin();
        assert!(flags(&queue).1);
        assert_eq!(
            queue.control_interruption(Some(IRQ)),
            ResponseCode::OTHERWISE_CHANGED
        );
        assert_eq!(queue.control_interruption(None), ResponseCode::NORMAL);
        queue.begin();
        assert!(flags(&queue).1);
        queue.begin();
        assert!(!flags(&queue).1);
    }

    #[test]
    fn a_change_without_end_ends_when_it_is_given_one() {
        let mut queue = Queue::default();
        queue.set_irq_polls(Polls::Forever);
        queue.control_interruption(Some(IRQ));
        queue.begin();
        assert!(!flags(&queue).1);
        queue.set_irq_polls(Polls::Count(0));
        assert!(flags(&queue).1);
    }

    #[test]
    fn a_fault_strikes_as_often_as_it_says() {
        let mut queue = Queue::default();
        let fault = |times| Fault {
            rc: ResponseCode::BUSY,
            asynchronous: false,
            times,
        };
        queue.settings.faults[Function::Zapq.index()] = Some(fault(Some(2)));
        assert!(queue.take_fault(Function::Rapq).is_none());
        assert!(queue.take_fault(Function::Zapq).is_some());
        assert!(queue.take_fault(Function::Zapq).is_some());
        assert!(queue.take_fault(Function::Zapq).is_none());
        queue.settings.faults[Function::Zapq.index()] = Some(fault(None));
        for _ in 0..100 {
            assert!(queue.take_fault(Function::Zapq).is_some());
        }
    }

    #[test]
    fn a_queue_takes_no_more_than_its_depth() {
        let mut queue = Queue::default();
        for psmid in 0..2 {
            assert_eq!(queue.put(reply(psmid), 2), ResponseCode::NORMAL);
        }
        assert!(queue.status(2, ResponseCode::NORMAL).queue_full);
        assert_eq!(queue.put(reply(2), 2), ResponseCode::QUEUE_FULL);
        assert_eq!(queue.take(8).unwrap().psmid, 0);
        assert_eq!(queue.put(reply(3), 2), ResponseCode::NORMAL);
    }

    #[test]
    fn a_reply_takes_its_time_and_then_interrupts() {
        let mut queue = Queue::default();
        queue.set_irq_polls(Polls::Count(0));
        queue.set_reply_polls(Polls::Count(1));
        queue.control_interruption(Some(IRQ));
        for psmid in [7, 8] {
            queue.put(reply(psmid), 8);
        }
        let status = queue.status(8, ResponseCode::NORMAL);
        assert!(!status.queue_empty && !status.replies_waiting);
        assert_eq!((queue.take(8), queue.take_request()), (None, None));
        queue.begin();
        assert_eq!(queue.take(8), None);
        queue.begin();
        assert_eq!(queue.take_request(), Some(IRQ));
        assert_eq!(queue.take_request(), None, "once");
        assert_eq!(queue.take(8).unwrap().psmid, 7);
        assert_eq!(queue.take(8), None, "the next reply takes the same time");
        queue.begin();
        queue.begin();
        assert_eq!(queue.take(8).unwrap().psmid, 8);
    }

    #[test]
    fn replies_that_never_come_come_when_that_is_changed() {
        let mut queue = Queue::default();
        queue.set_reply_polls(Polls::Forever);
        queue.put(reply(7), 8);
        queue.put(reply(8), 8);
        queue.begin();
        assert_eq!(queue.take(8), None);
        queue.set_reply_polls(Polls::Count(0));
        assert_eq!(queue.take(8).unwrap().psmid, 7);
        assert_eq!(queue.take(8).unwrap().psmid, 8);
        assert!(queue.status(8, ResponseCode::NORMAL).queue_empty);
    }

    #[test]
    fn a_reset_takes_messages_without_reply_too() {
        let mut queue = Queue::default();
        queue.set_reply_polls(Polls::Forever);
        queue.put(reply(7), 8);
        queue.set_reset_polls(Polls::Count(0));
        queue.reset();
        queue.set_reply_polls(Polls::Count(0));
        queue.begin();
        assert_eq!(queue.take(8), None);
        assert!(queue.status(8, ResponseCode::NORMAL).queue_empty);
    }
}
