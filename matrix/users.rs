// SPDX-License-Identifier: GPL-2.0

//! Which mdevs have to do with which adapter.
//!
//! Owns one bit for each adapter and mdev, so that what happens to an adapter costs nothing for the
//! mdevs that have nothing to do with it. Knows mdevs by small numbers only, their slots.
//!
//! Part of the functional core: pure, without any dependency on the kernel.

use core::ops::DerefMut;

use crate::matrix::mask::{
    Apid,
    Mask,
    IDS, //
};

/// Slots in one word.
const SLOTS: usize = u64::BITS as usize;

/// A bit for each adapter and slot: for each adapter as many words as all slots take.
pub struct Users<W> {
    words: W,
}

impl<W: DerefMut<Target = [u64]>> Users<W> {
    /// How many words there have to be for so many slots.
    pub const fn words_for(slots: usize) -> usize {
        IDS * slots.div_ceil(SLOTS)
    }

    /// Nobody uses anything. `words` are all 0, as many as [`Self::words_for`] says.
    pub const fn new(words: W) -> Self {
        Self { words }
    }

    fn width(&self) -> usize {
        self.words.len() / IDS
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.width() * SLOTS
    }

    /// Moves all bits to `words`, which are all 0, and more. Returns the words that they were in.
    pub fn grow(&mut self, words: W) -> W {
        let (old, width) = (core::mem::replace(&mut self.words, words), self.width());
        let old_width = old.len() / IDS;
        if old_width != 0 {
            for (new, old) in self.words.chunks_mut(width).zip(old.chunks(old_width)) {
                for (new, old) in new.iter_mut().zip(old) {
                    *new = *old;
                }
            }
        }
        old
    }

    /// The adapters that a slot has to do with were `old`, and are `new` from now on.
    pub fn change(&mut self, slot: usize, old: &Mask<Apid>, new: &Mask<Apid>) {
        let (width, bit) = (self.width(), 1 << (slot % SLOTS));
        for apid in ((*old - *new) | (*new - *old)).iter() {
            let place = usize::from(apid.0) * width + slot / SLOTS;
            if let Some(word) = self.words.get_mut(place) {
                *word = if new.contains(apid) {
                    *word | bit
                } else {
                    *word & !bit
                };
            }
        }
    }

    /// The slots that have to do with one of these adapters, each once, in their order.
    pub fn of(&self, apm: Mask<Apid>) -> impl Iterator<Item = usize> + '_ {
        let width = self.width();
        (0..width).flat_map(move |column| {
            let word = |apid: Apid| self.words.get(usize::from(apid.0) * width + column);
            let all = apm.iter().filter_map(word).fold(0, |all, word| all | word);
            Bits(all).map(move |bit| column * SLOTS + bit)
        })
    }
}

/// The numbers of the bits of a word that are 1, the lowest first.
struct Bits(u64);

impl Iterator for Bits {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(bit)
    }
}
