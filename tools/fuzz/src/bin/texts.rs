// SPDX-License-Identifier: GPL-2.0
//! Fuzzes the texts of attributes. The driver and the specification parse each text with the same
//! result.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vfio_ap_core::specification::{Sets, text as specification};
use vfio_ap_core::text::{parse_matrix, parse_number};

fuzz_target!(|text: &[u8]| {
    assert_eq!(parse_number(text), specification::number(text));
    let matrix = parse_matrix(text).map(|matrix| Sets::from(&matrix));
    assert_eq!(matrix, specification::matrix(text));
});
