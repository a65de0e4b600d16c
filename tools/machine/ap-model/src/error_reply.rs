// SPDX-License-Identifier: GPL-2.0
//! Error replies (type 88). Adapters of all modes send them for messages that they refuse.
//!
//! Source: Linux, drivers/s390/crypto/zcrypt_error.h, `struct error_hdr` and `REP88_ERROR_*`.

/// The reason of an adapter for refusing a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ErrorCode(pub u8);

impl ErrorCode {
    /// The adapter does not support messages of this type.
    pub const MESSAGE_TYPE: Self = Self(0x20);
    /// The message is malformed.
    pub const MALFORMED: Self = Self(0x22);
    /// The length of the message is wrong.
    pub const MESSAGE_LENGTH: Self = Self(0x23);
    /// A reserved field is not zero.
    pub const RESERVED_FIELD: Self = Self(0x24);
    /// The type of the key block is unknown.
    pub const KEY_TYPE: Self = Self(0x34);
    /// A number is too large.
    pub const OPERAND: Self = Self(0x84);
    /// The modulus is even.
    pub const EVEN_MODULUS: Self = Self(0x85);
}

/// Returns the error reply with this code.
#[must_use]
pub fn error(code: ErrorCode) -> Vec<u8> {
    const TYPE_88: u8 = 0x88;
    vec![0, TYPE_88, 0, 0, code.0, 0, 0, 0]
}
