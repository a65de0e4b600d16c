// SPDX-License-Identifier: GPL-2.0
//! Which instructions are of interest, and their operand fields. Pure.
//!
//! The target of EXECUTE is not looked at: Linux executes none of these that way.

/// An instruction that the plugin executes itself, or whose result it amends.
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
    /// Service call, B220: command in R1, block in R2.
    Servc { r1: u8, r2: u8 },
    /// Channel subsystem call, B25F.
    Chsc { r1: u8 },
    /// Perform locked operation, EE.
    Plo,
    /// The back door of this machine, B2FE: not assigned in the architecture.
    BackDoor,
}

impl Instruction {
    /// The longest instruction, in bytes.
    pub(crate) const MAX_LENGTH: usize = 6;

    /// The instruction of interest that `bytes` begin with.
    pub(crate) fn decode(bytes: [u8; Self::MAX_LENGTH]) -> Option<Self> {
        let registers = |byte: u8| (byte >> 4, byte & 0xf);
        Some(match bytes {
            [0xee, ..] => Self::Plo,
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
                let (base, _) = registers(high);
                let displacement = u16::from_be_bytes([high & 0xf, low]);
                Self::Stfle { base, displacement }
            }
            [0xb2, 0xfe, 0, 0, ..] => Self::BackDoor,
            _ => return None,
        })
    }

    /// Its length in bytes.
    pub(crate) const fn length(self) -> u64 {
        match self {
            Self::Plo => 6,
            _ => 4,
        }
    }

    /// Does QEMU execute it, and the plugin amend what comes out?
    pub(crate) const fn is_amended(self) -> bool {
        matches!(
            self,
            Self::Stfle { .. } | Self::Servc { .. } | Self::Chsc { .. }
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
    fn lengths() {
        assert_eq!(decode(0xee00_0000).unwrap().length(), 6);
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
