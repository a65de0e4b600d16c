// SPDX-License-Identifier: GPL-2.0
//! Adapter, domain and queue numbers.
//!
//! Different types for adapters and domains prevent confusion. They do not know the limits of a
//! particular machine (see [`crate::limits`]).

use std::fmt;

/// An adapter number (AP ID), 0 to 255.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Apid(pub u8);

/// A domain number (AP queue index), 0 to 255. It selects one queue of an adapter.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Apqi(pub u8);

/// An AP queue number: an adapter and a domain.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Apqn {
    /// The adapter.
    pub apid: Apid,
    /// The domain.
    pub apqi: Apqi,
}

impl Apqn {
    /// Returns the number of the queue of adapter `apid` for domain `apqi`.
    #[must_use]
    pub const fn new(apid: u8, apqi: u8) -> Self {
        Self {
            apid: Apid(apid),
            apqi: Apqi(apqi),
        }
    }

    /// Returns the queue number in bits 48-63 of general register 0 of an AP instruction.
    #[must_use]
    pub const fn from_gr0(gr0: u64) -> Self {
        let [.., apid, apqi] = gr0.to_be_bytes();
        Self::new(apid, apqi)
    }
}

impl fmt::Display for Apid {
    /// Writes the number as Linux names a card: two hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

impl fmt::Display for Apqi {
    /// Writes the number as Linux names a domain: four hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.0)
    }
}

impl fmt::Display for Apqn {
    /// Writes the number as Linux names a queue device, as in `01.0003`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.apid, self.apqi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gr0_carries_the_queue_in_its_last_two_bytes() {
        assert_eq!(Apqn::from_gr0(0xdead_beef_0180_1203), Apqn::new(0x12, 0x03));
    }

    #[test]
    fn a_queue_is_shown_as_linux_names_it() {
        assert_eq!(Apqn::new(0x1a, 0xfe).to_string(), "1a.00fe");
    }
}
