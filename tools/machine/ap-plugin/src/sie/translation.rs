// SPDX-License-Identifier: GPL-2.0
//! Translates the addresses of a guest to those of the host, by the guest's tables, its prefix, and
//! the host's tables for its storage.
//!
//! This module caches nothing. The shadow tables do. Access registers, keys and low-address
//! protection are ignored.

use super::lowcore::code;
use crate::cpu::Cpu;

/// A space of guest addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Space {
    /// Addresses are real.
    Real,
    /// Addresses are translated by the guest's tables that this ASCE designates.
    Virtual(u64),
}

/// Bits of an address-space-control element.
mod asce {
    pub(super) const REAL: u64 = 0x20;
    /// The origin, the type and the length. The other bits are not used here.
    pub(super) const DESIGNATION: u64 = !0xff0;
}

impl Space {
    /// Returns the space that an ASCE designates.
    pub(crate) const fn designated_by(asce: u64) -> Self {
        if asce & asce::REAL != 0 {
            Self::Real
        } else {
            Self::Virtual(asce & asce::DESIGNATION)
        }
    }
}

/// The bits of an entry of any table but a page table.
pub(crate) mod entry {
    pub(crate) const ORIGIN: u64 = !0xfff;
    /// The origin of a page table.
    pub(crate) const PAGE_TABLE: u64 = !0x7ff;
    /// A segment or region that is mapped as a whole.
    pub(crate) const LARGE: u64 = 0x400;
    pub(crate) const PROTECTED: u64 = 0x200;
    /// Instruction-execution protection of a segment or region that is mapped as a whole.
    pub(super) const NO_EXECUTE: u64 = 0x100;
    pub(crate) const INVALID: u64 = 0x20;
    pub(super) const OFFSET: u64 = 0xc0;
    pub(super) const TYPE: u64 = 0xc;
    pub(super) const LENGTH: u64 = 0x3;
}

/// The bits of an entry of a page table.
pub(crate) mod page {
    pub(crate) const INVALID: u64 = 0x400;
    pub(crate) const PROTECTED: u64 = 0x200;
    pub(crate) const NO_EXECUTE: u64 = 0x100;
    pub(super) const ZERO: u64 = 0x800;
}

/// A level of tables, from the segment table (0) to the region first table (3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Level(pub(crate) u8);

impl Level {
    /// Returns the level of the table that an ASCE designates.
    pub(crate) const fn of(asce: u64) -> Self {
        Self(((asce & entry::TYPE) >> 2) as u8)
    }

    /// Returns the index of the entry for `address`.
    pub(crate) const fn index(self, address: u64) -> u64 {
        address >> self.shift() & 0x7ff
    }

    /// Returns the next level.
    pub(crate) const fn below(self) -> Option<Self> {
        match self.0 {
            0 => None,
            level => Some(Self(level - 1)),
        }
    }

    /// Returns true if `address` exceeds the range of a top table of this level.
    pub(crate) const fn is_beyond(self, address: u64) -> bool {
        self.0 < 3 && address >> (self.shift() + 11) != 0
    }

    /// Returns the number of bytes that an entry maps.
    pub(crate) const fn span(self) -> u64 {
        1 << self.shift()
    }

    const fn shift(self) -> u32 {
        20 + 11 * self.0 as u32
    }

    const fn exception(self) -> u16 {
        match self.0 {
            0 => code::SEGMENT,
            1 => code::REGION_THIRD,
            2 => code::REGION_SECOND,
            _ => code::REGION_FIRST,
        }
    }
}

/// The reason for a failed access.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// The access causes a program interruption of the guest.
    Guest {
        code: u16,
        address: u64,
        store: bool,
    },
    /// The host has to provide storage for the guest.
    Host(HostFault),
}

/// Storage of a guest that the host has not mapped, or has mapped read-only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct HostFault {
    /// The absolute address of the guest.
    pub(crate) address: u64,
    pub(crate) store: bool,
    pub(crate) protected: bool,
}

/// The result of a translation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    /// The absolute address of the host.
    pub(crate) absolute: u64,
    /// True if the guest's or the host's tables protect the page.
    pub(crate) read_only: bool,
    /// True if the guest's tables prevent instruction execution.
    pub(crate) no_execute: bool,
    /// The page-table entries of the translation.
    pub(crate) entries: Entries,
}

/// A real address of a guest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Real {
    pub(crate) address: u64,
    /// True if the guest's tables protect the page.
    read_only: bool,
    /// True if the guest's tables prevent instruction execution.
    no_execute: bool,
    /// The address of the guest's page-table entry.
    entry: Option<u64>,
}

/// The addresses of the page-table entries of a translation. Invalidating an entry ends the
/// translation.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Entries {
    /// The absolute address of the host's entry.
    pub(crate) host: Option<u64>,
    /// The real address of the guest's entry.
    pub(crate) guest: Option<u64>,
}

/// The storage of a guest CPU.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct GuestStorage {
    /// The ASCE of the host's tables for the guest's storage.
    pub(crate) gmap: u64,
    pub(crate) prefix: u64,
    /// True if the guest's control register 0 enables enhanced translation: segments and regions
    /// that are mapped as a whole, and protection of regions.
    pub(crate) large: bool,
}

/// The length of the prefix area.
const PREFIX_AREA: u64 = 0x2000;

impl GuestStorage {
    /// Converts a real to an absolute address, or an absolute to a real one.
    pub(crate) const fn prefixed(self, address: u64) -> u64 {
        if address < PREFIX_AREA {
            address + self.prefix
        } else if address.wrapping_sub(self.prefix) < PREFIX_AREA {
            address - self.prefix
        } else {
            address
        }
    }

    /// Translates a real address.
    pub(crate) fn locate_real(
        self,
        cpu: &impl Cpu,
        address: u64,
        store: bool,
    ) -> Result<Place, HostFault> {
        let address = self.prefixed(address);
        let fault = |protected| HostFault {
            address,
            store,
            protected,
        };
        let place = self.walk_host(cpu, address).ok_or(fault(false))?;
        if store && place.read_only {
            return Err(fault(true));
        }
        Ok(place)
    }

    fn walk_host(self, cpu: &impl Cpu, address: u64) -> Option<Place> {
        let mut level = Level::of(self.gmap);
        if level.is_beyond(address) {
            return None;
        }
        let mut origin = self.gmap & entry::ORIGIN;
        let mut read_only = false;
        loop {
            let value = cpu.number_at(origin + 8 * level.index(address), 8)?;
            if value & entry::INVALID != 0 {
                return None;
            }
            read_only |= value & entry::PROTECTED != 0;
            if level.0 <= 1 && value & entry::LARGE != 0 {
                let offset = level.span() - 1;
                return Some(Place {
                    absolute: value & !offset | address & offset,
                    read_only,
                    no_execute: false,
                    entries: Entries::default(),
                });
            }
            let Some(below) = level.below() else {
                let at = page_entry(value & entry::PAGE_TABLE, address);
                let value = cpu.number_at(at, 8)?;
                if value & page::INVALID != 0 {
                    return None;
                }
                return Some(Place {
                    absolute: value & entry::ORIGIN | address & !entry::ORIGIN,
                    read_only: read_only || value & page::PROTECTED != 0,
                    no_execute: false,
                    entries: Entries {
                        host: Some(at),
                        guest: None,
                    },
                });
            };
            origin = value & entry::ORIGIN;
            level = below;
        }
    }

    /// Translates an address in `space`.
    pub(crate) fn locate(
        self,
        cpu: &impl Cpu,
        space: Space,
        address: u64,
        store: bool,
    ) -> Result<Place, Fault> {
        let real = self.to_real(cpu, space, address, store)?;
        let place = self
            .locate_real(cpu, real.address, store)
            .map_err(Fault::Host)?;
        Ok(Place {
            read_only: place.read_only || real.read_only,
            no_execute: real.no_execute,
            entries: Entries {
                guest: real.entry,
                ..place.entries
            },
            ..place
        })
    }

    /// Translates an address in `space` to a real address.
    pub(crate) fn to_real(
        self,
        cpu: &impl Cpu,
        space: Space,
        address: u64,
        store: bool,
    ) -> Result<Real, Fault> {
        let Space::Virtual(asce) = space else {
            return Ok(Real {
                address,
                read_only: false,
                no_execute: false,
                entry: None,
            });
        };
        let fault = |code| Fault::Guest {
            code,
            address,
            store,
        };
        let real = self.walk_guest(cpu, asce, address).map_err(|e| match e {
            Walk::Exception(code) => fault(code),
            Walk::Host(host) => Fault::Host(host),
        })?;
        if store && real.read_only {
            return Err(fault(code::PROTECTION));
        }
        Ok(real)
    }

    fn walk_guest(self, cpu: &impl Cpu, asce: u64, address: u64) -> Result<Real, Walk> {
        let load = |real: u64| {
            let place = self.locate_real(cpu, real, false).map_err(Walk::Host)?;
            cpu.number_at(place.absolute, 8)
                .ok_or(Walk::Exception(code::ADDRESSING))
        };
        let mut level = Level::of(asce);
        if level.is_beyond(address) {
            return Err(Walk::Exception(code::ASCE_TYPE));
        }
        let mut origin = asce & entry::ORIGIN;
        // A table has four parts, and the first or the last ones can be missing.
        let (mut first, mut last) = (0, asce & entry::LENGTH);
        let mut protected = false;
        loop {
            let index = level.index(address);
            if !(first..=last).contains(&(index >> 9)) {
                return Err(Walk::Exception(level.exception()));
            }
            let value = load(origin + 8 * index)?;
            if value & entry::INVALID != 0 {
                return Err(Walk::Exception(level.exception()));
            }
            if value & entry::TYPE != u64::from(level.0) << 2 {
                return Err(Walk::Exception(code::TRANSLATION_SPECIFICATION));
            }
            protected |= value & entry::PROTECTED != 0 && (self.large || level == Level(0));
            if self.large && level.0 <= 1 && value & entry::LARGE != 0 {
                let offset = level.span() - 1;
                return Ok(Real {
                    address: value & !offset | address & offset,
                    read_only: protected,
                    no_execute: value & entry::NO_EXECUTE != 0,
                    entry: None,
                });
            }
            let Some(below) = level.below() else {
                let at = page_entry(value & entry::PAGE_TABLE, address);
                let value = load(at)?;
                if value & page::INVALID != 0 {
                    return Err(Walk::Exception(code::PAGE));
                }
                if value & page::ZERO != 0 {
                    return Err(Walk::Exception(code::TRANSLATION_SPECIFICATION));
                }
                return Ok(Real {
                    address: value & entry::ORIGIN | address & !entry::ORIGIN,
                    read_only: protected || value & page::PROTECTED != 0,
                    no_execute: value & page::NO_EXECUTE != 0,
                    entry: Some(at),
                });
            };
            (first, last) = ((value & entry::OFFSET) >> 6, value & entry::LENGTH);
            origin = value & entry::ORIGIN;
            level = below;
        }
    }
}

/// The reason for the early end of a walk of the guest's tables.
enum Walk {
    Exception(u16),
    Host(HostFault),
}

/// Returns the address of the entry for `address` in a page table.
const fn page_entry(table: u64, address: u64) -> u64 {
    table + 8 * (address >> 12 & 0xff)
}

#[cfg(test)]
#[path = "translation_tests.rs"]
mod tests;
