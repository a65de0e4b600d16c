// SPDX-License-Identifier: GPL-2.0

//! An index of mdevs by adapter.
//!
//! Owns one bit for each adapter and mdev. An event of one adapter costs nothing for mdevs without that
//! adapter. An mdev has a slot, which is a small number.
//!
//! Part of the functional core: pure, without any dependency on the kernel.

use crate::matrix::mask::{
    Apid,
    Mask,
    IDS, //
};

/// The number of slots in one [`MdevIndex`].
pub const SLOTS: usize = u64::BITS as usize;

/// For each adapter, the slots of mdevs that have the adapter: assigned, or in the APCB of the guest.
pub struct MdevIndex {
    by_adapter: [u64; IDS],
    taken: u64,
}

impl MdevIndex {
    /// The index without mdevs.
    pub const NONE: Self = Self {
        by_adapter: [0; IDS],
        taken: 0,
    };

    /// Takes a free slot. Returns [`None`] if there is none.
    pub fn take_slot(&mut self) -> Option<usize> {
        let slot = self.taken.trailing_ones();
        self.taken |= 1u64.checked_shl(slot)?;
        Some(slot as usize)
    }

    /// Frees a slot. It must not have adapters any more.
    pub fn free_slot(&mut self, slot: usize) {
        self.taken &= !(1 << slot);
    }

    /// Replaces the adapters of a slot.
    pub fn change(&mut self, slot: usize, old: &Mask<Apid>, new: &Mask<Apid>) {
        for apid in ((*old - *new) | (*new - *old)).iter() {
            self.by_adapter[usize::from(apid.0)] ^= 1 << slot;
        }
    }

    /// Returns the slots that have one of some adapters. Returns all taken slots for [`None`].
    pub fn slots(&self, apm: Option<&Mask<Apid>>) -> Slots {
        let users = |apid: Apid| self.by_adapter[usize::from(apid.0)];
        Slots(apm.map_or(self.taken, |apm| {
            apm.iter().fold(0, |slots, apid| slots | users(apid))
        }))
    }
}

/// A set of slots. Iterates in ascending order.
#[derive(Clone, Copy, Default)]
pub struct Slots(u64);

impl Iterator for Slots {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let slot = self.0.trailing_zeros();
        self.0 &= !1u64.checked_shl(slot)?;
        Some(slot as usize)
    }
}
