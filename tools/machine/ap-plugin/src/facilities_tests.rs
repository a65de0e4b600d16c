// SPDX-License-Identifier: GPL-2.0
//! Tests of [`super`].

use super::*;
use crate::cpu::fake::FakeCpu;

fn machine() -> Machine {
    Machine::new(ap_model::Machine::preset(), false)
}

fn stfle(doublewords: u64, limits: &Limits) -> FakeCpu {
    let mut cpu = FakeCpu::new();
    cpu.gr[0] = doublewords - 1;
    cpu.gr[15] = 0x1000;
    let amendment = before_stfle(&cpu, limits, 15, 0x20).unwrap();
    amend(&mut cpu, &machine(), &amendment);
    cpu
}

#[test]
fn stfle_shows_the_ap_facilities() {
    let cpu = stfle(2, &Limits::default());
    assert_eq!(cpu.storage[0x1021], 0x09);
    assert_eq!(cpu.storage[0x1028], 0x40);
}

#[test]
fn a_short_list_is_not_written_beyond() {
    let cpu = stfle(1, &Limits::default());
    assert_eq!(cpu.storage[0x1021], 0x09);
    assert_eq!(cpu.storage[0x1028], 0);
}

#[test]
fn facilities_follow_the_limits() {
    let no_qci = Limits {
        qci: false,
        ..Limits::default()
    };
    assert_eq!(stfle(2, &no_qci).storage[0x1021], 0x01);
    let no_ap = Limits {
        ap: false,
        ..Limits::default()
    };
    assert_eq!(stfle(2, &no_ap).storage[0x1021..0x1029], [0; 8]);
}

fn block(response: u16) -> Vec<u8> {
    let mut block = vec![0; 256];
    block[0..2].copy_from_slice(&256_u16.to_be_bytes());
    block[6..8].copy_from_slice(&response.to_be_bytes());
    block
}

#[test]
fn scp_info_shows_what_kvm_wants() {
    let mut info = block(0x0010);
    info[16..20].copy_from_slice(&[0, 2, 0, 144]);
    amend_scp_info(&mut info, &Limits::default());
    assert_eq!((info[51], info[85], info[116]), (0x01, 0x80, 0x88));
    for cpu in [144, 160] {
        assert_eq!(info[cpu..cpu + 4], [0, 0, 0x08, 0x10]);
    }
    assert_eq!(info[176..180], [0; 4], "two CPUs, not three");
}

#[test]
fn a_refused_command_is_left_alone() {
    let mut info = block(0x01f0);
    let before = info.clone();
    amend_scp_info(&mut info, &Limits::default());
    amend_cpu_info(&mut info);
    assert_eq!(info, before);
}

#[test]
fn a_block_that_lies_about_its_cpus_does_no_harm() {
    let mut info = block(0x0010);
    info[8..12].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    amend_cpu_info(&mut info);
    info[8..12].copy_from_slice(&[0xff, 0xff, 0, 250]);
    amend_cpu_info(&mut info);
    assert_eq!(info[250..], [0; 6]);
}

#[test]
fn adapters_are_configured_by_sclp() {
    let mut cpu = FakeCpu::new();
    let machine = machine();
    let mut run = |command: u64| {
        (cpu.gr[1], cpu.gr[2]) = (command, 0x1000);
        let amendment = before_servc(&cpu, 1, 2).unwrap();
        cpu.storage[0x1006..0x1008].copy_from_slice(&[0x01, 0xf0]);
        amend(&mut cpu, &machine, &amendment);
        read_u16(&cpu.storage, 0x1006)
    };
    assert_eq!(run(0x001e_0201), 0x0020);
    assert_eq!(run(0x001e_0201), 0x0120);
    assert_eq!(run(0x001f_0201), 0x0020);
    assert_eq!(run(0x001f_0901), 0x05f0);
    let mut other = FakeCpu::new();
    other.gr[1] = 0x0077_0005;
    assert_eq!(before_servc(&other, 1, 2), None);
}

#[test]
fn chsc_gains_adapter_interruption_virtualization() {
    let mut cpu = FakeCpu::new();
    cpu.gr[3] = 0x1000;
    cpu.storage[0x1000..0x1004].copy_from_slice(&[0, 0x10, 0, 0x10]);
    let Chsc::Native(Some(amendment)) = before_chsc(&mut cpu, &machine(), 3) else {
        panic!("QEMU executes it");
    };
    cpu.storage[0x1012..0x1014].copy_from_slice(&[0, 1]);
    amend(&mut cpu, &machine(), &amendment);
    assert_eq!(cpu.storage[0x101f], 0x04);
}

#[test]
fn chsc_sets_the_guest_information_block() {
    let mut cpu = FakeCpu::new();
    cpu.gr[3] = 0x1000;
    cpu.storage[0x1000..0x1004].copy_from_slice(&[0x0f, 0xe0, 0, 0x21]);
    cpu.storage[0x1014..0x1018].copy_from_slice(&[0, 0, 0x30, 0]);
    let machine = machine();
    assert_eq!(before_chsc(&mut cpu, &machine, 3), Chsc::Executed);
    assert_eq!(cpu.storage[0x1fe0..0x1fe4], [0, 8, 0, 1]);
    assert_eq!((cpu.cc(), machine.pending().gib()), (0, 0x3000));
    cpu.psw_mask |= 1 << 48;
    let native = Chsc::Native(None);
    assert_eq!(before_chsc(&mut cpu, &machine, 3), native, "privileged");
}

#[test]
fn no_locked_operation_is_available() {
    let mut cpu = FakeCpu::new();
    cpu.gr[0] = 0x105;
    assert!(plo(&mut cpu));
    assert_eq!(cpu.cc(), 3);
    cpu.gr[0] = 5;
    assert!(!plo(&mut cpu));
}

#[test]
fn the_last_storage_is_kept_for_the_tables_of_guests() {
    let scp_info = |increments: u16, size: u8, cpus| {
        let mut data = block(0x0010);
        data[8..10].copy_from_slice(&increments.to_be_bytes());
        data[10] = size;
        keep_storage(&mut data, &Shared::new(cpus));
        read_u16(&data, 8)
    };
    assert_eq!(scp_info(512, 1, 0), 512);
    assert_eq!(scp_info(512, 1, 2), 480);
    assert_eq!(scp_info(512, 4, 1), 508);
    assert_eq!(scp_info(16, 1, 1), 16, "too small a machine");
    assert_eq!(scp_info(0, 1, 1), 0, "too large a machine");
}
