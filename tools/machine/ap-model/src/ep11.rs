// SPDX-License-Identifier: GPL-2.0
//! An adapter in EP11 mode. Of Enterprise PKCS#11, it implements the query for information about
//! the adapter and its domains (get_xcp_info). Linux shows the reply in sysfs.
//!
//! Source: Linux, drivers/s390/crypto/zcrypt_ep11misc.c, `ep11_query_info`,
//! `ep11_get_card_info` and `ep11_get_domain_info`; `struct ep11_cprb` in
//! arch/s390/include/uapi/asm/zcrypt.h.

use crate::cprb;
use crate::error_reply::{ErrorCode, error};
use crate::ids::Apqn;

/// The length of the CPRB. A payload in ASN.1 follows it.
const CPRB: usize = 32;
const VERSION: u8 = 4;

/// The offsets of the fields of the CPRB.
mod field {
    pub(super) const VERSION: usize = 2;
    pub(super) const PAYLOAD_LENGTH: usize = 28;
}

/// The offsets of the fields of the payload: a sequence of numbers of 4 bytes, each after a tag and
/// a length.
mod payload {
    pub(super) const FUNCTION: usize = 6;
    pub(super) const QUERY: usize = 18;
    pub(super) const LENGTH: usize = 28;
}

/// The function code without the version of the interface, which is in the left half.
const GET_INFO: u32 = 38;
const MODULE: u32 = 1;
const DOMAIN: u32 = 3;

/// The return value for a function that is not supported.
const NOT_SUPPORTED: u32 = 0x54;

/// Returns the reply of `queue` to `message`.
#[must_use]
pub fn reply(queue: Apqn, message: &[u8]) -> Vec<u8> {
    answer(queue, message).unwrap_or_else(error)
}

fn answer(queue: Apqn, message: &[u8]) -> Result<Vec<u8>, ErrorCode> {
    let request = cprb::open(message)?;
    let (block, payload) = request
        .block
        .split_at_checked(CPRB)
        .ok_or(ErrorCode::MESSAGE_LENGTH)?;
    if block[field::VERSION] != VERSION || payload.len() < payload::QUERY - 2 {
        return Err(ErrorCode::MALFORMED);
    }
    let function = cprb::word(payload, payload::FUNCTION) & 0xffff;
    let query = match payload.len() {
        payload::LENGTH.. => cprb::word(payload, payload::QUERY),
        _ => 0,
    };
    let result = match (function, query) {
        (GET_INFO, MODULE) => Ok(module(queue)),
        (GET_INFO, DOMAIN) => Ok(domain(queue)),
        _ => Err(NOT_SUPPORTED),
    };
    // The reply contains the function and the domain of the request.
    let mut fields = payload[4..16].to_vec();
    fields.extend(number(*result.as_ref().err().unwrap_or(&0)));
    if let Ok(data) = &result {
        fields.extend(long(0x04, data));
    }
    let payload = long(0x30, &fields);
    let mut reply = block.to_vec();
    reply[field::PAYLOAD_LENGTH..].copy_from_slice(&(payload.len() as u32).to_be_bytes());
    reply.extend(payload);
    Ok(cprb::seal(&reply, &[]))
}

fn number(value: u32) -> Vec<u8> {
    [&[0x04, 4][..], &value.to_be_bytes()].concat()
}

/// Returns an element with a length field of two bytes.
fn long(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16).to_be_bytes();
    [&[tag, 0x82][..], &length, content].concat()
}

/// Returns the module information: interface 4, firmware 5.8, a serial number, operating mode FIPS
/// 2021.
fn module(queue: Apqn) -> Vec<u8> {
    const FIPS_2021: u64 = 1 << 7;
    let serial = format!("{:<16}", format!("EP{:06}", queue.apid.0));
    let mut info = [4_u32, 0].map(u32::to_be_bytes).concat();
    info.extend([5, 8, 0, 0]);
    info.extend([0; 3 * 32]);
    info.extend(serial.as_bytes());
    info.extend(b"2026010100000000");
    info.extend(FIPS_2021.to_be_bytes());
    info.extend([0; 12 * 4]);
    info
}

/// Returns the domain information. The domain has left the imprint mode and has a current wrapping
/// key.
fn domain(queue: Apqn) -> Vec<u8> {
    const CURRENT_KEY: u32 = 0x02;
    const IN_USE: u32 = 0x10;
    const FIPS_2021: u64 = 1 << 7;
    let mut info = u32::from(queue.apqi.0).to_be_bytes().to_vec();
    let mut pattern = [4; 32];
    pattern[30..].copy_from_slice(&[queue.apid.0, queue.apqi.0]);
    info.extend(pattern);
    info.extend([0; 32]);
    info.extend((CURRENT_KEY | IN_USE).to_be_bytes());
    info.extend(FIPS_2021.to_be_bytes());
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(function: u32, query: u32) -> Vec<u8> {
        let fields = [1 << 16 | function, 0xff, query, 0].map(number).concat();
        let mut block = vec![0; CPRB];
        block[field::VERSION] = VERSION;
        block.extend(long(0x30, &fields));
        reply(Apqn::new(2, 0x21), &cprb::request(&block, 0))
    }

    /// Returns the return value and the data of the payload.
    fn parts(reply: &[u8]) -> (u32, &[u8]) {
        let (block, _) = cprb::reply_parts(reply);
        let payload = &block[CPRB..];
        assert_eq!(
            cprb::word(block, field::PAYLOAD_LENGTH) as usize,
            payload.len()
        );
        assert_eq!(payload[..2], [0x30, 0x82]);
        assert_eq!(payload[4..6], [0x04, 4]);
        (
            cprb::word(payload, 18),
            payload.get(26..).unwrap_or_default(),
        )
    }

    #[test]
    fn infos_are_as_long_as_linux_wants_them() {
        let reply = ask(GET_INFO, MODULE);
        let (code, info) = parts(&reply);
        assert_eq!((code, info.len()), (0, 196));
        assert_eq!(info[108..124], *b"EP000002        ");
        let reply = ask(GET_INFO, DOMAIN);
        let (code, info) = parts(&reply);
        assert_eq!((code, info.len()), (0, 80));
        assert_eq!(cprb::word(info, 0), 0x21);
        assert_eq!(cprb::word(info, 68), 0x12);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (function, query) in [(GET_INFO, 9), (7, MODULE)] {
            let reply = ask(function, query);
            assert_eq!(parts(&reply), (NOT_SUPPORTED, &[][..]));
        }
        let mut short = vec![0; CPRB];
        short[field::VERSION] = VERSION;
        let reply = super::reply(Apqn::new(0, 0), &cprb::request(&short, 0));
        assert_eq!((reply[1], reply[4]), (0x88, ErrorCode::MALFORMED.0));
    }
}
