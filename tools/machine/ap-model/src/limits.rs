// SPDX-License-Identifier: GPL-2.0
//! The AP facilities that are installed, and the highest adapter and domain numbers.
//!
//! Independent of the driver's own limits (`matrix.rs`), for the reason given in [`crate::mask`].

use crate::mask::Mask;

/// Facilities and limits. They do not change in a real machine's life; here they
/// may, but Linux looks at most of them only once, when it starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// AP instructions exist. Without them they are operation exceptions.
    pub ap: bool,
    /// Facility 12: PQAP(QCI).
    pub qci: bool,
    /// Facility 15: the T bit of PQAP(TAPQ).
    pub apft: bool,
    /// Facility 65: PQAP(AQIC).
    pub aqic: bool,
    /// AP extended addressing: numbers of 8 bits. Without it an adapter number has
    /// 6 bits and a domain number 4.
    pub apxa: bool,
    /// AP special-command facility (QCI flag S and a bit in the hardware information).
    pub apsc: bool,
    /// PQAP(QACT), QCI flag C.
    pub qact: bool,
    /// Response code 8A, QCI flag R.
    pub rc8a: bool,
    /// Highest adapter number. Counts only with `apxa`.
    pub na: u8,
    /// Highest domain number. Counts only with `apxa`.
    pub nd: u8,
}

/// Highest adapter number without APXA (Linux, ap_bus.c, `ap_max_adapter_id`).
const MAX_APID_PLAIN: u8 = 63;
/// Highest domain number without APXA (Linux, ap_bus.c, `ap_max_domain_id`).
const MAX_APQI_PLAIN: u8 = 15;

impl Default for Limits {
    /// A machine of the z14 or later.
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
    /// The highest adapter number that may be used.
    #[must_use]
    pub const fn max_apid(&self) -> u8 {
        if self.apxa { self.na } else { MAX_APID_PLAIN }
    }

    /// The highest domain number that may be used.
    #[must_use]
    pub const fn max_apqi(&self) -> u8 {
        if self.apxa { self.nd } else { MAX_APQI_PLAIN }
    }

    /// The facilities by name, in the order in which they are shown.
    #[must_use]
    pub fn flags(mut self) -> [(&'static str, bool); 8] {
        self.flags_mut().map(|(name, flag)| (name, *flag))
    }

    /// The same, to be changed.
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

    /// All adapter numbers that may be used.
    #[must_use]
    pub fn apids(&self) -> Mask {
        Mask::up_to(self.max_apid())
    }

    /// All domain numbers that may be used.
    #[must_use]
    pub fn apqis(&self) -> Mask {
        Mask::up_to(self.max_apqi())
    }
}
