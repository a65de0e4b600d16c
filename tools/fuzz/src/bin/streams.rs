// SPDX-License-Identifier: GPL-2.0
//! Fuzzes descriptions of guests that move. The core writes an accepted description with the same
//! header and length.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vfio_ap_core::migration::{Description, HEADER, RECORD, header, length, queues};

fuzz_target!(|bytes: &[u8]| {
    let Ok(description) = Description::parse(bytes) else {
        return;
    };
    let masks = description.masks();
    assert_eq!(bytes.len(), length(masks));
    assert_eq!(bytes[..HEADER], header(masks));
    let (mut end, mut names) = (HEADER, queues(masks));
    for (apqn, record) in description.records() {
        assert_eq!(names.next(), Some(apqn));
        assert_eq!(bytes[end..end + RECORD], record.to_bytes());
        end += RECORD;
    }
    assert_eq!((end, names.next()), (bytes.len(), None));
    // A host with the same queues takes the guest, unless a queue is bound to a protected guest.
    let mut records = description.records();
    let answer = description.check(masks, |_| Some(records.next()?.1.info));
    // Bits 16 and 17 of a record.
    let is_bound = bytes[HEADER..]
        .chunks(RECORD)
        .any(|record| record[2] & 0xc0 != 0);
    assert_eq!(answer.is_err(), is_bound);
});
