// SPDX-License-Identifier: GPL-2.0
//! An adapter in accelerator mode: RSA with clear keys, by modular exponentiation or by the
//! Chinese remainder theorem (messages of type 50).
//!
//! All numbers in a message are right-justified in their fields, big endian.
//!
//! Sources: the layouts in Linux, drivers/s390/crypto/zcrypt_msgtype50.c, and the reply codes in
//! zcrypt_error.h.

use crate::error_reply::{ErrorCode, error};
use num_bigint::BigUint;

const TYPE_50: u8 = 0x50;
const TYPE_80: u8 = 0x80;
/// The length of the header of a request, with the type of its key block.
const REQUEST_HEADER: usize = 16;
const REPLY_HEADER: usize = 16;

/// Returns the properties of a key block of type `kind`: true if it is for the Chinese remainder
/// theorem, and the length of the modulus in bytes.
const fn key_block(kind: u16) -> Option<(bool, usize)> {
    match kind {
        0x0001 => Some((false, 128)),
        0x0002 => Some((false, 256)),
        0x0003 => Some((false, 512)),
        0x0011 => Some((true, 128)),
        0x0012 => Some((true, 256)),
        0x0013 => Some((true, 512)),
        _ => None,
    }
}

/// Returns the reply to `request`, which is the result or an error reply.
#[must_use]
pub fn reply(request: &[u8]) -> Vec<u8> {
    compute(request).unwrap_or_else(error)
}

fn compute(request: &[u8]) -> Result<Vec<u8>, ErrorCode> {
    let (header, operands) = request
        .split_at_checked(REQUEST_HEADER)
        .ok_or(ErrorCode::MESSAGE_LENGTH)?;
    let halfword = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    if header[1] != TYPE_50 {
        return Err(ErrorCode::MESSAGE_TYPE);
    }
    if usize::from(halfword(2)) != request.len() {
        return Err(ErrorCode::MESSAGE_LENGTH);
    }
    // Byte 5 is ignored.
    let reserved = [&header[..1], &header[4..5], &header[6..8], &header[10..]];
    if reserved.concat().iter().any(|&byte| byte != 0) {
        return Err(ErrorCode::RESERVED_FIELD);
    }
    let (by_remainders, size) = key_block(halfword(8)).ok_or(ErrorCode::KEY_TYPE)?;
    let result = if by_remainders {
        let half = size / 2;
        let [p, q, dp, dq, u, message] = split(operands, [half, half, half, half, half, size])?;
        by_remainder_theorem(&Remainders { p, q, dp, dq, u }, &message)?
    } else {
        let [exponent, modulus, message] = split(operands, [size; 3])?;
        by_exponentiation(&exponent, &modulus, &message)?
    };
    Ok(success(&result, size))
}

/// Splits `operands` into numbers of the given `sizes`.
fn split<const N: usize>(operands: &[u8], sizes: [usize; N]) -> Result<[BigUint; N], ErrorCode> {
    if operands.len() != sizes.iter().sum() {
        return Err(ErrorCode::MESSAGE_LENGTH);
    }
    let mut rest = operands;
    Ok(sizes.map(|size| {
        let (number, next) = rest.split_at(size);
        rest = next;
        BigUint::from_bytes_be(number)
    }))
}

fn by_exponentiation(
    exponent: &BigUint,
    modulus: &BigUint,
    message: &BigUint,
) -> Result<BigUint, ErrorCode> {
    if !modulus.bit(0) {
        return Err(ErrorCode::EVEN_MODULUS);
    }
    if message >= modulus {
        return Err(ErrorCode::OPERAND);
    }
    Ok(message.modpow(exponent, modulus))
}

/// A private key: the primes, the private exponent reduced for each prime, and the inverse of `q`
/// modulo `p`.
struct Remainders {
    p: BigUint,
    q: BigUint,
    dp: BigUint,
    dq: BigUint,
    u: BigUint,
}

fn by_remainder_theorem(key: &Remainders, message: &BigUint) -> Result<BigUint, ErrorCode> {
    let Remainders { p, q, dp, dq, u } = key;
    if !p.bit(0) || !q.bit(0) {
        return Err(ErrorCode::EVEN_MODULUS);
    }
    if *message >= p * q {
        return Err(ErrorCode::OPERAND);
    }
    let (by_p, by_q) = (message.modpow(dp, p), message.modpow(dq, q));
    let difference = by_p + p - &by_q % p;
    Ok(by_q + (difference * u) % p * q)
}

/// Returns a reply of type 80 with a result of `size` bytes.
fn success(result: &BigUint, size: usize) -> Vec<u8> {
    let digits = result.to_bytes_be();
    let mut reply = vec![0; REPLY_HEADER + size];
    let length = reply.len() as u16;
    reply[1] = TYPE_80;
    reply[2..4].copy_from_slice(&length.to_be_bytes());
    // A result is less than the modulus and therefore not longer.
    let from = reply.len().saturating_sub(digits.len());
    reply[from..].copy_from_slice(&digits);
    reply
}

#[cfg(test)]
#[path = "accelerator_tests.rs"]
mod tests;
