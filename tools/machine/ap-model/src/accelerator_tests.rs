// SPDX-License-Identifier: GPL-2.0
use super::*;
use crate::error_reply::ErrorCode;

const VECTORS: [&str; 3] = [
    include_str!("../../../vectors/rsa-1024.txt"),
    include_str!("../../../vectors/rsa-2048.txt"),
    include_str!("../../../vectors/rsa-4096.txt"),
];

/// Returns the number called `name`, with as many bytes as it has in the file.
fn field(vector: &str, name: &str) -> Vec<u8> {
    let digits = vector
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))
        .unwrap();
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

fn request(kind: u16, operands: &[Vec<u8>]) -> Vec<u8> {
    let mut request = vec![0; REQUEST_HEADER];
    request[8..10].copy_from_slice(&kind.to_be_bytes());
    request.extend(operands.concat());
    request[1] = TYPE_50;
    let length = request.len() as u16;
    request[2..4].copy_from_slice(&length.to_be_bytes());
    request
}

fn exponentiation(vector: &str) -> Vec<u8> {
    let operands = ["e", "n", "message"].map(|name| field(vector, name));
    request(kind(vector), &operands)
}

fn remainders(vector: &str) -> Vec<u8> {
    let operands = ["p", "q", "dp", "dq", "u", "result"].map(|name| field(vector, name));
    request(0x10 + kind(vector), &operands)
}

/// Returns 1, 2 or 3, which depends on the length of the modulus.
fn kind(vector: &str) -> u16 {
    let size = field(vector, "n").len();
    (1 + size.ilog2() - 128_usize.ilog2()) as u16
}

fn rejected(request: &[u8]) -> u8 {
    let reply = reply(request);
    assert_eq!((reply.len(), reply[1]), (8, 0x88));
    reply[4]
}

#[test]
fn exponentiation_and_remainders_undo_each_other() {
    for vector in VECTORS {
        for (request, expected) in [
            (exponentiation(vector), field(vector, "result")),
            (remainders(vector), field(vector, "message")),
        ] {
            let reply = reply(&request);
            let (header, result) = reply.split_at(REPLY_HEADER);
            let length = (reply.len() as u16).to_be_bytes();
            assert_eq!(header[..5], [0, 0x80, length[0], length[1], 0]);
            assert_eq!(result, expected);
        }
    }
}

#[test]
fn short_numbers_are_right_justified() {
    let justified = |value: u8| [vec![0; 127], vec![value]].concat();
    let operands = [3, 33, 5].map(justified);
    // 5^3 = 125 = 3 * 33 + 26
    assert_eq!(reply(&request(1, &operands))[REPLY_HEADER..], justified(26));
}

#[test]
fn operands_that_make_no_sense_are_refused() {
    let vector = VECTORS[0];
    let with = |index: usize, value: Vec<u8>| {
        let mut operands = ["e", "n", "message"].map(|name| field(vector, name));
        operands[index] = value;
        rejected(&request(1, &operands))
    };
    assert_eq!(with(1, vec![0; 128]), ErrorCode::EVEN_MODULUS.0);
    assert_eq!(with(2, field(vector, "n")), ErrorCode::OPERAND.0);
    let mut even = remainders(vector);
    even[REQUEST_HEADER + 63] &= 0xfe;
    assert_eq!(rejected(&even), ErrorCode::EVEN_MODULUS.0);
}

#[test]
fn malformed_requests_are_refused() {
    let good = exponentiation(VECTORS[0]);
    let with = |at: usize, value: u8| {
        let mut request = good.clone();
        request[at] = value;
        rejected(&request)
    };
    assert_eq!(with(1, 0x06), ErrorCode::MESSAGE_TYPE.0);
    assert_eq!(with(3, 0), ErrorCode::MESSAGE_LENGTH.0);
    for reserved in [0, 4, 6, 7, 10, 15] {
        assert_eq!(with(reserved, 1), ErrorCode::RESERVED_FIELD.0);
    }
    assert_eq!(with(9, 4), ErrorCode::KEY_TYPE.0);
    assert_eq!(
        with(9, 2),
        ErrorCode::MESSAGE_LENGTH.0,
        "too short for that"
    );
    let mut long = good.clone();
    long.extend([0; 8]);
    long[3] += 8;
    assert_eq!(rejected(&long), ErrorCode::MESSAGE_LENGTH.0, "too long");
    assert_eq!(rejected(&[]), ErrorCode::MESSAGE_LENGTH.0);
}
