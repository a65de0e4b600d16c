// SPDX-License-Identifier: GPL-2.0
//! Storage of a guest: anonymous memory of this process, aligned as KVM requires. A running guest
//! changes it at any time. This process therefore accesses it only by atomic doublewords, and never
//! borrows it.

use std::num::NonZero;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::libc;

/// KVM's unit of guest storage.
pub const SEGMENT: usize = 1 << 20;

/// Storage of a guest. It is never freed, because a guest may use it until this process ends.
#[derive(Clone, Copy)]
pub struct Memory {
    base: NonNull<u8>,
    start: u64,
    length: usize,
}

// SAFETY: the memory is only accessed by atomic operations, and lives as long as the process.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Returns new storage, all zero, from guest address `start` on. Both numbers have to be
    /// multiples of a megabyte.
    ///
    /// # Errors
    ///
    /// Returns the error of the kernel.
    pub fn new(start: u64, length: usize) -> nix::Result<Self> {
        let room = NonZero::new(length + SEGMENT).ok_or(Errno::EINVAL)?;
        // SAFETY: a new anonymous mapping does not change others.
        let mapping = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                room.get(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if mapping == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let gap = mapping.addr().next_multiple_of(SEGMENT) - mapping.addr();
        // SAFETY: the mapping has room for `gap`, which is less than SEGMENT, and for `length`
        // bytes after the gap.
        let base = unsafe { mapping.cast::<u8>().add(gap) };
        let base = NonNull::new(base).ok_or(Errno::ENOMEM)?;
        Ok(Self {
            base,
            start,
            length,
        })
    }

    /// Returns the guest address.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Returns the address in this process.
    pub fn address(&self) -> u64 {
        self.base.addr().get() as u64
    }

    /// Returns the length in bytes.
    pub fn length(&self) -> u64 {
        self.length as u64
    }

    /// Returns the doubleword at guest address `at`.
    fn doubleword(&self, at: u64) -> &AtomicU64 {
        let at = at.wrapping_sub(self.start);
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        assert!(
            at.is_multiple_of(8) && at < self.length,
            "bad guest address"
        );
        // SAFETY: the address is inside the mapping and aligned. The mapping is never unmapped, and
        // this process only accesses it by atomic operations. Zero is a valid value.
        unsafe { self.base.add(at).cast::<AtomicU64>().as_ref() }
    }

    /// Reads the doubleword at guest address `at`.
    pub fn load(&self, at: u64) -> u64 {
        u64::from_be(self.doubleword(at).load(Ordering::SeqCst))
    }

    /// Writes the doubleword at guest address `at`.
    pub fn store(&self, at: u64, value: u64) {
        self.doubleword(at).store(value.to_be(), Ordering::SeqCst);
    }

    /// Writes bytes from guest address `at` on, and zeros up to the next doubleword.
    pub fn write(&self, at: u64, bytes: &[u8]) {
        for (number, chunk) in (0..).zip(bytes.chunks(8)) {
            let mut value = [0; 8];
            value[..chunk.len()].copy_from_slice(chunk);
            self.store(at + 8 * number, u64::from_be_bytes(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_and_big_endian() {
        let start = SEGMENT as u64;
        let memory = Memory::new(start, SEGMENT).unwrap();
        assert!(memory.address().is_multiple_of(SEGMENT as u64));
        memory.write(start + 8, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(memory.load(start + 8), 0x0102_0304_0506_0708);
        assert_eq!(memory.load(start + 16), 0x09 << 56);
        assert_eq!(memory.load(start), 0);
    }
}
