// SPDX-License-Identifier: GPL-2.0
//! The envelope of messages to and from coprocessors: messages of type 6 and 86, with a
//! connectivity programming request block (CPRB) and optional data.
//!
//! Source: Linux, drivers/s390/crypto/zcrypt_msgtype6.h, `struct type6_hdr`,
//! `struct type86_hdr` and `struct type86_fmt2_ext`.

use crate::error_reply::ErrorCode;

const TYPE_6: u8 = 0x06;
const TYPE_86: u8 = 0x86;
const REQUEST_HEADER: usize = 0x58;
const REPLY_HEADER: usize = 48;

/// The offsets of the fields of the header of a request.
mod field {
    pub(super) const BLOCK_OFFSET: usize = 16;
    pub(super) const BLOCK_LENGTH: usize = 56;
    pub(super) const REPLY_DATA_LENGTH: usize = 76;
}

/// A request without its envelope.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Request<'a> {
    /// The CPRB and the bytes after it.
    pub(crate) block: &'a [u8],
    /// The maximum number of bytes of data in the reply.
    pub(crate) data_length: usize,
}

/// Returns the number of 4 bytes at offset `at`, or 0 beyond the end.
pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..at + 4) {
        Some(&[a, b, c, d]) => u32::from_be_bytes([a, b, c, d]),
        _ => 0,
    }
}

/// Returns the request in `message`.
///
/// # Errors
///
/// Returns the reason if the message is invalid.
pub(crate) fn open(message: &[u8]) -> Result<Request<'_>, ErrorCode> {
    match message.get(1) {
        Some(&TYPE_6) => {}
        Some(_) => return Err(ErrorCode::MESSAGE_TYPE),
        None => return Err(ErrorCode::MESSAGE_LENGTH),
    }
    if word(message, field::BLOCK_OFFSET) as usize != REQUEST_HEADER {
        return Err(ErrorCode::MALFORMED);
    }
    let length = word(message, field::BLOCK_LENGTH) as usize;
    let block = message
        .get(REQUEST_HEADER..REQUEST_HEADER.saturating_add(length))
        .ok_or(ErrorCode::MESSAGE_LENGTH)?;
    Ok(Request {
        block,
        data_length: word(message, field::REPLY_DATA_LENGTH) as usize,
    })
}

/// Returns the reply with `block` (the CPRB and the bytes after it) and `data`.
pub(crate) fn seal(block: &[u8], data: &[u8]) -> Vec<u8> {
    const FORMAT_2: u8 = 2;
    let data_offset = if data.is_empty() {
        0
    } else {
        REPLY_HEADER + block.len()
    };
    let mut reply = vec![0, TYPE_86, FORMAT_2, 0];
    // A reply code, a reserved field and a final status of 0 mean success.
    reply.resize(16, 0);
    for number in [block.len(), REPLY_HEADER, data.len(), data_offset] {
        reply.extend((number as u32).to_be_bytes());
    }
    reply.resize(REPLY_HEADER, 0);
    reply.extend(block);
    reply.extend(data);
    reply
}

/// Returns a request for tests.
#[cfg(test)]
pub(crate) fn request(block: &[u8], data_length: u32) -> Vec<u8> {
    let mut message = vec![0; REQUEST_HEADER];
    message[1] = TYPE_6;
    for (at, number) in [
        (field::BLOCK_OFFSET, REQUEST_HEADER as u32),
        (field::BLOCK_LENGTH, block.len() as u32),
        (field::REPLY_DATA_LENGTH, data_length),
    ] {
        message[at..at + 4].copy_from_slice(&number.to_be_bytes());
    }
    message.extend(block);
    message
}

/// Returns the CPRB and the data of a reply, by the rules of Linux.
#[cfg(test)]
pub(crate) fn reply_parts(reply: &[u8]) -> (&[u8], &[u8]) {
    assert_eq!(reply[..8], [0, TYPE_86, 2, 0, 0, 0, 0, 0]);
    let part = |at: usize| {
        let (count, offset) = (word(reply, at) as usize, word(reply, at + 4) as usize);
        &reply[offset..offset + count]
    };
    (part(16), part(24))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_can_be_opened() {
        let message = request(&[1, 2, 3, 4], 8);
        let opened = open(&message).unwrap();
        assert_eq!((opened.block, opened.data_length), (&[1, 2, 3, 4][..], 8));
        let reply = seal(&[5; 12], &[6; 4]);
        assert_eq!(reply.len(), 48 + 16);
        assert_eq!(reply_parts(&reply), (&[5; 12][..], &[6; 4][..]));
        assert_eq!(reply_parts(&seal(&[5; 12], &[])).1, []);
    }

    #[test]
    fn other_messages_are_refused() {
        assert_eq!(open(&[]), Err(ErrorCode::MESSAGE_LENGTH));
        assert_eq!(open(&[0, 0x50]), Err(ErrorCode::MESSAGE_TYPE));
        let mut message = request(&[0; 8], 0);
        message.pop();
        assert_eq!(open(&message), Err(ErrorCode::MESSAGE_LENGTH));
        message[field::BLOCK_OFFSET] = 1;
        assert_eq!(open(&message), Err(ErrorCode::MALFORMED));
    }
}
