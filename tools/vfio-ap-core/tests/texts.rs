// SPDX-License-Identifier: GPL-2.0

//! Tests that the core and the specification parse texts of administrators with the same results.

use proptest::prelude::*;
use vfio_ap_core::{
    specification::{text as specification, Sets},
    text::{parse_matrix, parse_number, Listing},
};

/// Generates arbitrary bytes, and texts that resemble a number or masks.
fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let near = |regex: &'static str| {
        prop::string::bytes_regex(regex).unwrap_or_else(|e| panic!("{regex}: {e}"))
    };
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        near("[+]?(0|0x|0X)?[0-9a-fA-F]{0,24}[\n]?[ -~]?"),
        near("[+]?0*(18446744073709551[56][0-9]{2}|1[0-7]{21}|0x[0-9a-f]{16,17})[\n]?"),
        near("((0x|0X)?[0-9a-f]{0,8},){0,4}(0x)?[0-9a-fA-F]{1,4}[\n]?[g,]?"),
        near("((0x)?[0-9a-f]{63,65},){2}0x[0-9a-f]{1,65}[\n]{0,2}"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..Default::default() })]

    #[test]
    fn numbers(text in any_text()) {
        prop_assert_eq!(parse_number(&text), specification::number(&text));
    }

    #[test]
    fn matrices(text in any_text()) {
        let matrix = parse_matrix(&text);
        let sets = specification::matrix(&text);
        prop_assert_eq!(matrix.map(|m| Sets::from(&m)), sets);
    }

    /// The listing of any matrix can be read from any offset and with any length.
    #[test]
    fn listings(text in "0x[0-9a-f]{1,64},0x[0-9a-f]{1,64},0", from in 0..2000_usize, n in 0..200_usize) {
        let matrix = parse_matrix(text.as_bytes()).map_err(|_| TestCaseError::reject("masks"))?;
        let sets = Sets::from(&matrix);
        let whole: String = match (sets.adapters.is_empty(), sets.domains.is_empty()) {
            (_, true) => sets.adapters.iter().map(|a| format!("{a:02x}.\n")).collect(),
            (true, _) => sets.domains.iter().map(|d| format!(".{d:04x}\n")).collect(),
            _ => sets.queues().iter().map(|(a, d)| format!("{a:02x}.{d:04x}\n")).collect(),
        };
        let mut part = vec![0; n];
        let length = Listing::new(&matrix).read(from, &mut part);
        let expected: Vec<u8> = whole.bytes().skip(from).take(n).collect();
        prop_assert_eq!(&part[..length], &expected[..]);
    }
}
