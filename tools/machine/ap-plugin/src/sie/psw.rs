// SPDX-License-Identifier: GPL-2.0
//! PSWs: the guest's own, and that of the CPU. The module is pure.
//!
//! A guest runs on the CPU in the problem state, with translation, and with interruptions of the
//! host enabled. It changes a part of its PSW natively: condition code, program mask, addressing
//! mode, access key, and the secondary space. The rest is stored separately, and instructions that
//! change the rest trap.

/// A PSW of z/Architecture.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Psw {
    /// Bits 0-63.
    pub(crate) mask: u64,
    /// Bits 64-127.
    pub(crate) address: u64,
}

/// Bits of the mask.
pub(crate) mod bits {
    /// Translation (bit 5).
    pub(crate) const DAT: u64 = 1 << 58;
    /// I/O interruptions.
    pub(crate) const IO: u64 = 1 << 57;
    /// External interruptions.
    pub(crate) const EXTERNAL: u64 = 1 << 56;
    /// The access key (bits 8-11).
    pub(crate) const KEY: u64 = 0xf << 52;
    /// Machine checks.
    pub(crate) const MACHINE_CHECK: u64 = 1 << 50;
    /// The CPU waits.
    pub(crate) const WAIT: u64 = 1 << 49;
    /// Problem state.
    pub(crate) const PROBLEM: u64 = 1 << 48;
    /// Address-space control (bits 16 and 17).
    pub(crate) const SPACE: u64 = 3 << SPACE_SHIFT;
    pub(super) const SPACE_SHIFT: u32 = 46;
    /// Condition code.
    pub(crate) const CC: u64 = 3 << CC_SHIFT;
    pub(super) const CC_SHIFT: u32 = 44;
    /// Program mask.
    pub(crate) const PROGRAM_MASK: u64 = 0xf << 40;
    /// Addressing mode.
    pub(crate) const MODE: u64 = 3 << 31;
    /// Addresses have 64 bits.
    pub(crate) const EXTENDED: u64 = 1 << 32;
}

/// The bits that a guest changes natively.
const NATIVE: u64 = bits::CC | bits::PROGRAM_MASK | bits::MODE | bits::KEY;
/// The bits of the host's mask that stay in force while a guest runs.
const HOST: u64 = bits::EXTERNAL | bits::IO | bits::MACHINE_CHECK;

/// Values of the address-space control.
pub(crate) mod space {
    pub(crate) const PRIMARY: u64 = 0;
    pub(crate) const SECONDARY: u64 = 2;
    pub(crate) const HOME: u64 = 3;
}

/// Returns the space that a mask selects, which is the primary space without translation.
pub(crate) const fn space_of(mask: u64) -> u64 {
    if mask & bits::DAT == 0 {
        space::PRIMARY
    } else {
        (mask & bits::SPACE) >> bits::SPACE_SHIFT
    }
}

/// Returns `mask` with another space.
pub(crate) const fn with_space(mask: u64, space: u64) -> u64 {
    mask & !bits::SPACE | space << bits::SPACE_SHIFT
}

/// Returns `mask` with another condition code.
pub(crate) const fn with_cc(mask: u64, cc: u8) -> u64 {
    mask & !bits::CC | (cc as u64) << bits::CC_SHIFT
}

/// Returns the mask of the CPU for a guest with mask `guest` and a host with mask `host`.
pub(crate) const fn real_mask(guest: u64, host: u64) -> u64 {
    let mask = host & HOST | bits::DAT | bits::PROBLEM | guest & NATIVE;
    // Any space of the guest's program is mapped as the primary space. The secondary space differs.
    if space_of(guest) == space::SECONDARY {
        with_space(mask, space::SECONDARY)
    } else {
        mask
    }
}

/// Returns the current mask of a guest, from the saved mask `guest` and the mask `real` of the CPU.
pub(crate) const fn absorb(guest: u64, real: u64) -> u64 {
    let mask = guest & !NATIVE | real & NATIVE;
    if guest & bits::DAT == 0 {
        return mask;
    }
    match (space_of(guest), (real & bits::SPACE) >> bits::SPACE_SHIFT) {
        (_, space::SECONDARY) => with_space(mask, space::SECONDARY),
        (space::SECONDARY, space::PRIMARY) => with_space(mask, space::PRIMARY),
        _ => mask,
    }
}

impl Psw {
    /// Returns the PSW that LPSW loads from 8 bytes.
    pub(crate) const fn from_short(short: u64) -> Self {
        const ADDRESS: u64 = 0x7fff_ffff;
        /// Bit 12, which is one in the short format and zero in the long format.
        const SHORT: u64 = 1 << 51;
        Self {
            mask: short & !ADDRESS & !SHORT,
            address: short & ADDRESS,
        }
    }

    /// Parses 16 bytes of storage.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let half = |from: usize| {
            Some(u64::from_be_bytes(
                bytes.get(from..from + 8)?.try_into().ok()?,
            ))
        };
        Some(Self {
            mask: half(0)?,
            address: half(8)?,
        })
    }

    /// Returns the stored form.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.mask) << 64 | u128::from(self.address)).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST_MASK: u64 = 0x0705_c001_8000_0000;

    #[test]
    fn a_guest_runs_in_the_problem_state_open_to_the_host() {
        // Supervisor state, no translation, no interruptions, 64 bits.
        let real = real_mask(0x0000_2000_8000_0000 | bits::EXTENDED, HOST_MASK);
        assert_eq!(real, 0x0705_2001_8000_0000);
        // The home space becomes primary, and the secondary space stays.
        assert_eq!(
            real_mask(0x0400_c001_8000_0000, HOST_MASK),
            0x0705_0001_8000_0000
        );
        assert_eq!(
            real_mask(0x0400_8001_8000_0000, HOST_MASK),
            0x0705_8001_8000_0000
        );
    }

    #[test]
    fn a_guest_never_waits_really() {
        assert_eq!(real_mask(bits::WAIT, HOST_MASK) & bits::WAIT, 0);
    }

    #[test]
    fn what_changed_natively_comes_back() {
        let guest = 0x0600_c001_8000_0000;
        let real = with_cc(real_mask(guest, HOST_MASK), 3) | 0xa << 52;
        assert_eq!(absorb(guest, real), 0x06a0_f001_8000_0000);
        let secondary = with_space(real, space::SECONDARY);
        assert_eq!(space_of(absorb(guest, secondary)), space::SECONDARY);
        let guest = with_space(guest, space::SECONDARY);
        assert_eq!(space_of(absorb(guest, real)), space::PRIMARY);
        assert_eq!(
            absorb(0, secondary) & bits::SPACE,
            0,
            "no translation, no space"
        );
    }

    #[test]
    fn absorbing_what_it_runs_with_changes_nothing() {
        for guest in [
            0,
            0x0400_0001_8000_0000,
            0x0705_8f01_8000_0000,
            0x0704_d001_8000_0000,
        ] {
            assert_eq!(absorb(guest, real_mask(guest, HOST_MASK)), guest);
        }
    }

    #[test]
    fn the_short_form() {
        let psw = Psw::from_short(0x000a_0000_8001_0000);
        assert_eq!((psw.mask, psw.address), (0x0002_0000_8000_0000, 0x1_0000));
        assert_eq!(Psw::parse(&psw.to_bytes()), Some(psw));
        assert_eq!(Psw::parse(&[0; 15]), None);
    }
}
