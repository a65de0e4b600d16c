// SPDX-License-Identifier: GPL-2.0
//! The AP facilities that are installed, and the highest adapter and domain numbers.
//!
//! They are independent of the driver's own limits (`matrix.rs`). [`crate::mask`] has the reason.

use crate::mask::Mask;

/// The facilities and limits. In a real machine they never change. In this model they can change,
/// but Linux reads most of them only once, when it boots.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// AP instructions exist. Without them, an AP instruction is an operation exception.
    pub ap: bool,
    /// Facility 12: PQAP(QCI).
    pub qci: bool,
    /// Facility 15: the T bit of PQAP(TAPQ).
    pub apft: bool,
    /// Facility 65: PQAP(AQIC).
    pub aqic: bool,
    /// AP extended addressing (APXA): numbers of 8 bits. Without it, an adapter number has 6 bits
    /// and a domain number has 4.
    pub apxa: bool,
    /// AP special-command facility: QCI flag S and a bit of the hardware information.
    pub apsc: bool,
    /// PQAP(QACT), QCI flag C.
    pub qact: bool,
    /// Response code 8A, QCI flag R.
    pub rc8a: bool,
    /// The highest adapter number. It is valid only with `apxa`.
    pub na: u8,
    /// The highest domain number. It is valid only with `apxa`.
    pub nd: u8,
}

/// The highest adapter number without APXA (Linux, ap_bus.c, `ap_max_adapter_id`).
const MAX_APID_PLAIN: u8 = 63;
/// The highest domain number without APXA (Linux, ap_bus.c, `ap_max_domain_id`).
const MAX_APQI_PLAIN: u8 = 15;

impl Default for Limits {
    /// Returns the limits of a z14 or a later machine.
    fn default() -> Self {
        Self {
            ap: true,
            qci: true,
            apft: true,
            aqic: true,
            apxa: true,
            apsc: true,
            qact: true,
            rc8a: false,
            na: 255,
            nd: 255,
        }
    }
}

impl Limits {
    /// Returns the highest valid adapter number.
    #[must_use]
    pub const fn max_apid(&self) -> u8 {
        if self.apxa { self.na } else { MAX_APID_PLAIN }
    }

    /// Returns the highest valid domain number.
    #[must_use]
    pub const fn max_apqi(&self) -> u8 {
        if self.apxa { self.nd } else { MAX_APQI_PLAIN }
    }

    /// Returns the names and values of the facilities, in the order of `show`.
    #[must_use]
    pub fn flags(mut self) -> [(&'static str, bool); 8] {
        self.flags_mut().map(|(name, flag)| (name, *flag))
    }

    /// Returns the names of the facilities with mutable references to their values.
    pub fn flags_mut(&mut self) -> [(&'static str, &mut bool); 8] {
        [
            ("ap", &mut self.ap),
            ("qci", &mut self.qci),
            ("apft", &mut self.apft),
            ("aqic", &mut self.aqic),
            ("apxa", &mut self.apxa),
            ("apsc", &mut self.apsc),
            ("qact", &mut self.qact),
            ("rc8a", &mut self.rc8a),
        ]
    }

    /// Returns all valid adapter numbers.
    #[must_use]
    pub fn apids(&self) -> Mask {
        Mask::up_to(self.max_apid())
    }

    /// Returns all valid domain numbers.
    #[must_use]
    pub fn apqis(&self) -> Mask {
        Mask::up_to(self.max_apqi())
    }
}
