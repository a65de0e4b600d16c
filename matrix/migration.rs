// SPDX-License-Identifier: GPL-2.0

//! The AP configuration of a guest that moves to another host.
//!
//! An adapter has no state that can be moved. The stream of a migration describes the queues and control
//! domains of the guest. The other host compares the description with what it can give to the guest. This
//! module owns the format of the description, and the comparison.
//!
//! # Format
//!
//! All numbers are big-endian. Masks are in AP bit order.
//!
//! | offset | bytes | contents                                                          |
//! |--------|-------|-------------------------------------------------------------------|
//! | 0      | 8     | [`MAGIC`]                                                         |
//! | 8      | 2     | [`VERSION`]                                                       |
//! | 10     | 2     | length of the header, 112: offset of the first record             |
//! | 12     | 2     | length of a record, 24                                            |
//! | 14     | 2     | 0                                                                 |
//! | 16     | 32    | adapters (APM)                                                    |
//! | 48     | 32    | usage domains (AQM)                                               |
//! | 80     | 32    | control domains (ADM)                                             |
//! | 112    | 24 n  | [`Record`] of each queue: adapters ascending, domains within them |
//!
//! There is a record for each pair of an adapter and a usage domain, and nothing after the last record.
//! A record has three doublewords:
//!
//! | offset | bytes | contents                                                                     |
//! |--------|-------|------------------------------------------------------------------------------|
//! | 0      | 8     | general register 2 of PQAP(TAPQ): [`QueueInfo`]                              |
//! | 8      | 8     | general register 1 of the guest's PQAP(AQIC), or 0 if interruptions are off  |
//! | 16     | 8     | general register 2 of the guest's PQAP(AQIC), or 0 if interruptions are off  |
//!
//! In general register 1 of AQIC, bit 16 is 1, bits 61 to 63 are the interruption subclass, and all other
//! bits are 0. A reader refuses other bits, other versions and other lengths. Each version of the format
//! has its own number.
//!
//! Part of the functional core: pure, without any dependency on the kernel.

use core::{
    fmt,
    slice, //
};

use crate::matrix::{
    mask::{
        Apid,
        Apqi,
        Apqn,
        Ids,
        Mask, //
    },
    Matrix, //
};

/// The first bytes of a description.
pub const MAGIC: [u8; 8] = *b"VFIO-AP\0";

/// The version of the format.
pub const VERSION: u16 = 1;

/// The length of the header, in bytes.
pub const HEADER: usize = 112;

/// The length of a record, in bytes.
pub const RECORD: usize = 24;

/// The length of the longest description, in bytes. It has 256 adapters with 256 domains.
pub const MAX_LENGTH: usize = HEADER + RECORD * 256 * 256;

/// The version and the lengths, which follow [`MAGIC`].
const NUMBERS: [u8; 8] = [0, VERSION as u8, 0, HEADER as u8, 0, RECORD as u8, 0, 0];

/// The properties of a queue: general register 2 of PQAP(TAPQ) with the T bit.
///
/// Source: `struct ap_tapq_hwinfo` of `arch/s390/include/asm/ap.h`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueInfo(pub u64);

/// A field of [`QueueInfo`] that must be equal on both hosts.
struct Field {
    name: &'static str,
    bits: u64,
}

impl QueueInfo {
    const SAME: [Field; 7] = [
        Self::flag("APSC", 0),
        Self::flag("AP4KM", 1),
        Self::flag("AP4KC", 2),
        Self::flag("CCA mode", 3),
        Self::flag("accelerator mode", 4),
        Self::flag("EP11 mode", 5),
        Self::flag("APXA", 6),
    ];
    const COMMAND_FILTERING: Field = Self::flag("command filtering", 7);
    const FULL_FUNCTION: u64 = Self::flag("", 8).bits;
    const BINDING_STATE: u64 = 3 << (63 - 17);

    /// Returns a field of one bit. Bit 0 is the most significant bit.
    const fn flag(name: &'static str, bit: u32) -> Field {
        Field {
            name,
            bits: 1 << (63 - bit),
        }
    }

    /// Returns the type of the adapter, as in `hwtype` of the AP bus.
    pub const fn adapter_type(self) -> u8 {
        self.0.to_be_bytes()[4]
    }

    /// Returns the maximum length of a message, in units of 4 KiB. All adapters accept 12 KiB, and do not
    /// report less.
    fn message_limit(self) -> u8 {
        (self.0.to_be_bytes()[6] & 0xf).max(3)
    }

    /// Returns true if the functions of the adapter are not restricted to those without state.
    const fn is_full_function(self) -> bool {
        self.0 & Self::FULL_FUNCTION != 0
    }

    /// Compares this queue of a guest with the queue of the same name on another host.
    ///
    /// # Errors
    ///
    /// Returns the first property that the guest would miss there, or that would differ.
    pub fn fits(self, there: Self) -> Result<(), Mismatch> {
        let differs = |field: &Field| (self.0 ^ there.0) & field.bits != 0;
        if there.adapter_type() < self.adapter_type() {
            return Err(Mismatch::Type {
                needed: self.adapter_type(),
                there: there.adapter_type(),
            });
        }
        if let Some(field) = Self::SAME.iter().find(|field| differs(field)) {
            return Err(Mismatch::Facility(field.name));
        }
        if self.is_full_function() && !there.is_full_function() {
            return Err(Mismatch::Restricted);
        }
        if differs(&Self::COMMAND_FILTERING) {
            return Err(Mismatch::Facility(Self::COMMAND_FILTERING.name));
        }
        if there.message_limit() < self.message_limit() {
            return Err(Mismatch::MessageLimit);
        }
        if (self.0 | there.0) & Self::BINDING_STATE != 0 {
            return Err(Mismatch::Bound);
        }
        Ok(())
    }
}

/// The reason why a queue cannot replace another queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mismatch {
    /// The guest cannot get a queue of this name.
    Missing,
    /// The adapter is older.
    Type {
        /// The type on the first host.
        needed: u8,
        /// The type on the other host.
        there: u8,
    },
    /// Only one of the queues has this facility or mode.
    Facility(&'static str),
    /// The adapter has only the functions without state.
    Restricted,
    /// The adapter accepts only shorter messages.
    MessageLimit,
    /// One of the queues is bound to, or associated with, a secret of a protected guest.
    Bound,
    /// The interruptions that the guest has enabled cannot be enabled on the other host.
    Interruptions,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is not available"),
            Self::Type { needed, there } => write!(f, "is of type {there}, not {needed} or later"),
            Self::Facility(name) => write!(f, "differs in {name}"),
            Self::Restricted => f.write_str("has restricted functions"),
            Self::MessageLimit => f.write_str("takes shorter messages"),
            Self::Bound => f.write_str("is bound to a protected guest"),
            Self::Interruptions => f.write_str("cannot interrupt the guest"),
        }
    }
}

/// The reason why a host cannot take a guest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// A queue does not fit.
    Queue(Apqn, Mismatch),
    /// The guest cannot get this control domain.
    ControlDomain(Apqi),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(apqn, mismatch) => write!(f, "queue {apqn} {mismatch}"),
            Self::ControlDomain(domain) => {
                write!(f, "control domain {:04x} is not available", domain.0)
            }
        }
    }
}

/// The reason why bytes are not a description.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Malformed {
    /// The first bytes are not [`MAGIC`].
    Magic,
    /// The version is another one, or its lengths are wrong.
    Version(u16),
    /// The length is wrong.
    Length,
    /// The interruptions of this queue are invalid.
    Record(Apqn),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("not a description of an AP configuration"),
            Self::Version(version) => write!(f, "version {version} of the format is not known"),
            Self::Length => f.write_str("wrong length"),
            Self::Record(apqn) => write!(f, "invalid interruptions of queue {apqn}"),
        }
    }
}

/// The operands with which a guest has enabled interruptions of a queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Indicator {
    /// The guest address of the notification indicator byte.
    pub nib: u64,
    /// The interruption subclass of the guest, 0 to 7.
    pub isc: u8,
}

impl Indicator {
    /// Bit 16 of general register 1 of PQAP(AQIC). Layout: `union ap_qirq_ctrl`.
    const ENABLE: u64 = 1 << (63 - 16);
    /// Bits 61 to 63.
    const ISC: u64 = 7;
}

/// A queue in a description.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Record {
    /// The properties of the queue.
    pub info: QueueInfo,
    /// The place for interruptions. [`None`] if the guest has not enabled them.
    pub indicator: Option<Indicator>,
}

impl Record {
    /// Returns the bytes of the record.
    pub fn to_bytes(self) -> [u8; RECORD] {
        let (control, nib) = self.indicator.map_or((0, 0), |indicator| {
            (
                Indicator::ENABLE | u64::from(indicator.isc) & Indicator::ISC,
                indicator.nib,
            )
        });
        let mut bytes = [0; RECORD];
        let words = bytes.as_chunks_mut().0.iter_mut();
        for (to, word) in words.zip([self.info.0, control, nib]) {
            *to = word.to_be_bytes();
        }
        bytes
    }

    /// Parses a record. Returns [`None`] if its interruptions are invalid.
    pub fn from_bytes(bytes: &[u8; RECORD]) -> Option<Self> {
        let word = |i: usize| bytes.as_chunks().0.get(i).map(|it| u64::from_be_bytes(*it));
        let (info, control, nib) = (QueueInfo(word(0)?), word(1)?, word(2)?);
        let indicator = if control == 0 && nib == 0 {
            None
        } else if control & !Indicator::ISC == Indicator::ENABLE && nib != 0 {
            let isc = (control & Indicator::ISC) as u8;
            Some(Indicator { nib, isc })
        } else {
            return None;
        };
        Some(Self { info, indicator })
    }
}

/// Returns the length of the description of a guest with these masks, in bytes.
pub fn length(masks: &Matrix) -> usize {
    HEADER + RECORD * (masks.apm.len() * masks.aqm.len()) as usize
}

/// Returns the header of the description of a guest with these masks.
pub fn header(masks: &Matrix) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let (magic, rest) = header.split_at_mut(MAGIC.len());
    magic.copy_from_slice(&MAGIC);
    let (numbers, rest) = rest.split_at_mut(NUMBERS.len());
    numbers.copy_from_slice(&NUMBERS);
    let words = [masks.apm.words(), masks.aqm.words(), masks.adm.words()];
    for (to, word) in rest
        .as_chunks_mut()
        .0
        .iter_mut()
        .zip(words.into_iter().flatten())
    {
        *to = word.to_be_bytes();
    }
    header
}

/// An iterator over the queues of a guest, in the order of their records.
#[derive(Clone)]
pub struct Queues {
    adapters: Ids<Apid>,
    apid: Apid,
    aqm: Mask<Apqi>,
    /// The domains of the adapter `apid` that follow.
    domains: Ids<Apqi>,
}

/// Returns the queues of a guest, in the order of their records.
pub fn queues(masks: &Matrix) -> Queues {
    Queues {
        adapters: masks.apm.iter(),
        apid: Apid(0),
        aqm: masks.aqm,
        domains: Mask::EMPTY.iter(),
    }
}

impl Iterator for Queues {
    type Item = Apqn;

    // Not inlined: five callers would each have the loop.
    #[inline(never)]
    fn next(&mut self) -> Option<Apqn> {
        loop {
            if let Some(apqi) = self.domains.next() {
                return Some(Apqn::new(self.apid, apqi));
            }
            self.apid = self.adapters.next()?;
            self.domains = self.aqm.iter();
        }
    }
}

/// The description of a guest, from an untrusted source.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    masks: Matrix,
    /// The records of the queues.
    records: &'a [[u8; RECORD]],
}

impl<'a> Description<'a> {
    /// Parses a description.
    ///
    /// # Errors
    ///
    /// Returns the reason why `bytes` is not a description.
    // Not inlined: three callers would each have it.
    #[inline(never)]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (magic, rest) = bytes.split_first_chunk().ok_or(Malformed::Length)?;
        if *magic != MAGIC {
            return Err(Malformed::Magic);
        }
        let (numbers, rest) = rest.split_first_chunk().ok_or(Malformed::Length)?;
        if *numbers != NUMBERS {
            let [high, low, ..] = *numbers;
            return Err(Malformed::Version(u16::from_be_bytes([high, low])));
        }
        let (apm, rest) = rest.split_first_chunk().ok_or(Malformed::Length)?;
        let (aqm, rest) = rest.split_first_chunk().ok_or(Malformed::Length)?;
        let (adm, rest) = rest.split_first_chunk().ok_or(Malformed::Length)?;
        let masks = Matrix {
            apm: mask(apm),
            aqm: mask(aqm),
            adm: mask(adm),
        };
        let (records, left) = rest.as_chunks::<RECORD>();
        if bytes.len() != length(&masks) || !left.is_empty() {
            return Err(Malformed::Length);
        }
        let mut valid = Records {
            queues: queues(&masks),
            records: records.iter(),
        };
        let invalid = queues(&masks).find(|_| valid.next().is_none());
        invalid.map_or(Ok(Self { masks, records }), |apqn| {
            Err(Malformed::Record(apqn))
        })
    }

    /// Returns the queues of the guest, and their records.
    pub fn records(&self) -> Records<'a> {
        Records {
            queues: queues(&self.masks),
            records: self.records.iter(),
        }
    }

    /// Returns the masks of the guest.
    pub fn masks(&self) -> &Matrix {
        &self.masks
    }

    /// Checks that a host can take the guest. The host can give it the queues and control domains of
    /// `permitted`. `info` returns the properties of one of these queues.
    ///
    /// The guest may get more queues than it had. It must not get fewer.
    ///
    /// # Errors
    ///
    /// Returns the first reason against it.
    pub fn check(
        &self,
        permitted: &Matrix,
        mut info: impl FnMut(Apqn) -> Option<QueueInfo>,
    ) -> Result<(), Refusal> {
        for (apqn, record) in self.records() {
            let there = permitted.has_queue(apqn).then(|| info(apqn)).flatten();
            there
                .ok_or(Mismatch::Missing)
                .and_then(|there| record.info.fits(there))
                .map_err(|mismatch| Refusal::Queue(apqn, mismatch))?;
        }
        let missing = (self.masks.adm - permitted.adm).iter().next();
        missing.map_or(Ok(()), |domain| Err(Refusal::ControlDomain(domain)))
    }
}

/// An iterator over the queues of a guest, and their records. It ends before an invalid record.
#[derive(Clone)]
pub struct Records<'a> {
    queues: Queues,
    records: slice::Iter<'a, [u8; RECORD]>,
}

impl Iterator for Records<'_> {
    type Item = (Apqn, Record);

    // Not inlined: four callers would each have the parser.
    #[inline(never)]
    fn next(&mut self) -> Option<Self::Item> {
        let record = Record::from_bytes(self.records.next()?)?;
        Some((self.queues.next()?, record))
    }
}

/// Converts a mask from the format of the description.
fn mask<I>(bytes: &[u8; 32]) -> Mask<I> {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_be_bytes(*bytes);
    }
    Mask::from_words(words)
}
