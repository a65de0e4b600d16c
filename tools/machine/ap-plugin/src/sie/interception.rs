// SPDX-License-Identifier: GPL-2.0
//! The exits from a guest that none of its instructions causes. The module is pure.

use super::psw::bits;
use super::state_description::cpuflags;

/// Interception codes.
pub(crate) mod code {
    pub(crate) const NONE: u8 = 0x00;
    pub(crate) const INSTRUCTION: u8 = 0x04;
    pub(crate) const PROGRAM: u8 = 0x08;
    pub(crate) const EXTERNAL_REQUEST: u8 = 0x10;
    pub(crate) const IO_REQUEST: u8 = 0x18;
    pub(crate) const WAIT: u8 = 0x1c;
    pub(crate) const VALIDITY: u8 = 0x20;
    pub(crate) const STOP_REQUEST: u8 = 0x28;
    pub(crate) const OPERATION: u8 = 0x2c;
}

/// Returns the interception that `flags` of the host request for a guest with PSW mask `mask`. A
/// stop request is the kick, and always has an effect.
pub(crate) const fn requested(flags: u32, mask: u64) -> Option<u8> {
    if flags & cpuflags::STOP != 0 {
        Some(code::STOP_REQUEST)
    } else if flags & cpuflags::EXTERNAL != 0 && mask & bits::EXTERNAL != 0 {
        Some(code::EXTERNAL_REQUEST)
    } else if flags & cpuflags::IO != 0 && mask & bits::IO != 0 {
        Some(code::IO_REQUEST)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_request_is_granted_to_anybody_and_the_others_to_enabled_guests() {
        let all = cpuflags::STOP | cpuflags::EXTERNAL | cpuflags::IO;
        assert_eq!(requested(all, 0), Some(code::STOP_REQUEST));
        let interrupts = cpuflags::EXTERNAL | cpuflags::IO;
        assert_eq!(requested(interrupts, 0), None);
        assert_eq!(requested(interrupts, bits::IO), Some(code::IO_REQUEST));
        assert_eq!(
            requested(interrupts, bits::IO | bits::EXTERNAL),
            Some(code::EXTERNAL_REQUEST)
        );
        assert_eq!(requested(0, u64::MAX), None);
    }
}
