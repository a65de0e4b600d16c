// SPDX-License-Identifier: GPL-2.0

//! Names and sets of adapters, domains and queues.
//!
//! Owns the numbering of the AP architecture. An adapter has an APID, a domain has an APQI, and a queue
//! has the pair of both, the APQN. Sets are masks of 256 bits in AP bit order, as in the information of
//! QCI, in the APCB, and in the kernel's `unsigned long[4]`.
//!
//! Part of the functional core: pure, without any dependency on the kernel.

use core::{
    fmt,
    marker::PhantomData,
    ops::{
        BitAnd,
        BitOr,
        Sub, //
    },
};

/// The number of APIDs, and of APQIs, of the architecture.
pub const IDS: usize = 256;

/// An adapter number (APID).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Apid(pub u8);

/// A domain number (APQI).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Apqi(pub u8);

impl From<u8> for Apid {
    fn from(id: u8) -> Self {
        Self(id)
    }
}

impl From<u8> for Apqi {
    fn from(id: u8) -> Self {
        Self(id)
    }
}

impl From<Apid> for u8 {
    fn from(id: Apid) -> Self {
        id.0
    }
}

impl From<Apqi> for u8 {
    fn from(id: Apqi) -> Self {
        id.0
    }
}

/// The name of a queue (APQN): the domain `apqi` of the adapter `apid`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Apqn {
    /// The adapter.
    pub apid: Apid,
    /// The domain.
    pub apqi: Apqi,
}

impl Apqn {
    /// Creates the name of a queue.
    pub const fn new(apid: Apid, apqi: Apqi) -> Self {
        Self { apid, apqi }
    }

    /// Decodes the number of a queue that the AP instructions and the AP bus use. The upper byte is the
    /// APID, the lower byte is the APQI.
    pub const fn from_raw(raw: u16) -> Self {
        let [apid, apqi] = raw.to_be_bytes();
        Self::new(Apid(apid), Apqi(apqi))
    }

    /// Returns the number of the queue that the AP instructions use.
    pub const fn to_raw(self) -> u16 {
        u16::from_be_bytes([self.apid.0, self.apqi.0])
    }
}

/// Formats the name as in sysfs and in kernel messages: `01.0003`.
impl fmt::Display for Apqn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}.{:04x}", self.apid.0, self.apqi.0)
    }
}

/// A set of adapters or domains in AP bit order. Number 0 is the leftmost bit of the first word.
///
/// On s390 a mask has the layout of the architecture's 256-bit fields and of the kernel's
/// `unsigned long[4]`.
///
/// # Examples
///
/// ```
/// use vfio_ap_core::mask::{Apid, Mask};
///
/// let mask = Mask::only(Apid(1)) | Mask::only(Apid(3));
/// assert_eq!(mask.words(), &[0x5 << 60, 0, 0, 0]);
/// assert!(mask.iter().eq([Apid(1), Apid(3)]));
/// assert!(mask.is_subset(&Mask::up_to(3)));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(transparent)]
pub struct Mask<I> {
    words: [u64; 4],
    id: PhantomData<I>,
}

// Operations on whole masks are not inlined. A call is a third as long as the operation, and hardly
// slower.

impl<I> Mask<I> {
    /// The empty set.
    pub const EMPTY: Self = Self::from_words([0; 4]);

    /// All 256 numbers.
    pub const ALL: Self = Self::from_words([!0; 4]);

    /// Creates a set of its bits.
    pub const fn from_words(words: [u64; 4]) -> Self {
        Self {
            words,
            id: PhantomData,
        }
    }

    /// Returns the bits of the set.
    pub const fn words(&self) -> &[u64; 4] {
        &self.words
    }

    /// Returns true if the set has no members.
    #[inline(never)]
    pub const fn is_empty(&self) -> bool {
        let [a, b, c, d] = self.words;
        a | b | c | d == 0
    }

    /// Returns the set of the numbers from 0 to `last`.
    pub fn up_to(last: u8) -> Self {
        let members = u32::from(last) + 1;
        Self::from_words(core::array::from_fn(|i| {
            match members.saturating_sub(64 * i as u32) {
                n @ 0..=63 => !(!0 >> n),
                _ => !0,
            }
        }))
    }

    /// Returns the number of members.
    pub fn len(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Returns true if all members are also in `other`.
    #[inline(never)]
    pub fn is_subset(&self, other: &Self) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.words, other.words);
        (a & !e) | (b & !f) | (c & !g) | (d & !h) == 0
    }

    /// Returns true if some member is also in `other`.
    #[inline(never)]
    pub fn intersects(&self, other: &Self) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.words, other.words);
        (a & e) | (b & f) | (c & g) | (d & h) != 0
    }
}

impl<I: Copy + From<u8> + Into<u8>> Mask<I> {
    /// Returns the set with the only member `id`.
    pub fn only(id: I) -> Self {
        let mut mask = Self::EMPTY;
        mask.insert(id);
        mask
    }

    fn place(id: I) -> (usize, u64) {
        let id: u8 = id.into();
        (usize::from(id / 64), 1 << (63 - id % 64))
    }

    /// Returns true if `id` is in the set.
    pub fn contains(&self, id: I) -> bool {
        let (word, bit) = Self::place(id);
        self.words[word] & bit != 0
    }

    /// Adds `id` to the set.
    pub fn insert(&mut self, id: I) {
        let (word, bit) = Self::place(id);
        self.words[word] |= bit;
    }

    /// Removes `id` from the set.
    pub fn remove(&mut self, id: I) {
        let (word, bit) = Self::place(id);
        self.words[word] &= !bit;
    }

    /// Adds `id` to the set, or removes it.
    pub fn set(&mut self, id: I, member: bool) {
        if member {
            self.insert(id);
        } else {
            self.remove(id);
        }
    }

    /// Iterates over the members in ascending order.
    pub fn iter(self) -> Ids<I> {
        Ids {
            rest: self,
            word: 0,
        }
    }

    /// Returns the members for which `keep` returns true.
    pub fn filter(&self, mut keep: impl FnMut(I) -> bool) -> Self {
        let mut kept = *self;
        for (i, word) in kept.words.iter_mut().enumerate() {
            let mut rest = *word;
            while rest != 0 {
                let place = rest.leading_zeros();
                let bit = 1 << (63 - place);
                rest &= !bit;
                // The number is below 256, as for `Ids`.
                if !keep(I::from((i << 6) as u8 | place as u8)) {
                    *word &= !bit;
                }
            }
        }
        kept
    }
}

/// An iterator over the members of a set, in ascending order.
#[derive(Clone)]
pub struct Ids<I> {
    rest: Mask<I>,
    /// The words before this one are zero.
    word: usize,
}

impl<I: From<u8>> Iterator for Ids<I> {
    type Item = I;

    fn next(&mut self) -> Option<I> {
        while let Some(word) = self.rest.words.get_mut(self.word) {
            if *word != 0 {
                let bit = word.leading_zeros();
                *word &= !(1 << (63 - bit));
                // There are four words of 64 bits, so the number is below 256.
                return Some(I::from((self.word << 6) as u8 | bit as u8));
            }
            self.word += 1;
        }
        None
    }
}

impl<I> Default for Mask<I> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<I> BitAnd for Mask<I> {
    type Output = Self;

    #[inline(never)]
    fn bitand(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.words, other.words);
        Self::from_words([a & e, b & f, c & g, d & h])
    }
}

impl<I> BitOr for Mask<I> {
    type Output = Self;

    #[inline(never)]
    fn bitor(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.words, other.words);
        Self::from_words([a | e, b | f, c | g, d | h])
    }
}

/// Returns the members of the first set that are not in the second one.
impl<I> Sub for Mask<I> {
    type Output = Self;

    #[inline(never)]
    fn sub(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.words, other.words);
        Self::from_words([a & !e, b & !f, c & !g, d & !h])
    }
}

/// Formats the set as in `apmask` and `ap_config`: `0x` and 64 digits.
impl<I> fmt::Display for Mask<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        for word in self.words {
            // `core` pads numbers with a call for each zero, and most words are zero.
            let digits: [u8; 16] =
                core::array::from_fn(|i| hex_digit((word >> (60 - 4 * i)) as u8));
            f.write_str(str::from_utf8(&digits).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

/// Returns the hexadecimal digit of the four rightmost bits.
pub fn hex_digit(bits: u8) -> u8 {
    b"0123456789abcdef"[usize::from(bits & 0xf)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_zero_is_the_leftmost() {
        assert_eq!(Mask::only(Apid(0)).words(), &[1 << 63, 0, 0, 0]);
        assert_eq!(Mask::only(Apid(255)).words(), &[0, 0, 0, 1]);
        assert_eq!(Mask::only(Apqi(64)).words(), &[0, 1 << 63, 0, 0]);
    }

    #[test]
    fn iterates_in_order() {
        let ids = [0, 1, 63, 64, 127, 200, 255];
        let mut mask = Mask::<Apid>::EMPTY;
        for id in ids {
            mask.insert(Apid(id));
        }
        assert!(mask.iter().map(|id| id.0).eq(ids));
        assert_eq!(Mask::<Apid>::EMPTY.iter().next(), None);
    }

    #[test]
    fn up_to_includes_its_bound() {
        for last in [0, 15, 63, 64, 191, 255] {
            let mask = Mask::<Apqi>::up_to(last);
            assert!(mask.iter().map(|id| id.0).eq(0..=last));
        }
    }

    #[test]
    fn set_operations() {
        let (a, b) = (Mask::<Apid>::up_to(100), Mask::only(Apid(100)));
        assert_eq!(a - b, Mask::up_to(99));
        assert_eq!((a - b) | b, a);
        assert_eq!(a & b, b);
        assert!(b.is_subset(&a) && !a.is_subset(&b));
        assert!(b.intersects(&a) && a.intersects(&b) && !b.intersects(&Mask::up_to(99)));
        assert_eq!((a.len(), b.len()), (101, 1));
        assert_eq!(Mask::<Apid>::ALL.filter(|id| id.0 <= 100), a);
    }

    #[test]
    fn names_are_those_of_sysfs() {
        let apqn = Apqn::from_raw(0x0a2b);
        assert_eq!((apqn.apid, apqn.apqi), (Apid(0x0a), Apqi(0x2b)));
        assert_eq!(apqn.to_raw(), 0x0a2b);
        assert_eq!(apqn.to_string(), "0a.002b");
        assert_eq!(
            Mask::only(Apid(1)).to_string(),
            format!("0x4{}", "0".repeat(63))
        );
    }
}
