// SPDX-License-Identifier: GPL-2.0
//! Tests of the swap, and of a running guest, with a CPU for tests.

use super::*;
use crate::cpu::Cpu;
use crate::cpu::fake::FakeCpu;
use crate::machine::Machine;
use ap_model::sie::{Count, Exit, HostEvent};
use lowcore::Class;
use psw::bits;
use state_description as field;

/// The addresses. The prefix area of the host is that of the CPU for tests, and the guest's storage
/// is 0x40000 to 0x5ffff.
const DESCRIPTION: u64 = 0x6000;
const GMAP: u64 = 0x1_0000;
const GMAP_PAGES: u64 = 0x1_4000;
const GUEST: u64 = 0x4_0000;
const GUEST_PAGES: u64 = 0x20;
const ARENAS: u64 = 0x8_0000;
const STORAGE: usize = 0xc_0000;

const HOST_MASK: u64 = 0x0704_c001_8000_0000;
/// The address after SIE in the host.
const NEXT: u64 = 0x1234;
const GUEST_MASK: u64 = 0x0000_0001_8000_0000;
const GUEST_AT: u64 = 0x2000;

struct Bench {
    cpu: FakeCpu,
    machine: Machine,
    sie: Sie,
    description: StateDescription,
}

impl Bench {
    /// Returns a guest that has not been entered.
    fn new() -> Self {
        let mut cpu = FakeCpu::new();
        cpu.storage = vec![0; STORAGE];
        cpu.psw_mask = HOST_MASK;
        let invalid = translation::entry::INVALID.to_be_bytes().repeat(0x800);
        cpu.write_absolute(GMAP, &invalid);
        cpu.write_absolute(GMAP, &GMAP_PAGES.to_be_bytes());
        for page in 0..0x100 {
            let value = if page < GUEST_PAGES {
                GUEST + 0x1000 * page
            } else {
                translation::page::INVALID
            };
            cpu.write_absolute(GMAP_PAGES + 8 * page, &value.to_be_bytes());
        }
        cpu.cr[1] = GMAP | 3;
        (cpu.gr[14], cpu.gr[15]) = (0xe0, 0xf0);
        for class in Class::ALL {
            let psw = Psw {
                mask: 0x0400_c001_8000_0000,
                address: 0x10_0000 + class.new_psw(),
            };
            let at = cpu.prefix() + class.new_psw();
            cpu.write_absolute(at, &psw.to_bytes());
        }
        let machine = Machine::new(ap_model::Machine::preset(), false).with_cpus(1);
        machine.shadows().place(ARENAS);
        let description = StateDescription(DESCRIPTION);
        description.set_psw(
            &mut cpu,
            Psw {
                mask: GUEST_MASK,
                address: GUEST_AT,
            },
        );
        description.set(&mut cpu, field::GR_14, 0x14);
        description.set(&mut cpu, field::GR_15, 0x15);
        Self {
            cpu,
            machine,
            sie: Sie::default(),
            description,
        }
    }

    fn enter(&mut self) -> Psw {
        let psw = self
            .sie
            .enter(&mut self.cpu, &self.machine, DESCRIPTION, NEXT);
        self.cpu.psw_mask = psw.mask;
        psw
    }

    /// Returns a running guest.
    fn running() -> Self {
        let mut bench = Self::new();
        assert_eq!(bench.enter().address, GUEST_AT);
        bench
    }

    /// Interrupts the CPU in the guest at `address`. Returns the PSW if the CPU does not continue
    /// in the handler.
    fn interrupt(&mut self, class: Class, address: u64) -> Option<Psw> {
        let old = Psw {
            mask: self.cpu.psw_mask,
            address,
        };
        let prefix = self.cpu.prefix();
        self.cpu
            .write_absolute(prefix + class.old_psw(), &old.to_bytes());
        let handler = 0x10_0000 + class.new_psw();
        self.sie.interrupted(&mut self.cpu, &self.machine, handler);
        self.sie.at_block(&mut self.cpu, &self.machine, handler)
    }

    /// Causes a program interruption of the instruction at `GUEST_AT`.
    fn trap(&mut self, code: u16, instruction: &[u8]) -> Psw {
        self.cpu.write_absolute(GUEST + GUEST_AT, instruction);
        let length = instruction.len() as u16;
        let prefix = self.cpu.prefix();
        let parameters = [length, code].map(u16::to_be_bytes).concat();
        self.cpu
            .write_absolute(prefix + lowcore::PROGRAM_ILC, &parameters);
        let next = GUEST_AT + u64::from(length);
        self.interrupt(Class::Program, next).expect("parked")
    }

    fn icpt(&self) -> u64 {
        self.description.get(&self.cpu, field::INTERCEPTION_CODE)
    }

    fn count(&self, count: Count) -> u64 {
        self.machine.model().sie().sum(None, count)
    }

    fn is_host(&self, psw: Psw) -> bool {
        psw == Psw {
            mask: HOST_MASK,
            address: NEXT,
        } && !self.sie.runs_guest()
            && self.cpu.gr[14..] == [0xe0, 0xf0]
            && self.cpu.cr[1] == GMAP | 3
    }
}

#[test]
fn registers_are_swapped_and_swapped_back() {
    let mut bench = Bench::running();
    assert_eq!(bench.cpu.gr[14..], [0x14, 0x15]);
    assert_ne!(bench.cpu.cr[1], GMAP | 3, "the shadow tables");
    assert_ne!(bench.cpu.psw_mask & bits::PROBLEM, 0);
    bench.cpu.gr[14] = 0x99;
    assert_eq!(
        bench.interrupt(Class::External, 0x2468),
        None,
        "the handler"
    );
    assert!(!bench.sie.is_active());
    assert_eq!(bench.description.get(&bench.cpu, field::GR_14), 0x99);
    let guest = bench.description.psw(&bench.cpu);
    assert_eq!((guest.mask, guest.address), (GUEST_MASK, 0x2468));
    let old = bench
        .cpu
        .read_absolute(bench.cpu.prefix() + Class::External.old_psw(), 16);
    assert!(bench.is_host(Psw::parse(&old.unwrap()).unwrap()));
    assert_eq!(bench.icpt(), 0);
    let interruption = Exit::Host(HostEvent::Interruption);
    assert_eq!(bench.count(Count::Exits(interruption)), 1);
}

#[test]
fn a_stop_request_is_a_kick_only_if_the_guest_ran() {
    let mut bench = Bench::new();
    let stop = u64::from(field::cpuflags::STOP);
    bench.description.set(&mut bench.cpu, field::CPUFLAGS, stop);
    let psw = bench.enter();
    assert!(bench.is_host(psw));
    assert_eq!((bench.icpt(), bench.count(Count::Kicks)), (0x28, 0));

    let mut bench = Bench::running();
    bench.description.set(&mut bench.cpu, field::CPUFLAGS, stop);
    let psw = bench
        .sie
        .look(&mut bench.cpu, &bench.machine, 0x2100)
        .expect("seen");
    assert!(bench.is_host(psw));
    assert_eq!((bench.icpt(), bench.count(Count::Kicks)), (0x28, 1));
    assert_eq!(bench.description.psw(&bench.cpu).address, 0x2100);
}

#[test]
fn what_nobody_executes_for_the_guest_is_intercepted() {
    let mut bench = Bench::running();
    // STPX 8(%r1)
    let psw = bench.trap(2, &[0xb2, 0x11, 0x10, 0x08]);
    assert!(bench.is_host(psw));
    assert_eq!(bench.icpt(), 4);
    let instruction = (
        bench.description.get(&bench.cpu, field::INSTRUCTION),
        bench.description.get(&bench.cpu, field::INSTRUCTION_REST),
    );
    assert_eq!(instruction, (0xb211, 0x1008_0000));
    assert_eq!(bench.description.psw(&bench.cpu).address, GUEST_AT + 4);
}

#[test]
fn lctlg_and_stosm_are_executed_for_the_guest() {
    let mut bench = Bench::running();
    bench.cpu.gr[1] = 0x3000;
    bench
        .cpu
        .write_absolute(GUEST + 0x3008, &0x77_u64.to_be_bytes());
    let psw = bench.trap(2, &[0xeb, 0x66, 0x10, 0x08, 0x00, 0x2f]);
    assert_eq!(psw.address, GUEST_AT + 6);
    assert_eq!(bench.description.cr(&bench.cpu, 6), 0x77);
    // STOSM 0(%r1),3 enables interruptions of the guest, and not of the host.
    bench.trap(2, &[0xad, 0x03, 0x10, 0x00]);
    bench.interrupt(Class::Io, GUEST_AT);
    let guest = bench.description.psw(&bench.cpu);
    assert_eq!(guest.mask >> 56, 0x03);
}

#[test]
fn exceptions_of_the_guest_are_delivered_to_it() {
    let mut bench = Bench::running();
    bench.handle(Class::Program);
    // A data exception.
    let psw = bench.trap(7, &[0xb3, 0x0a, 0x00, 0x12]);
    assert_eq!(psw.address, 0x5000);
    assert!(bench.sie.runs_guest());
    let old = bench
        .cpu
        .read_absolute(GUEST + Class::Program.old_psw(), 16)
        .and_then(|bytes| Psw::parse(&bytes));
    assert_eq!(
        old,
        Some(Psw {
            mask: GUEST_MASK,
            address: GUEST_AT + 4
        })
    );
    let code = bench.cpu.number_at(GUEST + lowcore::PROGRAM_CODE, 2);
    assert_eq!(code, Some(7));
}

const LOW_ADDRESS_PROTECTION: u64 = 0x1000_0000;
const ALL_FLOATING_POINT_REGISTERS: u64 = 0x0004_0000;

impl Bench {
    /// Returns a guest with a handler for program exceptions and this control register 0.
    fn protected(cr0: u64) -> Self {
        let mut bench = Self::new();
        bench
            .description
            .set(&mut bench.cpu, StateDescription::cr_field(0), cr0);
        bench.handle(Class::Program);
        bench.enter();
        bench
    }

    /// Gives the guest a handler of interruptions at 0x5000.
    fn handle(&mut self, class: Class) {
        let handler = Psw {
            mask: GUEST_MASK,
            address: 0x5000,
        };
        self.cpu
            .write_absolute(GUEST + class.new_psw(), &handler.to_bytes());
    }

    /// Returns the code and the identification of the guest's last program exception.
    fn told(&self) -> (Option<u64>, Option<u64>) {
        let number = |at, length| self.cpu.number_at(GUEST + at, length);
        (
            number(lowcore::PROGRAM_CODE, 2),
            number(lowcore::TRANSLATION_ID, 8),
        )
    }
}

#[test]
fn a_guest_has_what_is_its_own_of_control_register_0() {
    let own = LOW_ADDRESS_PROTECTION | ALL_FLOATING_POINT_REGISTERS;
    let mut bench = Bench::new();
    bench.cpu.cr[0] = own;
    bench.enter();
    assert_eq!(bench.cpu.cr[0] & own, 0, "not the bits of the host");
    // LCTLG changes the control register immediately.
    bench.cpu.gr[1] = 0x3000;
    (bench.cpu).write_absolute(GUEST + 0x3000, &LOW_ADDRESS_PROTECTION.to_be_bytes());
    bench.trap(2, &[0xeb, 0x00, 0x10, 0x00, 0x00, 0x2f]);
    assert_eq!(bench.cpu.cr[0] & own, LOW_ADDRESS_PROTECTION);
    bench.interrupt(Class::External, GUEST_AT);
    assert_eq!(bench.cpu.cr[0], own, "the host's");
}

#[test]
fn low_address_protection_is_told_to_the_guest() {
    use lowcore::teid;
    let mut bench = Bench::protected(LOW_ADDRESS_PROTECTION);
    // The CPU itself has refused a store.
    let at = bench.cpu.prefix();
    let id = (0x1000 | teid::STORE | teid::KIND).to_be_bytes();
    bench.cpu.write_absolute(at + lowcore::TRANSLATION_ID, &id);
    let psw = bench.trap(4, &[0x50, 0x00, 0x10, 0x04]);
    assert_eq!(psw.address, 0x5000);
    assert_eq!(bench.told(), (Some(4), Some(0x1480)));
    // The plugin executes STCTG. A store to 0x1000 is refused, and a store to 0x1200 is not.
    bench.cpu.gr[1] = 0x1000;
    bench.trap(2, &[0xeb, 0x00, 0x10, 0x00, 0x00, 0x25]);
    assert_eq!(bench.told(), (Some(4), Some(0x1480)));
    assert_eq!(bench.cpu.number_at(GUEST + 0x1000, 8), Some(0));
    let psw = bench.trap(2, &[0xeb, 0x00, 0x12, 0x00, 0x00, 0x25]);
    assert_eq!(psw.address, GUEST_AT + 6);
    let stored = bench.cpu.number_at(GUEST + 0x1200, 8);
    assert_eq!(stored, Some(LOW_ADDRESS_PROTECTION));
}

#[test]
fn what_may_not_be_executed_is_told_to_the_guest() {
    use lowcore::teid;
    let mut bench = Bench::protected(0x0010_0000);
    let at = bench.cpu.prefix();
    let id = 0x2000 | teid::FETCH | teid::KIND | teid::PROTECTION;
    let bytes = id.to_be_bytes();
    (bench.cpu).write_absolute(at + lowcore::TRANSLATION_ID, &bytes);
    let psw = bench.trap(4, &[0x07, 0xfe]);
    assert_eq!(psw.address, 0x5000);
    assert_eq!(bench.told(), (Some(4), Some(id)));
}

#[test]
fn storage_keys_are_the_business_of_the_host() {
    // ISKE, SSKE, RRBE, PFMF
    for instruction in [
        &[0xb2, 0x29, 0x00, 0x12][..],
        &[0xb2, 0x2b, 0x00, 0x12],
        &[0xb2, 0x2a, 0x00, 0x12],
        &[0xb9, 0xaf, 0x00, 0x12],
    ] {
        let mut bench = Bench::running();
        let psw = bench.trap(2, instruction);
        assert!(bench.is_host(psw), "{instruction:x?}");
        assert_eq!(bench.icpt(), 4);
    }
    // TPROT does not trap.
    const TPROT: [u8; 6] = [0xe5, 0x01, 0x10, 0x00, 0x20, 0x00];
    let mut bench = Bench::running();
    bench.cpu.write_absolute(GUEST + GUEST_AT, &TPROT);
    let psw = (bench.sie).trap(&mut bench.cpu, &bench.machine, GUEST_AT, TPROT.len());
    assert!(bench.is_host(psw));
    assert_eq!(bench.description.psw(&bench.cpu).address, GUEST_AT + 6);
    assert_eq!(
        bench.description.get(&bench.cpu, field::INSTRUCTION),
        0xe501
    );
}

#[test]
fn pages_are_mapped_as_the_guest_runs_into_them() {
    let mut bench = Bench::running();
    let fault = |bench: &mut Bench, address: u64| {
        let at = bench.cpu.prefix();
        let code = lowcore::code::PAGE.to_be_bytes();
        bench.cpu.write_absolute(at + lowcore::PROGRAM_CODE, &code);
        let id = (address | lowcore::teid::STORE).to_be_bytes();
        bench.cpu.write_absolute(at + lowcore::TRANSLATION_ID, &id);
        bench.interrupt(Class::Program, GUEST_AT).expect("parked")
    };
    let psw = fault(&mut bench, 0x7000);
    assert_eq!(psw.address, GUEST_AT, "once more");
    let tables = GuestStorage {
        gmap: bench.cpu.cr[1],
        prefix: 0x7000_0000,
        large: true,
    };
    let place = tables.locate_real(&bench.cpu, 0x7000, true).unwrap();
    assert_eq!(place.absolute, GUEST + 0x7000);
    // A fault in a page that the host has not mapped belongs to the host.
    let psw = fault(&mut bench, 0x2_1000);
    assert_eq!(psw.address, 0x10_0000 + Class::Program.new_psw());
    assert!(!bench.sie.runs_guest());
    let prefix = bench.cpu.prefix();
    let id = bench.cpu.number_at(prefix + lowcore::TRANSLATION_ID, 8);
    assert_eq!(id, Some(0x2_1400));
    assert_eq!(bench.count(Count::Exits(Exit::Host(HostEvent::Fault))), 1);
}

#[test]
fn ap_instructions_are_interpreted_if_the_host_says_so() {
    const PQAP: [u8; 4] = [0xb2, 0xaf, 0, 0];
    let mut bench = Bench::running();
    assert!(bench.trap(1, &PQAP).address == NEXT, "intercepted");

    let mut bench = Bench::new();
    let ap = u64::from(field::execution_a::AP);
    bench
        .description
        .set(&mut bench.cpu, field::EXECUTION_CONTROLS_A, ap);
    // A crypto control block of format 2 with adapter 1 and domain 1.
    bench
        .cpu
        .write_absolute(DESCRIPTION + 0xfc, &0x7003_u32.to_be_bytes());
    bench.cpu.write_absolute(0x7080, &[0x40]);
    bench.cpu.write_absolute(0x70a0, &[0x40]);
    bench.enter();
    for (apqn, status) in [(0x0101, 0x8000_0000), (0x0201, 0x0001_0000)] {
        bench.cpu.gr[0] = apqn;
        assert_eq!(bench.trap(1, &PQAP).address, GUEST_AT + 4);
        assert_eq!(bench.cpu.gr[1], status);
    }
    // AQIC is always intercepted.
    bench.cpu.gr[0] = 3 << 24 | 0x0101;
    assert_eq!(bench.trap(1, &PQAP).address, NEXT);
}

#[test]
fn an_enabled_guest_takes_adapter_interruptions_without_leaving() {
    let mut bench = Bench::new();
    let aiv = u64::from(field::execution_a::ADAPTER_INTERRUPTIONS);
    bench
        .description
        .set(&mut bench.cpu, field::EXECUTION_CONTROLS_A, aiv);
    bench
        .cpu
        .write_absolute(DESCRIPTION + 0x70, &0x7000_u32.to_be_bytes());
    let cr6 = StateDescription::cr_field(6);
    bench.description.set(&mut bench.cpu, cr6, 0xff00_0000);
    bench.cpu.write_absolute(0x7004, &[0x10]);
    bench.handle(Class::Io);
    assert_eq!(bench.enter().address, GUEST_AT, "not enabled");
    let enabled = Psw {
        mask: GUEST_MASK | bits::IO,
        address: 0x2200,
    };
    bench
        .cpu
        .write_absolute(GUEST + 0x3000, &enabled.to_bytes());
    bench.cpu.gr[1] = 0x3000;
    let psw = bench.trap(2, &[0xb2, 0xb2, 0x10, 0x00]);
    assert_eq!(psw.address, 0x5000);
    assert_eq!(bench.cpu.number_at(0x7004, 1), Some(0), "no longer pending");
    assert_eq!(bench.cpu.number_at(GUEST + 0xc0, 4), Some(0x9800_0000));
    assert_eq!(bench.count(Count::AdapterInterruptions), 1);
}
