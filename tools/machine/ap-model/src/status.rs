// SPDX-License-Identifier: GPL-2.0
//! The results of AP instructions: response code, status word, condition code, or a program
//! interruption.
//!
//! Source: `struct ap_queue_status` in Linux, arch/s390/include/asm/ap.h, and
//! `AP_RESPONSE_*` in drivers/s390/crypto/ap_bus.h.

use std::fmt;

/// The response code of an AP instruction, bits 8-15 of the status word.
///
/// A test can force any value. The constants are the values that the model returns by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ResponseCode(pub u8);

impl ResponseCode {
    /// The function was performed.
    pub const NORMAL: Self = Self(0x00);
    /// The queue is not in the configuration.
    pub const NOT_AVAILABLE: Self = Self(0x01);
    /// A reset is in progress.
    pub const RESET_IN_PROGRESS: Self = Self(0x02);
    /// The adapter is in the configuration but deconfigured.
    pub const DECONFIGURED: Self = Self(0x03);
    /// The adapter is in the check-stop state.
    pub const CHECKSTOPPED: Self = Self(0x04);
    /// An earlier request on the queue has not finished.
    pub const BUSY: Self = Self(0x05);
    /// The notification-indicator byte is not accessible.
    pub const INVALID_ADDRESS: Self = Self(0x06);
    /// The interruptions are already in the requested state.
    pub const OTHERWISE_CHANGED: Self = Self(0x07);
    /// The format of the guest interruption state area is unknown.
    pub const INVALID_GISA: Self = Self(0x08);
    /// NQAP: the queue is full.
    pub const QUEUE_FULL: Self = Self(0x10);
    /// DQAP: the queue has no reply.
    pub const NO_PENDING_REPLY: Self = Self(0x10);
    /// NQAP: the message is longer than the adapter accepts.
    pub const MESSAGE_TOO_BIG: Self = Self(0x15);
    /// The request needs a facility that is not installed.
    pub const FACILITY_NOT_INSTALLED: Self = Self(0x16);
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

/// The AP-queue status word, which an instruction returns in general register 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Status {
    /// The queue contains no message.
    pub queue_empty: bool,
    /// At least one reply can be received.
    pub replies_waiting: bool,
    /// The queue accepts no more messages.
    pub queue_full: bool,
    /// The response code belongs to an earlier, asynchronous function.
    pub asynchronous: bool,
    /// Adapter interruptions are enabled for the queue.
    pub irq_enabled: bool,
    /// The response code.
    pub rc: ResponseCode,
}

impl Status {
    /// Returns a status with only a response code, for a queue that does not exist.
    #[must_use]
    pub const fn bare(rc: ResponseCode) -> Self {
        Self {
            queue_empty: false,
            replies_waiting: false,
            queue_full: false,
            asynchronous: false,
            irq_enabled: false,
            rc,
        }
    }

    /// Returns the status as a word. Bit 0 is the leftmost bit.
    #[must_use]
    pub fn to_word(self) -> u32 {
        let bit = |set: bool, number: u32| u32::from(set) << (31 - number);
        bit(self.queue_empty, 0)
            | bit(self.replies_waiting, 1)
            | bit(self.queue_full, 2)
            | bit(self.asynchronous, 6)
            | bit(self.irq_enabled, 7)
            | u32::from(self.rc.0) << 16
    }

    /// Returns the condition code for the status, which is 3 unless the function was performed.
    #[must_use]
    pub fn cc(self) -> u8 {
        if self.rc == ResponseCode::NORMAL {
            0
        } else {
            3
        }
    }
}

/// The program interruption that ends an instruction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProgramInterruption {
    /// The machine has no AP instructions.
    Operation,
    /// The program is in the problem state.
    PrivilegedOperation,
    /// An operand is outside the storage.
    Addressing,
    /// The registers contain a value that the instruction does not define.
    Specification,
}

impl ProgramInterruption {
    /// Returns the program-interruption code (Principles of Operation, chapter 6).
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Operation => 0x01,
            Self::PrivilegedOperation => 0x02,
            Self::Addressing => 0x05,
            Self::Specification => 0x06,
        }
    }
}

impl fmt::Display for ProgramInterruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operation => "operation exception",
            Self::PrivilegedOperation => "privileged-operation exception",
            Self::Addressing => "addressing exception",
            Self::Specification => "specification exception",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_has_its_place() {
        let bare = Status::bare(ResponseCode(0xa5));
        assert_eq!(bare.to_word(), 0x00a5_0000);
        let word = |f: fn(&mut Status)| {
            let mut status = Status::bare(ResponseCode::NORMAL);
            f(&mut status);
            status.to_word()
        };
        assert_eq!(word(|s| s.queue_empty = true), 0x8000_0000);
        assert_eq!(word(|s| s.replies_waiting = true), 0x4000_0000);
        assert_eq!(word(|s| s.queue_full = true), 0x2000_0000);
        assert_eq!(word(|s| s.asynchronous = true), 0x0200_0000);
        assert_eq!(word(|s| s.irq_enabled = true), 0x0100_0000);
    }

    #[test]
    fn condition_code_3_goes_with_every_code_but_0() {
        for rc in 0..=255 {
            let expected = if rc == 0 { 0 } else { 3 };
            assert_eq!(Status::bare(ResponseCode(rc)).cc(), expected);
        }
    }
}
