// SPDX-License-Identifier: GPL-2.0

//! Which mdevs have to do with which adapter: the same as by looking at each of them.

use proptest::prelude::*;
use vfio_ap_core::{
    mask::{Apid, Mask},
    users::Users,
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
        changes in prop::collection::vec((0usize..200, any::<u8>()), 0..100),
        asked in any::<u8>(),
    ) {
        let mut users = Users::new(Vec::new());
        let mut all = [0u8; 200];
        for (slot, bits) in changes {
            while users.slots() <= slot {
                let more = Users::<Vec<u64>>::words_for(users.slots() + 64);
                users.grow(vec![0; more]);
            }
            users.change(slot, &adapters(all[slot]), &adapters(bits));
            all[slot] = bits;
        }
        let found: Vec<usize> = users.of(adapters(asked)).collect();
        let expected: Vec<usize> = (0..200).filter(|slot| all[*slot] & asked != 0).collect();
        prop_assert_eq!(found, expected);
    }
}
