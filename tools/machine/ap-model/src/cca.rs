// SPDX-License-Identifier: GPL-2.0
//! An adapter in CCA mode. Of the Common Cryptographic Architecture, it implements random numbers
//! and the facility query. Linux sends the facility query automatically and shows the reply in
//! sysfs.
//!
//! Source: Linux, drivers/s390/crypto/zcrypt_ccamisc.c, `cca_query_crypto_facility` and
//! `cca_get_info`, and zcrypt_msgtype6.c, `rng_type6cprb_msgx`; `struct CPRBX` in
//! arch/s390/include/uapi/asm/zcrypt.h.

use crate::cprb;
use crate::error_reply::{ErrorCode, error};
use crate::ids::Apqn;
use std::hash::{BuildHasher, RandomState};

/// The length of the CPRB. Parameters follow it.
const CPRB: usize = 220;
const VERSION: u8 = 2;

/// The offsets of the fields of the CPRB.
mod field {
    pub(super) const VERSION: usize = 2;
    pub(super) const REPLIED_PARAMETERS: usize = 24;
    pub(super) const REPLIED_DATA: usize = 32;
    pub(super) const RETURN_CODE: usize = 144;
    pub(super) const REASON_CODE: usize = 146;
}

/// The maximum number of random bytes in a reply.
const MOST_RANDOM: usize = 8192;

/// Returns the reply of `queue` to `message`.
#[must_use]
pub fn reply(queue: Apqn, message: &[u8]) -> Vec<u8> {
    answer(queue, message).unwrap_or_else(error)
}

fn answer(queue: Apqn, message: &[u8]) -> Result<Vec<u8>, ErrorCode> {
    let request = cprb::open(message)?;
    let (block, parameters) = request
        .block
        .split_at_checked(CPRB)
        .ok_or(ErrorCode::MESSAGE_LENGTH)?;
    if block[field::VERSION] != VERSION {
        return Err(ErrorCode::MALFORMED);
    }
    let function = parameters.get(..2).ok_or(ErrorCode::MALFORMED)?;
    let keyword = parameters.get(4..12).unwrap_or_default();
    Ok(match (function, keyword) {
        (b"RL", _) => {
            let data = random(request.data_length.min(MOST_RANDOM));
            // The reply contains no rules and no keys.
            let parameters = [function, &list(&[]), &list(&[])].concat();
            done(block, &parameters, &data)
        }
        (b"FQ", b"STATICSA" | b"STATICSB") => {
            let facts = facts(queue, keyword == b"STATICSB");
            done(block, &[function, &facts].concat(), &[])
        }
        (b"FQ", _) => refused(block),
        // Only accelerators of this machine execute RSA.
        _ => return Err(ErrorCode::MALFORMED),
    })
}

/// Returns the reply to the request in `block`, with return code 0.
fn done(block: &[u8], parameters: &[u8], data: &[u8]) -> Vec<u8> {
    let mut block = block.to_vec();
    for (at, length) in [
        (field::REPLIED_PARAMETERS, parameters.len()),
        (field::REPLIED_DATA, data.len()),
    ] {
        block[at..at + 4].copy_from_slice(&(length as u32).to_be_bytes());
    }
    block.extend(parameters);
    cprb::seal(&block, data)
}

/// Returns a reply with return code 8 and reason 33: the rule array has no valid keyword.
fn refused(block: &[u8]) -> Vec<u8> {
    let mut block = block.to_vec();
    block[field::RETURN_CODE + 1] = 8;
    block[field::REASON_CODE + 1] = 33;
    // Linux does not accept shorter replies.
    block.extend([0; 8]);
    cprb::seal(&block, &[])
}

/// Returns a list in the format of a message: the length, which includes itself, and `bytes`.
fn list(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() + 2) as u16;
    [&length.to_be_bytes()[..], bytes].concat()
}

fn random(length: usize) -> Vec<u8> {
    // The standard library chooses a random key for each hasher.
    let keyed = RandomState::new();
    let numbers = (0..length.div_ceil(8)).map(|number| keyed.hash_one(number));
    let mut bytes: Vec<u8> = numbers.flat_map(u64::to_be_bytes).collect();
    bytes.truncate(length);
    bytes
}

/// Returns the information of the facility query: the serial number of the adapter, and for each
/// kind of master key a valid current key, no old key and no new key.
fn facts(queue: Apqn, with_apka: bool) -> Vec<u8> {
    // Each rule has 8 characters. The first rule is the serial number, and the next three are not
    // used by Linux. The others are the states of the new, the current and the old key, for
    // asymmetric, AES and APKA master keys. 1 means that the key is missing, and 2 that it is
    // valid.
    let states = if with_apka { "121121121" } else { "121121" };
    let mut rules = format!("AP{:06}{:24}", queue.apid.0, "");
    for state in states.chars() {
        rules += &format!("{state:<8}");
    }
    // The offsets and lengths of the verification patterns of the current keys.
    let mut patterns = vec![0; if with_apka { 240 } else { 204 }];
    for (kind, at, length) in [(1, 84, 16), (2, 184, 8), (3, 220, 8)] {
        if let Some(pattern) = patterns.get_mut(at..at + length) {
            pattern.fill(kind);
            pattern[length - 2..].copy_from_slice(&[queue.apid.0, queue.apqi.0]);
        }
    }
    [list(rules.as_bytes()), list(&patterns)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(function: &[u8; 2], keyword: &[u8; 8], data_length: u32) -> Vec<u8> {
        let mut block = vec![0; CPRB];
        block[field::VERSION] = VERSION;
        block.extend(function);
        block.extend(list(keyword));
        reply(Apqn::new(3, 0x11), &cprb::request(&block, data_length))
    }

    #[test]
    fn random_numbers_are_as_many_as_wanted_and_differ() {
        let [first, second] = [(); 2].map(|()| {
            let reply = ask(b"RL", b"RANDOM  ", 4096);
            let (block, data) = cprb::reply_parts(&reply);
            assert_eq!(block[field::RETURN_CODE..][..4], [0; 4]);
            assert!(block.len() >= CPRB + 6, "Linux accepts no shorter block");
            data.to_vec()
        });
        assert_eq!(first.len(), 4096);
        assert_ne!(first, second);
        assert_ne!(first[..2048], first[2048..]);
    }

    #[test]
    fn facts_are_where_linux_looks_for_them() {
        for (keyword, rules, patterns) in [(b"STATICSA", 80, 204), (b"STATICSB", 104, 240)] {
            let reply = ask(b"FQ", keyword, 0);
            let (block, _) = cprb::reply_parts(&reply);
            let parameters = &block[CPRB..];
            assert_eq!(parameters[..4], [b'F', b'Q', 0, rules + 2]);
            let (array, variable) = parameters[4..].split_at(rules.into());
            assert_eq!(variable[..2], [0, patterns + 2]);
            assert_eq!(variable.len(), usize::from(patterns) + 2);
            assert_eq!(array[..8], *b"AP000003");
            // The new, the current and the old key, asymmetric and AES.
            let states = [4, 5, 6, 7, 8, 9].map(|rule| array[8 * rule]);
            assert_eq!(states, *b"121121");
            assert_eq!(
                variable[2 + 84..][..16],
                [&[1; 14][..], &[3, 0x11]].concat()
            );
            assert_eq!(variable[2 + 184..][..8], [2, 2, 2, 2, 2, 2, 3, 0x11]);
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let reply = ask(b"FQ", b"WRAPMTHD", 0);
        let (block, _) = cprb::reply_parts(&reply);
        assert_eq!(block[field::RETURN_CODE..][..4], [0, 8, 0, 33]);
        let short = super::reply(Apqn::new(0, 0), &cprb::request(&[0; 10], 0));
        assert_eq!((short[1], short[4]), (0x88, ErrorCode::MESSAGE_LENGTH.0));
    }
}
