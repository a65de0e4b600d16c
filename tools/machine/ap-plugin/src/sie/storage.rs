// SPDX-License-Identifier: GPL-2.0
//! Accesses storage of a guest by addresses of its program, for instructions that are executed for
//! the guest.

use super::translation::{Fault, GuestStorage, Space};
use crate::cpu::Cpu;

/// A space of a guest CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) storage: GuestStorage,
    pub(crate) space: Space,
}

const PAGE: u64 = 0x1000;

/// Returns the pieces of `length` bytes from `address` on. No piece crosses the end of a page.
fn pieces(address: u64, length: usize) -> impl Iterator<Item = (u64, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = address.wrapping_add(done as u64);
        let room = usize::try_from(PAGE - at % PAGE).unwrap_or(0);
        let count = room.min(length - done);
        done += count;
        (count != 0).then_some((at, count))
    })
}

impl Window {
    /// Fetches bytes.
    pub(crate) fn read(
        self,
        cpu: &impl Cpu,
        address: u64,
        length: usize,
    ) -> Result<Vec<u8>, Fault> {
        let mut data = Vec::with_capacity(length);
        for (at, count) in pieces(address, length) {
            let place = self.storage.locate(cpu, self.space, at, false)?;
            let piece = cpu.read_absolute(place.absolute, count);
            data.extend(piece.unwrap_or_else(|| vec![0; count]));
        }
        Ok(data)
    }

    /// Fetches a number of at most 8 bytes.
    pub(crate) fn number(self, cpu: &impl Cpu, address: u64, length: usize) -> Result<u64, Fault> {
        let bytes = self.read(cpu, address, length)?;
        Ok(bytes
            .iter()
            .fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// Checks that all `length` bytes are accessible.
    pub(crate) fn probe(
        self,
        cpu: &impl Cpu,
        address: u64,
        length: usize,
        store: bool,
    ) -> Result<(), Fault> {
        pieces(address, length)
            .try_for_each(|(at, _)| self.storage.locate(cpu, self.space, at, store).map(drop))
    }

    /// Stores all bytes, or none after a fault.
    pub(crate) fn write(self, cpu: &mut impl Cpu, address: u64, data: &[u8]) -> Result<(), Fault> {
        let mut places = Vec::new();
        for (at, count) in pieces(address, data.len()) {
            places.push((self.storage.locate(cpu, self.space, at, true)?, count));
        }
        let mut rest = data;
        for (place, count) in places {
            let (piece, next) = rest.split_at(count);
            cpu.write_absolute(place.absolute, piece);
            rest = next;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_with_their_pages() {
        let all = |address, length| pieces(address, length).collect::<Vec<_>>();
        assert_eq!(all(0x10, 0), []);
        assert_eq!(all(0x10, 8), [(0x10, 8)]);
        assert_eq!(
            all(0xffe, 0x1004),
            [(0xffe, 2), (0x1000, 0x1000), (0x2000, 2)]
        );
        assert_eq!(all(u64::MAX, 2), [(u64::MAX, 1), (0, 1)]);
    }
}
