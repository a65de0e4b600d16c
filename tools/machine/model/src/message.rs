// SPDX-License-Identifier: GPL-2.0
//! Messages and replies.
//!
//! The adapters of this machine compute nothing: each message that a queue accepts
//! is answered at once with an error reply, which the device drivers know how to
//! handle. This is the place where real processing would come in.

/// The longest message that an adapter takes, in bytes (Linux, ap_bus.h,
/// `AP_DEFAULT_MAX_MSG_SIZE`).
pub const MAX_MESSAGE: u64 = 12 * 1024;

/// A reply that waits to be received.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    psmid: u64,
    data: Vec<u8>,
    given: usize,
}

/// What DQAP got of a reply.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Taken {
    /// The program-supplied message identifier of the message that was answered.
    pub psmid: u64,
    /// The bytes for the buffer.
    pub data: Vec<u8>,
    /// How many bytes of the reply are still to be received.
    pub residual: usize,
}

impl Reply {
    /// The answer to message `psmid`: a type-88 error, message malformed (Linux,
    /// zcrypt_error.h, `struct error_hdr`). Linux gives up such a request, where it
    /// would try others again.
    #[must_use]
    pub fn error(psmid: u64) -> Self {
        const TYPE_88: u8 = 0x88;
        const MALFORMED: u8 = 0x22;
        Self {
            psmid,
            data: vec![0, TYPE_88, 0, 0, MALFORMED, 0, 0, 0],
            given: 0,
        }
    }

    /// The next bytes of the reply, at most `space` of them.
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
        let mut reply = Reply::error(0x1122);
        let first = reply.take(3);
        assert_eq!(
            (first.data.as_slice(), first.residual),
            (&[0, 0x88, 0][..], 5)
        );
        let second = reply.take(u64::MAX);
        assert_eq!(
            (second.data.as_slice(), second.residual),
            (&[0, 0x22, 0, 0, 0][..], 0)
        );
        assert_eq!(second.psmid, 0x1122);
    }
}
