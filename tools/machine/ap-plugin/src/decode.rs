// SPDX-License-Identifier: GPL-2.0
//! Decodes the instructions of interest and their operand fields. The module is pure.
//!
//! Instructions that are targets of EXECUTE are ignored. Linux executes none of them in this way.

use crate::sie::Leak;

/// An instruction that the plugin executes, or whose result it amends.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Instruction {
    /// Process AP queue, B2AF.
    Pqap,
    /// Enqueue to AP queue, B2AD.
    Nqap { r1: u8, r2: u8 },
    /// Dequeue from AP queue, B2AE.
    Dqap { r1: u8, r2: u8 },
    /// Store facility list extended, B2B0.
    Stfle { base: u8, displacement: u16 },
    /// Service call, B220: the command in R1, the block in R2.
    Servc { r1: u8, r2: u8 },
    /// Channel subsystem call, B25F.
    Chsc { r1: u8 },
    /// Perform locked operation, EE.
    Plo,
    /// Start interpretive execution, B214: the address of the state description.
    Sie { base: u8, displacement: u16 },
    /// Invalidate page-table entries, B221: the table, the address, the number of additional
    /// entries.
    Ipte { r1: u8, r2: u8, r3: u8 },
    /// Invalidate DAT-table entries, B98E: the controls in R2, the ASCE in R3.
    Idte { r2: u8, r3: u8 },
    /// Another instruction that purges translations: CRDTE, CSP, CSPG, PTLB.
    Purge,
    /// Branch to an address in the lowcore, 47F0 without a base.
    BranchToLowcore { target: u16 },
    /// Test protection, E501. It is privileged, but QEMU executes it in the problem state.
    Tprot,
    /// An instruction of interest if a guest executes it. STFLE is another one.
    Leak(Leak),
    /// The back door of this machine, B2FE. The architecture does not assign this opcode.
    BackDoor,
}

impl Instruction {
    /// The length of the longest instruction.
    pub(crate) const MAX_LENGTH: usize = 6;

    /// Returns the instruction of interest at the start of `bytes`.
    pub(crate) fn decode(bytes: [u8; Self::MAX_LENGTH]) -> Option<Self> {
        let registers = |byte: u8| (byte >> 4, byte & 0xf);
        let storage = |high: u8, low| (high >> 4, u16::from_be_bytes([high & 0xf, low]));
        Some(match bytes {
            [0xee, ..] => Self::Plo,
            [0xe5, 0x01, ..] => Self::Tprot,
            [0xb2, 0x20, _, operands, ..] => {
                let (r1, r2) = registers(operands);
                Self::Servc { r1, r2 }
            }
            [0xb2, 0x5f, _, operands, ..] => Self::Chsc {
                r1: registers(operands).0,
            },
            [0xb2, 0xad, _, operands, ..] => {
                let (r1, r2) = registers(operands);
                Self::Nqap { r1, r2 }
            }
            [0xb2, 0xae, _, operands, ..] => {
                let (r1, r2) = registers(operands);
                Self::Dqap { r1, r2 }
            }
            [0xb2, 0xaf, ..] => Self::Pqap,
            [0xb2, 0xb0, high, low, ..] => {
                let (base, displacement) = storage(high, low);
                Self::Stfle { base, displacement }
            }
            [0xb2, 0x14, high, low, ..] => {
                let (base, displacement) = storage(high, low);
                Self::Sie { base, displacement }
            }
            [0xb2, 0x21, third, operands, ..] => {
                let (r1, r2) = registers(operands);
                let (r3, _) = registers(third);
                Self::Ipte { r1, r2, r3 }
            }
            [0xb9, 0x8e, third, operands, ..] => Self::Idte {
                r2: registers(operands).1,
                r3: registers(third).0,
            },
            [0xb2, 0x0d | 0x50, ..] | [0xb9, 0x8a | 0x8f, ..] => Self::Purge,
            // STCK, STCKF and STCKE. The operand of STCKE has the clock after an epoch index.
            [0xb2, operation @ (0x05 | 0x7c | 0x78), high, low, ..] => {
                let (base, displacement) = storage(high, low);
                Self::Leak(Leak::StoreClock {
                    base,
                    displacement,
                    offset: u8::from(operation == 0x78),
                })
            }
            [0xb9, 0x8d, _, operands, ..] => Self::Leak(Leak::Epsw {
                r1: registers(operands).0,
            }),
            [0xb2, 0xfe, 0, 0, ..] => Self::BackDoor,
            [0x47, 0xf0, high @ 0..=0x0f, low, ..] => Self::BranchToLowcore {
                target: u16::from_be_bytes([high, low]),
            },
            _ => return None,
        })
    }

    /// Returns the length in bytes.
    pub(crate) const fn length(self) -> u64 {
        match self {
            Self::Plo | Self::Tprot => 6,
            _ => 4,
        }
    }

    /// Returns true if QEMU executes the instruction and the plugin amends the result.
    pub(crate) const fn is_amended(self) -> bool {
        matches!(
            self,
            Self::Stfle { .. }
                | Self::Servc { .. }
                | Self::Chsc { .. }
                | Self::Ipte { .. }
                | Self::Idte { .. }
                | Self::Purge
                | Self::Leak(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(word: u32) -> Option<Instruction> {
        let [a, b, c, d] = word.to_be_bytes();
        Instruction::decode([a, b, c, d, 0x07, 0x07])
    }

    #[test]
    fn ap_instructions() {
        assert_eq!(decode(0xb2af_0000), Some(Instruction::Pqap));
        assert_eq!(
            decode(0xb2ad_0024),
            Some(Instruction::Nqap { r1: 2, r2: 4 })
        );
        assert_eq!(
            decode(0xb2ae_00ac),
            Some(Instruction::Dqap { r1: 10, r2: 12 })
        );
    }

    #[test]
    fn amended_instructions() {
        assert_eq!(
            decode(0xb2b0_f0a8),
            Some(Instruction::Stfle {
                base: 15,
                displacement: 0xa8
            })
        );
        assert_eq!(
            decode(0xb220_0012),
            Some(Instruction::Servc { r1: 1, r2: 2 })
        );
        assert_eq!(decode(0xb25f_0030), Some(Instruction::Chsc { r1: 3 }));
        for word in [0xb2b0_f0a8, 0xb220_0012, 0xb25f_0030] {
            assert!(decode(word).unwrap().is_amended());
        }
    }

    #[test]
    fn instructions_about_guests() {
        assert_eq!(
            decode(0xb214_e000),
            Some(Instruction::Sie {
                base: 14,
                displacement: 0
            })
        );
        for word in [0xb20d_0000, 0xb250_0024, 0xb98f_0012, 0xb98a_0024] {
            assert_eq!(decode(word), Some(Instruction::Purge));
        }
        assert_eq!(
            decode(0xb221_4023),
            Some(Instruction::Ipte {
                r1: 2,
                r2: 3,
                r3: 4
            })
        );
        assert_eq!(
            decode(0xb98e_4023),
            Some(Instruction::Idte { r2: 3, r3: 4 })
        );
        let offset = |word| match decode(word) {
            Some(Instruction::Leak(Leak::StoreClock { offset, .. })) => offset,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            [0xb205_f000, 0xb27c_f000, 0xb278_f000].map(offset),
            [0, 0, 1]
        );
        assert_eq!(
            decode(0xb98d_0030),
            Some(Instruction::Leak(Leak::Epsw { r1: 3 }))
        );
    }

    #[test]
    fn branches_to_the_lowcore() {
        let target = 0x400;
        let branch = Some(Instruction::BranchToLowcore { target });
        assert_eq!(decode(0x47f0_0400), branch);
        for other in [0x47f0_1400, 0x47f1_0400, 0x4780_0400] {
            assert_eq!(decode(other), None);
        }
    }

    #[test]
    fn lengths() {
        assert_eq!(decode(0xee00_0000).unwrap().length(), 6);
        assert_eq!(decode(0xe501_1000).unwrap().length(), 6);
        assert_eq!(decode(0xb2af_0000).unwrap().length(), 4);
    }

    #[test]
    fn the_back_door_is_one_opcode_only() {
        assert_eq!(decode(0xb2fe_0000), Some(Instruction::BackDoor));
        assert_eq!(decode(0xb2fe_0001), None);
        assert_eq!(decode(0xb2ff_0000), None);
        assert_eq!(decode(0x0707_0707), None);
    }
}
