// SPDX-License-Identifier: GPL-2.0
//! An installed adapter: type, mode, state, and the hardware information in the reply to
//! PQAP(TAPQ).
//!
//! Source of the layout: `struct ap_tapq_hwinfo` in Linux,
//! arch/s390/include/asm/ap.h.

use crate::limits::Limits;
use std::fmt;

/// The hardware type of an adapter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AdapterType(pub u8);

impl AdapterType {
    /// The lowest type with a name in the control language. CEX4 is 10 and CEX8 is 14.
    const CEX4: u8 = 10;
    const CEX8: u8 = 14;

    /// Returns the type of the Crypto Express adapter of `generation` 4 to 8.
    #[must_use]
    pub const fn cex(generation: u8) -> Option<Self> {
        if generation >= 4 && generation <= 8 {
            Some(Self(Self::CEX4 + generation - 4))
        } else {
            None
        }
    }
}

impl fmt::Display for AdapterType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            raw @ Self::CEX4..=Self::CEX8 => write!(f, "cex{}", raw - Self::CEX4 + 4),
            raw => write!(f, "{raw}"),
        }
    }
}

/// The mode of an adapter, which depends on its firmware.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// The clear-key accelerator.
    Accelerator,
    /// The CCA coprocessor.
    Cca,
    /// The EP11 (XCP) coprocessor.
    Ep11,
}

impl Mode {
    /// Returns the letter of the mode. Linux and the control language append it to the type.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Accelerator => 'a',
            Self::Cca => 'c',
            Self::Ep11 => 'p',
        }
    }

    /// Returns the mode with this letter.
    #[must_use]
    pub const fn from_letter(letter: char) -> Option<Self> {
        Some(match letter {
            'a' => Self::Accelerator,
            'c' => Self::Cca,
            'p' => Self::Ep11,
            _ => return None,
        })
    }

    /// Returns the facility bit of the mode: D (bit 3), A (bit 4) or X (bit 5).
    const fn facility(self) -> u64 {
        match self {
            Self::Cca => 1 << 60,
            Self::Accelerator => 1 << 59,
            Self::Ep11 => 1 << 58,
        }
    }
}

/// The state of an adapter or of one of its queues.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum State {
    /// The adapter works.
    #[default]
    Online,
    /// The service element or SCLP has deconfigured the adapter. The response code is 03.
    Deconfigured,
    /// The adapter is broken. The response code is 04.
    Checkstopped,
}

impl State {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Online, Self::Deconfigured, Self::Checkstopped];

    /// Returns the name of the state in the control language.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Deconfigured => "deconfigured",
            Self::Checkstopped => "checkstopped",
        }
    }
}

/// An installed adapter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Adapter {
    /// The type.
    pub kind: AdapterType,
    /// The mode.
    pub mode: Mode,
    /// The number of messages that each queue holds, 1 to 32.
    pub depth: u8,
    /// The state.
    pub state: State,
}

impl Adapter {
    /// The depth of the queues of all real adapters.
    pub const DEFAULT_DEPTH: u8 = 8;
    /// The maximum depth. The field contains the depth minus one in five bits.
    pub const MAX_DEPTH: u8 = 32;

    /// Returns general register 2 after PQAP(TAPQ).
    #[must_use]
    pub fn hardware_info(&self, limits: &Limits) -> u64 {
        let bit = |set: bool, number: u32| u64::from(set) << (63 - number);
        // RSA with keys of 4096 bits, in the modulus-exponent form (1) and the CRT form (2).
        bit(limits.apsc, 0)
            | bit(true, 1)
            | bit(true, 2)
            | self.mode.facility()
            | bit(limits.apxa, 6)
            | u64::from(self.kind.0) << 24
            | u64::from(limits.max_apqi()) << 16
            | u64::from(self.depth - 1)
    }
}

impl fmt::Display for Adapter {
    /// Writes the type and the mode, as in `cex7c`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind, self.mode.letter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_info_has_the_layout_of_the_kernel() {
        let adapter = Adapter {
            kind: AdapterType::cex(7).unwrap(),
            mode: Mode::Cca,
            depth: 8,
            state: State::Online,
        };
        let limits = Limits {
            apsc: false,
            nd: 0x54,
            ..Limits::default()
        };
        assert_eq!(adapter.hardware_info(&limits), 0x7200_0000_0d54_0007);
        let accelerator = Adapter {
            mode: Mode::Accelerator,
            ..adapter
        };
        assert_eq!(
            accelerator.hardware_info(&limits) >> 56,
            0b0110_1010,
            "A and N"
        );
        let ep11 = Adapter {
            mode: Mode::Ep11,
            ..adapter
        };
        assert_eq!(ep11.hardware_info(&limits) >> 56, 0b0110_0110, "X and N");
    }

    #[test]
    fn without_apxa_there_are_16_domains() {
        let adapter = Adapter {
            kind: AdapterType(10),
            mode: Mode::Cca,
            depth: 1,
            state: State::Online,
        };
        let limits = Limits {
            apxa: false,
            ..Limits::default()
        };
        let info = adapter.hardware_info(&limits);
        assert_eq!(info & 1 << 57, 0);
        assert_eq!(info & 0xffff_ffff, 0x0a0f_0000);
    }

    #[test]
    fn types_beyond_the_known_are_shown_as_numbers() {
        assert_eq!(AdapterType::cex(4), Some(AdapterType(10)));
        assert_eq!(AdapterType::cex(9), None);
        assert_eq!(AdapterType(14).to_string(), "cex8");
        assert_eq!(AdapterType(15).to_string(), "15");
        assert_eq!(AdapterType(9).to_string(), "9");
    }
}
