// SPDX-License-Identifier: GPL-2.0
use super::*;
use crate::cpu::fake::FakeCpu;

const GIB: usize = 0x1000;
const NISC: u8 = 5;
/// The GISAs of two guests, which are not at the start of a page.
const GISAS: [u32; 2] = [0x1900, 0x2900];

fn setup() -> (FakeCpu, Pending) {
    let mut cpu = FakeCpu::new();
    let pending = Pending::default();
    pending.set_gib(GIB as u64);
    cpu.storage[GIB + 8] = NISC;
    for gisa in GISAS {
        cpu.write(gisa.into(), &gisa.to_be_bytes());
    }
    (cpu, pending)
}

fn interrupt_guest(cpu: &mut FakeCpu, pending: &Pending, origin: u32, isc: u8) {
    let gisa = Gisa {
        origin,
        format: 1,
        isc,
    };
    present_to_guest(cpu, pending, gisa);
}

fn word(cpu: &FakeCpu, address: u32) -> u64 {
    cpu.number_at(address.into(), 8).unwrap()
}

fn set_alert_mask(cpu: &mut FakeCpu, gisa: u32, mask: u8) {
    cpu.storage[gisa as usize + 7] = mask;
}

#[test]
fn the_first_enabled_subclass_goes_first() {
    assert_eq!(subclass(0b0001_0001, 0xff00_0000), Some(3));
    assert_eq!(subclass(0b0001_0001, 0x0f00_0000), Some(7));
    assert_eq!(subclass(0b0001_0001, 0x2e00_0000), None);
    assert_eq!(code(5)[8..], [0xa8, 0, 0, 0]);
}

#[test]
fn what_is_claimed_is_not_pending_any_more() {
    let pending = Pending::default();
    pending.request(6);
    pending.request(3);
    assert_eq!(pending.take(0x0200_0000), Some(6));
    assert!(pending.is_pending());
    assert_eq!(pending.take(0x0200_0000), None);
    assert_eq!(pending.take(0xff00_0000), Some(3));
    assert!(!pending.is_pending());
}

#[test]
fn a_guest_that_wants_no_alert_gets_none() {
    let (mut cpu, pending) = setup();
    let gisa = GISAS[0];
    set_alert_mask(&mut cpu, gisa, 0x80 >> 3);
    interrupt_guest(&mut cpu, &pending, gisa, 4);
    assert_eq!(word(&cpu, gisa), 0x0000_1900_0800_0010);
    assert!(!pending.is_pending());
}

#[test]
fn an_alert_lists_the_guest_and_interrupts_the_host() {
    let (mut cpu, pending) = setup();
    for gisa in GISAS {
        set_alert_mask(&mut cpu, gisa, 0x18);
        interrupt_guest(&mut cpu, &pending, gisa, 4);
    }
    assert_eq!(cpu.number_at(GIB as u64, 4), Some(GISAS[1].into()));
    assert_eq!(word(&cpu, GISAS[1]), 0x0000_1900_0800_0000);
    assert_eq!(
        word(&cpu, GISAS[0]),
        0x0000_0000_0800_0000,
        "the end of the list"
    );
    assert_eq!(pending.take(0xff00_0000), Some(NISC));
    assert!(!pending.is_pending(), "the list was no longer empty");
    interrupt_guest(&mut cpu, &pending, GISAS[0], 3);
    assert_eq!(word(&cpu, GISAS[0]), 0x0000_0000_1800_0000);
}

#[test]
fn the_host_is_not_interrupted_while_it_looks_at_the_list() {
    const NONE: u8 = 1;
    let (mut cpu, pending) = setup();
    cpu.storage[GIB + 3] = NONE;
    set_alert_mask(&mut cpu, GISAS[0], 0xff);
    interrupt_guest(&mut cpu, &pending, GISAS[0], 0);
    assert_eq!(word(&cpu, GISAS[0]), 0x0000_0001_8000_0000);
    assert!(!pending.is_pending());
}

#[test]
fn without_a_gib_there_are_no_alerts() {
    let (mut cpu, pending) = setup();
    pending.set_gib(0);
    set_alert_mask(&mut cpu, GISAS[0], 0xff);
    interrupt_guest(&mut cpu, &pending, GISAS[0], 0);
    assert_eq!(word(&cpu, GISAS[0]), 0x0000_1900_8000_00ff);
    assert!(!pending.is_pending());
}

#[test]
fn the_host_is_interrupted_if_its_mask_and_register_6_let_it() {
    let machine = Machine::new(ap_model::Machine::preset(), false);
    let mut cpu = FakeCpu::new();
    cpu.cr[6] = 0x0200_0000;
    assert_eq!(claim(&cpu, &machine, bits::IO), None);
    machine.pending().request(6);
    assert_eq!(claim(&cpu, &machine, 0), None);
    assert_eq!(claim(&cpu, &machine, bits::IO), Some(6));
    let new = Psw {
        mask: 0x0400_0001_8000_0000,
        address: 0x1234,
    };
    // The prefix of this CPU is 0x2000.
    cpu.write(0x21f0, &new.to_bytes());
    let old = Psw {
        mask: bits::IO,
        address: 0x5678,
    };
    assert_eq!(interrupt(&mut cpu, &machine, 6, old), Some(new));
    assert_eq!(cpu.storage[0x2170..0x2180], old.to_bytes());
    assert_eq!(cpu.storage[0x20c0..0x20c4], [0xb0, 0, 0, 0]);
}
