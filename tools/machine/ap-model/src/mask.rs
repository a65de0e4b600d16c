// SPDX-License-Identifier: GPL-2.0
//! Sets of up to 256 numbers in AP bit order.
//!
//! The architecture numbers bits from the left. Bit 0 is the most significant bit of the first
//! byte. APM, AQM and ADM have this form in the reply to PQAP(QCI) and in a guest's APCB.
//!
//! The driver has its own type for these sets, in `matrix/mask.rs`. The model and the specification
//! in `tools/vfio-ap-core` do not use it. With a shared type, the tested hardware would have the
//! same errors as the driver.

use std::fmt;

/// A set of the numbers 0 to 255.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct Mask([u64; 4]);

impl Mask {
    /// An empty set.
    pub const EMPTY: Self = Self([0; 4]);

    /// Returns the set of the numbers 0 to `last`.
    #[must_use]
    pub fn up_to(last: u8) -> Self {
        (0..=last).collect()
    }

    const fn place(bit: u8) -> (usize, u64) {
        ((bit >> 6) as usize, 1 << (63 - (bit & 63)))
    }

    /// Returns true if `bit` is in the set.
    #[must_use]
    pub const fn contains(&self, bit: u8) -> bool {
        let (word, mask) = Self::place(bit);
        self.0[word] & mask != 0
    }

    /// Adds `bit` to the set.
    pub const fn insert(&mut self, bit: u8) {
        let (word, mask) = Self::place(bit);
        self.0[word] |= mask;
    }

    /// Returns the numbers that are in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    /// Returns the numbers that are in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    /// Returns the numbers that are in this set and not in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        self.zip(other, |a, b| a & !b)
    }

    /// Returns true if the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// Returns the members in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u8> {
        let set = *self;
        (0..=u8::MAX).filter(move |&bit| set.contains(bit))
    }

    /// Returns the 32 bytes that the machine stores for the set.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// Returns the set whose first bytes are `bytes`, in the format of the machine. Missing bytes
    /// are 0, and bytes after the 32nd are ignored.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut words = [0; 4];
        for (index, byte) in bytes.iter().take(32).enumerate() {
            words[index / 8] |= u64::from(*byte) << (56 - index % 8 * 8);
        }
        Self(words)
    }

    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        let mut words = self.0;
        for (a, b) in words.iter_mut().zip(other.0) {
            *a = f(*a, b);
        }
        Self(words)
    }
}

impl FromIterator<u8> for Mask {
    fn from_iter<I: IntoIterator<Item = u8>>(bits: I) -> Self {
        let mut set = Self::EMPTY;
        for bit in bits {
            set.insert(bit);
        }
        set
    }
}

impl fmt::Display for Mask {
    /// Writes decimal numbers and ranges, as in `0-3,8`, and nothing for the empty set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut members = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = members.next() {
            let mut last = first;
            while let Some(next) = members.next_if(|&n| n == last + 1) {
                last = next;
            }
            write!(f, "{separator}{first}")?;
            if last != first {
                write!(f, "-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bit_0_is_the_leftmost() {
        let bytes = Mask::from_iter([0, 9, 64, 255]).to_bytes();
        let mut expected = [0; 32];
        expected[0] = 0x80;
        expected[1] = 0x40;
        expected[8] = 0x80;
        expected[31] = 0x01;
        assert_eq!(bytes, expected);
    }

    #[test]
    fn ranges_are_shown_short() {
        let show = |bits: &[u8]| bits.iter().copied().collect::<Mask>().to_string();
        assert_eq!(show(&[]), "");
        assert_eq!(show(&[7]), "7");
        assert_eq!(show(&[0, 1, 2, 3, 8]), "0-3,8");
        assert_eq!(show(&[63, 64, 254, 255]), "63-64,254-255");
        assert_eq!(Mask::up_to(255).to_string(), "0-255");
    }

    #[test]
    fn a_short_form_is_the_beginning_of_a_long_one() {
        assert_eq!(
            Mask::from_bytes(&[0x40, 0x01]).to_string(),
            "1,15",
            "two bytes"
        );
    }

    proptest! {
        #[test]
        fn bytes_are_the_set(bits: Vec<u8>) {
            let set: Mask = bits.into_iter().collect();
            prop_assert_eq!(Mask::from_bytes(&set.to_bytes()), set);
        }

        #[test]
        fn union_and_difference_are_those_of_sets(a: Vec<u8>, b: Vec<u8>) {
            let (x, y): (Mask, Mask) = (a.iter().copied().collect(), b.iter().copied().collect());
            for bit in 0..=255 {
                let (in_a, in_b) = (a.contains(&bit), b.contains(&bit));
                prop_assert_eq!(x.union(y).contains(bit), in_a || in_b);
                prop_assert_eq!(x.intersection(y).contains(bit), in_a && in_b);
                prop_assert_eq!(x.without(y).contains(bit), in_a && !in_b);
            }
        }
    }
}
