// SPDX-License-Identifier: GPL-2.0

//! Tests of the description of a guest that moves. Each description is parsed as it was written,
//! all other bytes are refused, and each difference of two queues is found.

use proptest::prelude::*;
use vfio_ap_core::mask::{Apid, Apqi, Apqn, Mask};
use vfio_ap_core::matrix::Matrix;
use vfio_ap_core::migration::{
    self, Description, Indicator, Malformed, Mismatch, QueueInfo, Record, Refusal, HEADER, MAGIC,
    MAX_LENGTH, RECORD,
};

/// A CCA coprocessor of type 14 with the T bit's answer of a real one: APSC, AP4KM, AP4KC, CCA, APXA, full
/// function, 12 KiB messages, 8 requests.
const CCA: QueueInfo = QueueInfo(0xf280_0000_0e10_0307);

fn set<I: Copy + From<u8> + Into<u8>>(ids: impl IntoIterator<Item = u8>) -> Mask<I> {
    ids.into_iter().fold(Mask::EMPTY, |mut mask, id| {
        mask.insert(I::from(id));
        mask
    })
}

fn any_mask<I: Copy + From<u8> + Into<u8> + std::fmt::Debug>() -> impl Strategy<Value = Mask<I>> {
    prop::collection::btree_set(any::<u8>(), 0..6).prop_map(set)
}

/// Returns words that are valid in a record more often than random ones.
fn any_word() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        (0..8_u64).prop_map(|isc| 1 << 47 | isc),
        any::<u64>()
    ]
}

fn any_matrix() -> impl Strategy<Value = Matrix> {
    (any_mask(), any_mask(), any_mask()).prop_map(|(apm, aqm, adm)| Matrix { apm, aqm, adm })
}

fn describe(masks: &Matrix, info: impl Fn(Apqn) -> QueueInfo) -> Vec<u8> {
    let mut bytes = migration::header(masks).to_vec();
    for apqn in migration::queues(masks) {
        let record = Record {
            info: info(apqn),
            indicator: indicator(apqn),
        };
        bytes.extend(record.to_bytes());
    }
    assert_eq!(bytes.len(), migration::length(masks));
    bytes
}

/// Returns the interruptions of a queue. Every second queue has them.
fn indicator(apqn: Apqn) -> Option<Indicator> {
    let number = apqn.to_raw();
    (number % 2 == 1).then(|| Indicator {
        nib: u64::from(number) << 12 | 0xfff,
        isc: (number / 2 % 8) as u8,
    })
}

/// Returns a different word for each queue.
fn odd(seed: u64) -> impl Fn(Apqn) -> QueueInfo {
    move |apqn| QueueInfo(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(apqn.to_raw()))
}

proptest! {
    #[test]
    fn a_description_is_read_back(masks in any_matrix(), seed in any::<u64>()) {
        let bytes = describe(&masks, odd(seed));
        let read = Description::parse(&bytes).unwrap();
        prop_assert_eq!(*read.masks(), masks);
        let records = migration::queues(&masks).map(|apqn| {
            (apqn, Record { info: odd(seed)(apqn), indicator: indicator(apqn) })
        });
        prop_assert!(read.records().eq(records));
        // The same host can take on the guest if no queue is bound; then each record was compared with its
        // own queue.
        let mut asked = Vec::new();
        let _ = read.check(&masks, |apqn| {
            asked.push(apqn);
            Some(odd(seed)(apqn))
        });
        let first = masks.apm.iter().next().zip(masks.aqm.iter().next());
        prop_assert_eq!(asked.first().copied(), first.map(|(a, d)| Apqn::new(a, d)));
    }

    #[test]
    fn each_queue_is_compared_with_itself(masks in any_matrix()) {
        let info = |apqn: Apqn| QueueInfo(CCA.0 & !0xff00_0000 | u64::from(apqn.apqi.0) << 24);
        let bytes = describe(&masks, info);
        let read = Description::parse(&bytes).unwrap();
        prop_assert_eq!(read.check(&masks, |apqn| Some(info(apqn))), Ok(()));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Description::parse(&bytes).is_err());
    }

    #[test]
    fn a_record_is_valid_only_as_it_is_written(words in prop::array::uniform3(any_word())) {
        let mut bytes = [0; RECORD];
        for (to, word) in bytes.chunks_mut(8).zip(words) {
            to.copy_from_slice(&word.to_be_bytes());
        }
        let [_, control, nib] = words;
        let is_on = control & !7 == 1 << 47 && nib != 0;
        let is_off = control == 0 && nib == 0;
        let record = Record::from_bytes(&bytes);
        prop_assert_eq!(record.is_some(), is_on || is_off);
        if let Some(record) = record {
            prop_assert_eq!(record.indicator.is_some(), is_on);
            prop_assert_eq!(record.to_bytes(), bytes);
        }
    }

    #[test]
    fn a_flipped_bit_is_read_as_what_it_says(
        masks in any_matrix(), at in any::<prop::sample::Index>(), bit in 0..8_u32,
    ) {
        let mut bytes = describe(&masks, |_| CCA);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        match Description::parse(&bytes) {
            // A mask with another number of queues needs another length.
            Ok(read) => {
                prop_assert!(at >= 16);
                prop_assert_eq!(migration::length(read.masks()), bytes.len());
                prop_assert_eq!(*read.masks() == masks, at >= HEADER);
            }
            Err(why) => {
                let expected = match at {
                    0..8 => Malformed::Magic,
                    8..16 => Malformed::Version(u16::from_be_bytes([bytes[8], bytes[9]])),
                    16..HEADER => Malformed::Length,
                    // The parity of domains decides which queues have interruptions.
                    _ => Malformed::Record(migration::queues(&masks).nth((at - HEADER) / RECORD).unwrap()),
                };
                prop_assert_eq!(why, expected);
                prop_assert!(at < HEADER || (at - HEADER) % RECORD >= 8);
            }
        }
    }

    #[test]
    fn a_part_is_refused(masks in any_matrix(), at in any::<prop::sample::Index>(), more in 1..20_usize) {
        let bytes = describe(&masks, |_| CCA);
        let part = &bytes[..at.index(bytes.len())];
        prop_assert_eq!(Description::parse(part).err(), Some(Malformed::Length));
        let mut longer = bytes.clone();
        longer.extend(std::iter::repeat_n(0, more));
        prop_assert_eq!(Description::parse(&longer).err(), Some(Malformed::Length));
    }

    #[test]
    fn what_is_missing_is_named(masks in any_matrix(), permitted in any_matrix()) {
        let bytes = describe(&masks, |_| CCA);
        let result = Description::parse(&bytes).unwrap().check(&permitted, |_| Some(CCA));
        let queues = masks.apm.iter().flat_map(|a| masks.aqm.iter().map(move |d| Apqn::new(a, d)));
        let mut missing = queues.filter(|q| !permitted.has_queue(*q));
        let expected = match (missing.next(), masks.adm.iter().find(|d| !permitted.adm.contains(*d))) {
            (Some(apqn), _) => Err(Refusal::Queue(apqn, Mismatch::Missing)),
            (None, Some(domain)) => Err(Refusal::ControlDomain(domain)),
            (None, None) => Ok(()),
        };
        prop_assert_eq!(result, expected);
    }
}

#[test]
fn the_layout_is_as_documented() {
    let masks = Matrix {
        apm: set([1, 255]),
        aqm: set([0, 64]),
        adm: set([2]),
    };
    let bytes = describe(&masks, |q| {
        QueueInfo(0x1111_0000_0000_0000 | u64::from(q.to_raw()))
    });
    assert_eq!(&bytes[..8], &MAGIC);
    assert_eq!(&bytes[8..16], &[0, 1, 0, 112, 0, 24, 0, 0]);
    assert_eq!((bytes[16], bytes[16 + 31]), (0x40, 0x01), "APM");
    assert_eq!((bytes[48], bytes[48 + 8]), (0x80, 0x80), "AQM");
    assert_eq!(bytes[80], 0x20, "ADM");
    let records: Vec<_> = bytes[112..]
        .chunks(RECORD)
        .map(|r| (r[0], r[6], r[7]))
        .collect();
    let expected = [(0x11, 1, 0), (0x11, 1, 64), (0x11, 255, 0), (0x11, 255, 64)];
    assert_eq!(records, expected);
}

#[test]
fn the_layout_of_a_record_is_as_documented() {
    let record = Record {
        info: CCA,
        indicator: Some(Indicator {
            nib: 0x1c_0008,
            isc: 4,
        }),
    };
    let expected = [
        [0xf2, 0x80, 0, 0, 0x0e, 0x10, 0x03, 0x07],
        [0, 0, 0x80, 0, 0, 0, 0, 4],
        [0, 0, 0, 0, 0, 0x1c, 0, 0x08],
    ];
    assert_eq!(record.to_bytes(), *expected.as_flattened());
}

#[test]
fn the_longest_description_has_a_bound() {
    let all = Matrix {
        apm: Mask::ALL,
        aqm: Mask::ALL,
        adm: Mask::ALL,
    };
    assert_eq!(migration::length(&all), MAX_LENGTH);
    let bytes = describe(&all, |_| CCA);
    let read = Description::parse(&bytes).unwrap();
    assert_eq!(read.check(&all, |_| Some(CCA)), Ok(()));
}

#[test]
fn nothing_is_a_guest_as_well() {
    let bytes = describe(&Matrix::EMPTY, |_| unreachable!());
    assert_eq!(bytes.len(), HEADER);
    let read = Description::parse(&bytes).unwrap();
    assert_eq!(read.check(&Matrix::EMPTY, |_| None), Ok(()));
}

#[test]
fn a_queue_that_does_not_answer_is_missing() {
    let masks = Matrix {
        apm: set([3]),
        aqm: set([7]),
        adm: Mask::EMPTY,
    };
    let bytes = describe(&masks, |_| CCA);
    let apqn = Apqn::new(Apid(3), Apqi(7));
    let refusal = Description::parse(&bytes).unwrap().check(&masks, |_| None);
    assert_eq!(refusal, Err(Refusal::Queue(apqn, Mismatch::Missing)));
    let text = refusal.unwrap_err().to_string();
    assert_eq!(text, "queue 03.0007 is not available");
}

/// Changes each bit and number of GR2 on either host.
#[test]
fn differences_of_queues() {
    let flag = |bit: u32| 1_u64 << (63 - bit);
    let without = |bit| QueueInfo(CCA.0 & !flag(bit));
    let with = |bit| QueueInfo(CCA.0 | flag(bit));
    let of_type = |number: u64| QueueInfo(CCA.0 & !0xff00_0000 | number << 24);
    let limit = |number: u64| QueueInfo(CCA.0 & !0xf00 | number << 8);

    assert_eq!(CCA.fits(CCA), Ok(()));
    assert_eq!(CCA.adapter_type(), 14);

    for (bit, name) in [
        (0, "APSC"),
        (1, "AP4KM"),
        (2, "AP4KC"),
        (3, "CCA mode"),
        (4, "accelerator mode"),
        (5, "EP11 mode"),
        (6, "APXA"),
        (7, "command filtering"),
    ] {
        let differs = Err(Mismatch::Facility(name));
        assert_eq!(without(bit).fits(with(bit)), differs);
        assert_eq!(with(bit).fits(without(bit)), differs);
    }

    // A full-function adapter can replace a restricted one. The reverse is refused.
    assert_eq!(with(8).fits(without(8)), Err(Mismatch::Restricted));
    assert_eq!(without(8).fits(with(8)), Ok(()));

    for bit in [16, 17] {
        assert_eq!(CCA.fits(with(bit)), Err(Mismatch::Bound));
        assert_eq!(with(bit).fits(CCA), Err(Mismatch::Bound));
        assert_eq!(with(bit).fits(with(bit)), Err(Mismatch::Bound));
    }

    let older = Mismatch::Type {
        needed: 14,
        there: 13,
    };
    assert_eq!(CCA.fits(of_type(13)), Err(older));
    assert_eq!(CCA.fits(of_type(15)), Ok(()));
    assert_eq!(older.to_string(), "is of type 13, not 14 or later");

    // Limits up to 3 mean 12 KiB.
    for (needed, there) in [(3, 0), (0, 3), (0, 0), (3, 4), (5, 6)] {
        assert_eq!(limit(needed).fits(limit(there)), Ok(()));
    }
    for (needed, there) in [(4, 3), (4, 0), (6, 5)] {
        assert_eq!(
            limit(needed).fits(limit(there)),
            Err(Mismatch::MessageLimit)
        );
    }

    // The number of domains and the length of a queue may differ. A full queue refuses a message, and the
    // guest sends it again.
    for bit in (40..48).chain(59..64) {
        assert_eq!(CCA.fits(QueueInfo(CCA.0 ^ flag(bit))), Ok(()));
    }
}
