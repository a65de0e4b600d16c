// SPDX-License-Identifier: GPL-2.0
//! Messages and replies: selects the mode that replies to a message, and receives a reply.

use crate::adapter::Mode;
use crate::ids::Apqn;
use crate::{accelerator, cca, ep11};

/// The length of the longest message that an adapter accepts, in bytes (Linux, ap_bus.h,
/// `AP_DEFAULT_MAX_MSG_SIZE`).
pub const MAX_MESSAGE: usize = 12 * 1024;

/// A reply that has not been received.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    psmid: u64,
    data: Vec<u8>,
    given: usize,
}

/// The part of a reply that DQAP has received.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Taken {
    /// The program-supplied message identifier (PSMID) of the message.
    pub psmid: u64,
    /// The bytes for the buffer.
    pub data: Vec<u8>,
    /// The number of bytes of the reply that are not received yet.
    pub residual: usize,
}

impl Reply {
    /// Returns the reply to a message from a queue of an adapter in this mode.
    #[must_use]
    pub fn to(mode: Mode, queue: Apqn, psmid: u64, message: &[u8]) -> Self {
        let data = match mode {
            Mode::Accelerator => accelerator::reply(message),
            Mode::Cca => cca::reply(queue, message),
            Mode::Ep11 => ep11::reply(queue, message),
        };
        Self {
            psmid,
            data,
            given: 0,
        }
    }

    /// Removes and returns the next bytes of the reply, at most `space` of them.
    pub fn take(&mut self, space: u64) -> Taken {
        let rest = &self.data[self.given..];
        let count = usize::try_from(space).map_or(rest.len(), |space| space.min(rest.len()));
        let taken = Taken {
            psmid: self.psmid,
            data: rest[..count].to_vec(),
            residual: rest.len() - count,
        };
        self.given += count;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_can_be_taken_in_parts() {
        let mut reply = Reply::to(Mode::Cca, Apqn::new(0, 0), 0x1122, &[]);
        let first = reply.take(3);
        assert_eq!(
            (first.data.as_slice(), first.residual),
            (&[0, 0x88, 0][..], 5)
        );
        let second = reply.take(u64::MAX);
        assert_eq!(
            (second.data.as_slice(), second.residual),
            (&[0, 0x23, 0, 0, 0][..], 0)
        );
        assert_eq!(second.psmid, 0x1122);
    }
}
