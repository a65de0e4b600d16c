// SPDX-License-Identifier: GPL-2.0
//! What an adapter in CCA mode does of all that Common Cryptographic Architecture is:
//! random numbers, and telling about itself (facility query), which is what Linux asks
//! for by itself and shows in sysfs.
//!
//! Source: Linux, drivers/s390/crypto/zcrypt_ccamisc.c, `cca_query_crypto_facility` and
//! `cca_get_info`, and zcrypt_msgtype6.c, `rng_type6cprb_msgx`; `struct CPRBX` in
//! arch/s390/include/uapi/asm/zcrypt.h.

use crate::cprb;
use crate::error_reply::{ErrorCode, error};
use crate::ids::Apqn;
use std::hash::{BuildHasher, RandomState};

/// Length of the CPRB; parameters follow.
const CPRB: usize = 220;
const VERSION: u8 = 2;

/// Fields of the CPRB.
mod field {
    pub(super) const VERSION: usize = 2;
    pub(super) const REPLIED_PARAMETERS: usize = 24;
    pub(super) const REPLIED_DATA: usize = 32;
    pub(super) const RETURN_CODE: usize = 144;
    pub(super) const REASON_CODE: usize = 146;
}

/// The most random bytes that are given at a time.
const MOST_RANDOM: usize = 8192;

/// The reply of queue `queue` to `message`.
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
            // Neither rules nor keys come back.
            let parameters = [function, &list(&[]), &list(&[])].concat();
            done(block, &parameters, &data)
        }
        (b"FQ", b"STATICSA" | b"STATICSB") => {
            let facts = facts(queue, keyword == b"STATICSB");
            done(block, &[function, &facts].concat(), &[])
        }
        (b"FQ", _) => refused(block),
        // RSA is done by accelerators here.
        _ => return Err(ErrorCode::MALFORMED),
    })
}

/// The reply to the request in `block`, with return code 0.
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

/// Return code 8 with reason 33: the rule array has no valid keyword.
fn refused(block: &[u8]) -> Vec<u8> {
    let mut block = block.to_vec();
    block[field::RETURN_CODE + 1] = 8;
    block[field::REASON_CODE + 1] = 33;
    // Linux takes no reply with less.
    block.extend([0; 8]);
    cprb::seal(&block, &[])
}

/// As a list is transferred: with a length that counts itself.
fn list(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() + 2) as u16;
    [&length.to_be_bytes()[..], bytes].concat()
}

fn random(length: usize) -> Vec<u8> {
    // Each hash has a key that the operating system has chosen at random.
    let keyed = RandomState::new();
    let numbers = (0..length.div_ceil(8)).map(|number| keyed.hash_one(number));
    let mut bytes: Vec<u8> = numbers.flat_map(u64::to_be_bytes).collect();
    bytes.truncate(length);
    bytes
}

/// What the queue tells about itself: the serial number of the adapter, and for each kind
/// of master key that there is a current one, no old one and no new one.
fn facts(queue: Apqn, with_apka: bool) -> Vec<u8> {
    // Rules have 8 characters. The first is the serial number; three are of no interest;
    // then there are the states, new, current and old, of the asymmetric, the AES and
    // the APKA key: 1 for none, 2 for a valid one.
    let states = if with_apka { "121121121" } else { "121121" };
    let mut rules = format!("AP{:06}{:24}", queue.apid.0, "");
    for state in states.chars() {
        rules += &format!("{state:<8}");
    }
    // Where the verification patterns of the current keys are, and how long.
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
            assert!(block.len() >= CPRB + 6, "Linux takes no shorter one");
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
            // New, current and old asymmetric and AES keys.
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
