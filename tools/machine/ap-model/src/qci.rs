// SPDX-License-Identifier: GPL-2.0
//! The block that PQAP(QCI) stores.
//!
//! Source: `struct ap_config_info` in Linux, arch/s390/include/asm/ap.h.

use crate::limits::Limits;
use crate::mask::Mask;

/// The length of the block in bytes.
pub const LENGTH: usize = 128;

/// Returns the block for a machine with these `limits` and this host configuration.
#[must_use]
pub fn block(limits: &Limits, apm: Mask, aqm: Mask, adm: Mask) -> [u8; LENGTH] {
    let bit = |set: bool, number: u32| u8::from(set) << (7 - number);
    let mut block = [0; LENGTH];
    block[0] =
        bit(limits.apsc, 0) | bit(limits.apxa, 1) | bit(limits.qact, 2) | bit(limits.rc8a, 3);
    if limits.apxa {
        block[4] = limits.na;
        block[5] = limits.nd;
    }
    block[16..48].copy_from_slice(&apm.to_bytes());
    block[48..80].copy_from_slice(&aqm.to_bytes());
    block[80..112].copy_from_slice(&adm.to_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_the_kernel_to_the_byte() {
        let limits = Limits {
            apsc: false,
            na: 0x3f,
            nd: 0x54,
            ..Limits::default()
        };
        let block = block(
            &limits,
            Mask::from_iter([0, 15]),
            Mask::from_iter([1, 255]),
            Mask::from_iter([2, 3]),
        );
        let mut expected = [0; LENGTH];
        expected[0] = 0x60;
        expected[4] = 0x3f;
        expected[5] = 0x54;
        expected[16] = 0x80;
        expected[17] = 0x01;
        expected[48] = 0x40;
        expected[79] = 0x01;
        expected[80] = 0x30;
        assert_eq!(block, expected);
    }

    #[test]
    fn each_flag_has_its_bit() {
        let none = Limits {
            apsc: false,
            apxa: false,
            qact: false,
            rc8a: false,
            ..Limits::default()
        };
        let first =
            |limits: &Limits| block(limits, Mask::EMPTY, Mask::EMPTY, Mask::EMPTY)[..6].to_vec();
        assert_eq!(first(&none), [0; 6], "the limits count only with APXA");
        assert_eq!(first(&Limits { apsc: true, ..none })[0], 0x80);
        assert_eq!(first(&Limits { apxa: true, ..none })[0], 0x40);
        assert_eq!(first(&Limits { qact: true, ..none })[0], 0x20);
        assert_eq!(first(&Limits { rc8a: true, ..none })[0], 0x10);
    }
}
