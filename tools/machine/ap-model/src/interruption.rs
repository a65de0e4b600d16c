// SPDX-License-Identifier: GPL-2.0
//! The operands of PQAP(AQIC): the receiver of interruptions, and their indicator.
//!
//! Source: `union ap_qirq_ctrl` in Linux, arch/s390/include/asm/ap.h.

use crate::status::ResponseCode;
use std::fmt;

/// A guest that receives interruptions through its interruption state area.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gisa {
    /// The absolute address of the area.
    pub origin: u32,
    /// The format of the area, 0 or 1.
    pub format: u8,
    /// The interruption subclass in the guest.
    pub isc: u8,
}

/// The receiver of the interruptions of a queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Interruption {
    /// The absolute address of the notification-indicator byte.
    pub nib: u64,
    /// The interruption subclass in the host.
    pub isc: u8,
    /// The guest, if the interruption is for a guest.
    pub gisa: Option<Gisa>,
}

impl Interruption {
    /// Decodes general registers 1 and 2. `None` is a request to disable interruptions.
    ///
    /// # Errors
    ///
    /// Returns response code 08 if the format of the guest's area is unknown.
    pub fn decode(gr1: u64, gr2: u64) -> Result<Option<Self>, ResponseCode> {
        const ENABLE: u64 = 1 << 47;
        if gr1 & ENABLE == 0 {
            return Ok(None);
        }
        let field = |shift: u32, mask: u64| (gr1 >> shift & mask) as u8;
        // Bits 33-59 are the leftmost bits of an address of 31 bits.
        let origin = (gr1 & 0x7fff_fff0) as u32;
        let format = field(32, 0b11);
        let gisa = match (origin, format) {
            (0, _) => None,
            (_, 0 | 1) => Some(Gisa {
                origin,
                format,
                isc: field(40, 0b111),
            }),
            _ => return Err(ResponseCode::INVALID_GISA),
        };
        Ok(Some(Self {
            nib: gr2,
            isc: field(0, 0b111),
            gisa,
        }))
    }
}

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nib={:#x} isc={}", self.nib, self.isc)?;
        if let Some(gisa) = self.gisa {
            write!(
                f,
                " gisa={:#x} format={} guest isc={}",
                gisa.origin, gisa.format, gisa.isc
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bit_decides_whether_it_is_enabled() {
        assert_eq!(Interruption::decode(!(1 << 47), 0), Ok(None));
    }

    #[test]
    fn a_host_interruption_has_no_gisa() {
        assert_eq!(
            Interruption::decode(1 << 47 | 3, 0x1234),
            Ok(Some(Interruption {
                nib: 0x1234,
                isc: 3,
                gisa: None
            }))
        );
    }

    #[test]
    fn a_guest_interruption_names_area_format_and_both_subclasses() {
        let gr1 = 1 << 47 | 6 << 40 | 1 << 32 | 0x7654_3210 | 5;
        assert_eq!(
            Interruption::decode(gr1, 8),
            Ok(Some(Interruption {
                nib: 8,
                isc: 5,
                gisa: Some(Gisa {
                    origin: 0x7654_3210,
                    format: 1,
                    isc: 6
                })
            }))
        );
    }

    #[test]
    fn an_unknown_format_is_refused() {
        for format in [2, 3] {
            let gr1 = 1 << 47 | format << 32 | 0x1000;
            assert_eq!(
                Interruption::decode(gr1, 8),
                Err(ResponseCode::INVALID_GISA)
            );
        }
    }
}
