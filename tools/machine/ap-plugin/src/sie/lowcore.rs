// SPDX-License-Identifier: GPL-2.0
//! The assigned storage locations of interruptions, and the classes of interruptions. They are the
//! same for host and guest. The module is pure.

/// Interruption code of an external, SVC or program interruption.
pub(crate) const PROGRAM_ILC: u64 = 0x8c;
pub(crate) const PROGRAM_CODE: u64 = 0x8e;
/// The instruction length and the number of an SVC.
pub(crate) const SVC_ILC: u64 = 0x88;
/// The data-exception code or the vector-exception code.
pub(crate) const DATA_CODE: u64 = 0x90;
/// Exception access identification.
pub(crate) const ACCESS_ID: u64 = 0xa0;
/// Translation-exception identification.
pub(crate) const TRANSLATION_ID: u64 = 0xa8;
/// I/O interruption code: subsystem identification, parameter, identification word.
pub(crate) const IO_CODE: u64 = 0xb8;
/// Breaking-event address.
pub(crate) const BREAKING_EVENT: u64 = 0x110;

/// A class of interruptions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Class {
    Restart,
    External,
    Svc,
    Program,
    MachineCheck,
    Io,
}

impl Class {
    pub(crate) const ALL: [Self; 6] = [
        Self::Restart,
        Self::External,
        Self::Svc,
        Self::Program,
        Self::MachineCheck,
        Self::Io,
    ];

    /// Returns the offset of the old PSW.
    pub(crate) const fn old_psw(self) -> u64 {
        0x120 + 0x10 * self as u64
    }

    /// Returns the offset of the new PSW.
    pub(crate) const fn new_psw(self) -> u64 {
        0x1a0 + 0x10 * self as u64
    }
}

/// Program-interruption codes.
pub(crate) mod code {
    pub(crate) const OPERATION: u16 = 0x01;
    pub(crate) const PRIVILEGED: u16 = 0x02;
    pub(crate) const PROTECTION: u16 = 0x04;
    pub(crate) const ADDRESSING: u16 = 0x05;
    pub(crate) const SPECIFICATION: u16 = 0x06;
    pub(crate) const SEGMENT: u16 = 0x10;
    pub(crate) const PAGE: u16 = 0x11;
    pub(crate) const TRANSLATION_SPECIFICATION: u16 = 0x12;
    pub(crate) const ASCE_TYPE: u16 = 0x38;
    pub(crate) const REGION_FIRST: u16 = 0x39;
    pub(crate) const REGION_SECOND: u16 = 0x3a;
    pub(crate) const REGION_THIRD: u16 = 0x3b;

    /// The bits for PER and for transactions, which are not part of the code proper.
    pub(crate) const EVENTS: u16 = 0x0280;
}

/// Returns true if the old PSW of an interruption with this code points to the instruction, which
/// is then executed again. The old PSW of others points to the next instruction.
pub(crate) const fn nullifies(program_code: u16) -> bool {
    matches!(
        program_code,
        code::SEGMENT
            | code::PAGE
            | code::ASCE_TYPE
            | code::REGION_FIRST
            | code::REGION_SECOND
            | code::REGION_THIRD
    )
}

/// Bits of the translation-exception identification.
pub(crate) mod teid {
    /// The access was a fetch.
    pub(crate) const FETCH: u64 = 0x800;
    /// The access was a store.
    pub(crate) const STORE: u64 = 0x400;
    /// For a protection exception: the address is valid.
    pub(crate) const PROTECTION: u64 = 0x4;
    /// For a protection exception: low-address protection, or, if the address is valid,
    /// instruction-execution protection.
    pub(crate) const KIND: u64 = 0x80;
    /// The number of the space.
    pub(crate) const SPACE: u64 = 0x3;
    /// The address of the page.
    pub(crate) const PAGE: u64 = !0xfff;
}

/// Returns the identification of an exception.
pub(crate) const fn translation_id(
    program_code: u16,
    address: u64,
    store: bool,
    space: u64,
) -> u64 {
    let access = if store { teid::STORE } else { teid::FETCH };
    let protection = if program_code == code::PROTECTION {
        teid::PROTECTION
    } else {
        0
    };
    address & teid::PAGE | access | protection | space
}

/// Returns true if low-address protection applies to `address`.
pub(crate) const fn is_low(address: u64) -> bool {
    address & !0x1fff == 0 && address & 0xfff < 512
}

/// Returns the identification of a store to a low address.
pub(crate) const fn low_address_id(address: u64, space: u64) -> u64 {
    address & teid::PAGE | teid::STORE | teid::KIND | space
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_addresses_are_the_first_512_of_the_first_two_pages() {
        let low = [0, 511, 4096, 4607].map(is_low);
        assert_eq!(low, [true; 4]);
        let others = [512, 4095, 4608, 8192, u64::MAX].map(is_low);
        assert_eq!(others, [false; 5]);
    }

    #[test]
    fn each_class_has_its_psws() {
        let places = Class::ALL.map(|class| (class.old_psw(), class.new_psw()));
        assert_eq!(
            places,
            [
                (0x120, 0x1a0),
                (0x130, 0x1b0),
                (0x140, 0x1c0),
                (0x150, 0x1d0),
                (0x160, 0x1e0),
                (0x170, 0x1f0)
            ]
        );
    }

    #[test]
    fn identifications() {
        assert_eq!(translation_id(code::PAGE, 0x1234, false, 3), 0x1803);
        assert_eq!(translation_id(code::PROTECTION, 0x1234, true, 0), 0x1404);
        assert!(nullifies(code::PAGE) && !nullifies(code::PROTECTION));
    }
}
