// SPDX-License-Identifier: GPL-2.0
//! Tests of translation, with tables in the storage of a CPU for tests.

use super::*;
use crate::cpu::fake::FakeCpu;

/// The guest's storage of 1 MiB. A segment table at 0x10000 and a page table at 0x14000 of the host
/// map the guest's pages 0 to 0x1f to the addresses from 0x20000 on.
const GMAP: u64 = 0x1_0000 | 3;
const PAGE_TABLE: usize = 0x1_4000;
const BASE: u64 = 0x2_0000;
const GUEST: GuestStorage = GuestStorage {
    gmap: GMAP,
    prefix: 0x8000,
    large: true,
};

fn put(cpu: &mut FakeCpu, at: usize, value: u64) {
    cpu.storage[at..at + 8].copy_from_slice(&value.to_be_bytes());
}

fn cpu() -> FakeCpu {
    let mut cpu = FakeCpu::new();
    cpu.storage = vec![0; 0x4_0000];
    for index in 0..0x800 {
        put(&mut cpu, 0x1_0000 + 8 * index, entry::INVALID);
    }
    put(&mut cpu, 0x1_0000, PAGE_TABLE as u64);
    for index in 0..0x100 {
        let value = if index < 0x20 {
            BASE + 0x1000 * index as u64
        } else {
            page::INVALID
        };
        put(&mut cpu, PAGE_TABLE + 8 * index, value);
    }
    cpu
}

/// Writes to the guest's absolute storage.
fn put_guest(cpu: &mut FakeCpu, at: u64, value: u64) {
    put(cpu, usize::try_from(BASE + at).unwrap(), value);
}

/// Returns a space with a page table at 0xa000 for the segment at 1 MiB. The table maps page 2 of
/// the segment to real 0, and page 3 with protection to real 0x8000.
fn with_guest_tables(cpu: &mut FakeCpu) -> Space {
    for index in 0..0x200 {
        put_guest(cpu, 0xc000 + 8 * index, entry::INVALID);
    }
    put_guest(cpu, 0xc000 + 8, 0xa000);
    for index in 0..0x100 {
        put_guest(cpu, 0xa000 + 8 * index, page::INVALID);
    }
    put_guest(cpu, 0xa000 + 8 * 2, 0);
    put_guest(cpu, 0xa000 + 8 * 3, 0x8000 | page::PROTECTED);
    put_guest(cpu, 0xa000 + 8 * 4, page::ZERO);
    put_guest(cpu, 0xa000 + 8 * 5, 0x2_0000);
    Space::designated_by(0xc000)
}

fn absolute(cpu: &FakeCpu, space: Space, address: u64, store: bool) -> Result<u64, Fault> {
    GUEST
        .locate(cpu, space, address, store)
        .map(|place| place.absolute)
}

#[test]
fn real_addresses_are_prefixed() {
    let cpu = cpu();
    for (real, expected) in [
        (0x10, 0x8010),
        (0x8010, 0x10),
        (0x9fff, 0x1fff),
        (0xa000, 0xa000),
    ] {
        assert_eq!(absolute(&cpu, Space::Real, real, true), Ok(BASE + expected));
        assert_eq!(GUEST.prefixed(GUEST.prefixed(real)), real);
    }
}

#[test]
fn what_the_host_has_not_mapped_is_a_fault_of_the_host() {
    let mut cpu = cpu();
    let fault = |address, store, protected| {
        Err(Fault::Host(HostFault {
            address,
            store,
            protected,
        }))
    };
    for address in [0x2_0123, 0x10_0000, 1 << 40] {
        assert_eq!(
            absolute(&cpu, Space::Real, address, false),
            fault(address, false, false)
        );
    }
    put(&mut cpu, PAGE_TABLE + 8 * 0x10, BASE | page::PROTECTED);
    assert_eq!(absolute(&cpu, Space::Real, 0x1_0000, false), Ok(BASE));
    assert_eq!(
        absolute(&cpu, Space::Real, 0x1_0000, true),
        fault(0x1_0000, true, true)
    );
}

#[test]
fn a_large_segment_of_the_host() {
    let mut cpu = cpu();
    put(&mut cpu, 0x1_0008, 0x40_0000 | entry::LARGE);
    assert_eq!(absolute(&cpu, Space::Real, 0x10_1234, true), Ok(0x40_1234));
}

#[test]
fn the_guest_has_tables_of_its_own() {
    let mut cpu = cpu();
    let space = with_guest_tables(&mut cpu);
    let guest = |code, address, store| {
        Err(Fault::Guest {
            code,
            address,
            store,
        })
    };
    assert_eq!(
        absolute(&cpu, space, 0x10_2004, true),
        Ok(BASE + 0x8004),
        "prefixed"
    );
    assert_eq!(absolute(&cpu, space, 0x10_3004, false), Ok(BASE + 4));
    assert_eq!(
        absolute(&cpu, space, 0x10_3004, true),
        guest(code::PROTECTION, 0x10_3004, true)
    );
    assert!(
        GUEST
            .locate(&cpu, space, 0x10_3004, false)
            .unwrap()
            .read_only
    );
    assert_eq!(
        absolute(&cpu, space, 0x10_0000, false),
        guest(code::PAGE, 0x10_0000, false)
    );
    assert_eq!(
        absolute(&cpu, space, 0, false),
        guest(code::SEGMENT, 0, false)
    );
    assert_eq!(
        absolute(&cpu, space, 0x10_4000, false),
        guest(code::TRANSLATION_SPECIFICATION, 0x10_4000, false)
    );
    assert_eq!(
        absolute(&cpu, space, 1 << 31, false),
        guest(code::ASCE_TYPE, 1 << 31, false)
    );
    // With table length 0, a quarter of the segments exists.
    assert_eq!(
        absolute(&cpu, space, 0x2000_0000, false),
        guest(code::SEGMENT, 0x2000_0000, false)
    );
    assert_eq!(
        absolute(&cpu, space, 0x10_5000, false),
        Err(Fault::Host(HostFault {
            address: 0x2_0000,
            store: false,
            protected: false
        }))
    );
}

#[test]
fn a_real_space_needs_no_tables() {
    assert_eq!(Space::designated_by(0x1234_5000 | 0x20), Space::Real);
    assert_eq!(Space::designated_by(0x1_2fc7), Space::Virtual(0x1_2007));
}

#[test]
fn without_enhanced_translation_a_large_segment_is_none() {
    let mut cpu = cpu();
    let space = with_guest_tables(&mut cpu);
    let old = GuestStorage {
        large: false,
        ..GUEST
    };
    let at = |guest: GuestStorage, cpu: &FakeCpu| {
        let place = guest.locate(cpu, space, 0x10_2004, true);
        place.map(|place| place.absolute)
    };
    let before = at(old, &cpu);
    assert_eq!(before, at(GUEST, &cpu));
    put_guest(&mut cpu, 0xc000 + 8, 0xa000 | entry::LARGE);
    assert_eq!(at(old, &cpu), before);
    assert_ne!(at(GUEST, &cpu), before);
}
