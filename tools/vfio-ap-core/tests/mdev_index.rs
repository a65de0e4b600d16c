// SPDX-License-Identifier: GPL-2.0

//! Tests that the index of mdevs by adapter has the same results as a search of all mdevs.

use proptest::prelude::*;
use vfio_ap_core::{
    mask::{Apid, Mask},
    mdev_index::{MdevIndex, SLOTS},
};

fn adapters(bits: u8) -> Mask<Apid> {
    let number = |i: u8| Apid(i * 36);
    (0..8).fold(Mask::EMPTY, |mask, i| match bits >> i & 1 {
        1 => mask | Mask::only(number(i)),
        _ => mask,
    })
}

proptest! {
    #[test]
    fn the_index_finds_whom_a_search_finds(
        changes in prop::collection::vec((0..SLOTS, any::<u8>()), 0..100),
        asked in any::<u8>(),
    ) {
        let mut index = MdevIndex::NONE;
        let mut all = [0u8; SLOTS];
        for (slot, bits) in changes {
            index.change(slot, &adapters(all[slot]), &adapters(bits));
            all[slot] = bits;
        }
        let found: Vec<usize> = index.slots(Some(&adapters(asked))).collect();
        let expected: Vec<usize> = (0..SLOTS).filter(|slot| all[*slot] & asked != 0).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn each_slot_is_taken_once(freed in prop::collection::btree_set(0..SLOTS, 0..SLOTS)) {
        let mut index = MdevIndex::NONE;
        for slot in 0..SLOTS {
            prop_assert_eq!(index.take_slot(), Some(slot));
        }
        prop_assert_eq!(index.take_slot(), None);
        prop_assert!(index.slots(None).eq(0..SLOTS));
        for slot in &freed {
            index.free_slot(*slot);
        }
        prop_assert!(index.slots(None).eq((0..SLOTS).filter(|slot| !freed.contains(slot))));
        let mut again = Vec::new();
        while let Some(slot) = index.take_slot() {
            again.push(slot);
        }
        prop_assert!(again.iter().eq(&freed));
    }
}
