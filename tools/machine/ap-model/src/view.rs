// SPDX-License-Identifier: GPL-2.0
//! The issuer of an AP instruction: the host with the whole configuration, or a guest with the
//! part in its AP control block (APCB).
//!
//! For a guest, the queues outside its APCB do not exist (response code 01). Its other instructions
//! are executed by [`crate::execute`], with forced responses. They are counted only if they reach
//! the queue.
//!
//! Source: `struct kvm_s390_crypto_cb` in Linux,
//! arch/s390/include/asm/kvm_host_s390.h.

use crate::execute::{DqapAnswer, Pqap, PqapAnswer};
use crate::function::Function;
use crate::ids::Apqn;
use crate::machine::Machine;
use crate::mask::Mask;
use crate::qci;
use crate::status::{ProgramInterruption, ResponseCode, Status};

/// The masks of a guest.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Apcb {
    /// The adapters.
    pub apm: Mask,
    /// The usage domains.
    pub aqm: Mask,
    /// The control domains.
    pub adm: Mask,
}

impl Apcb {
    /// Returns the offset and the length of the APCB in a crypto control block. They depend on the
    /// format in the rightmost bits of the designation.
    #[must_use]
    pub const fn place(designation: u32) -> (u64, usize) {
        match designation & 0b11 {
            FORMAT_2 => (0x80, 0x60),
            _ => (0, 0x18),
        }
    }

    /// Parses the bytes at [`Self::place`] into an APCB.
    #[must_use]
    pub fn parse(designation: u32, bytes: &[u8]) -> Self {
        let field =
            |from: usize, to: usize| Mask::from_bytes(bytes.get(from..to).unwrap_or_default());
        match designation & 0b11 {
            FORMAT_2 => Self {
                apm: field(0, 0x20),
                aqm: field(0x20, 0x40),
                adm: field(0x40, 0x60),
            },
            // Without APXA, there are 64 adapters and 16 domains.
            _ => Self {
                apm: field(0, 8),
                aqm: field(8, 10),
                adm: field(0x10, 0x12),
            },
        }
    }

    /// Returns true if the APCB contains the queue.
    #[must_use]
    pub fn permits(&self, queue: Apqn) -> bool {
        self.apm.contains(queue.apid.0) && self.aqm.contains(queue.apqi.0)
    }
}

/// The format with long masks. Formats 0 and 1 have short masks.
const FORMAT_2: u32 = 0b11;

/// The view of the host or of a guest on the machine.
pub struct View<'a> {
    machine: &'a mut Machine,
    apcb: Option<Apcb>,
}

impl Machine {
    /// Returns the view of the guest with `apcb`, or of the host if it is `None`.
    pub fn view(&mut self, apcb: Option<Apcb>) -> View<'_> {
        View {
            machine: self,
            apcb,
        }
    }
}

impl View<'_> {
    /// Returns true if the guest does not have the queue in `gr0`. Numbers that exceed the limits
    /// are not denied, because they are program interruptions for host and guests.
    fn denies(&self, gr0: u64) -> bool {
        !self.machine.beyond_limits(gr0)
            && self
                .apcb
                .is_some_and(|apcb| !apcb.permits(Apqn::from_gr0(gr0)))
    }

    /// Executes PQAP.
    ///
    /// # Errors
    ///
    /// Returns the program interruption of the instruction.
    pub fn pqap(&mut self, operands: &Pqap) -> Result<PqapAnswer, ProgramInterruption> {
        let Some(apcb) = self.apcb else {
            return self.machine.pqap(operands);
        };
        let function = self.machine.examine(operands)?;
        if function == Function::Qci {
            let machine = &mut *self.machine;
            machine.counters.count(function, None);
            return Ok(PqapAnswer::Configuration(qci::block(
                &machine.limits,
                machine.apm.intersection(apcb.apm),
                machine.aqm.intersection(apcb.aqm),
                machine.adm.intersection(apcb.adm),
            )));
        }
        if self.denies(operands.gr0) {
            let status = Status::bare(ResponseCode::NOT_AVAILABLE);
            return Ok(PqapAnswer::Status(status, None));
        }
        self.machine.pqap(operands)
    }

    /// Executes NQAP (see [`Machine::nqap`]).
    ///
    /// # Errors
    ///
    /// Returns the program interruption of the instruction.
    pub fn nqap(
        &mut self,
        gr0: u64,
        psmid: u64,
        message: &[u8],
    ) -> Result<Status, ProgramInterruption> {
        (self.machine).examine_message(Function::Nqap, gr0, message.len() as u64)?;
        if self.denies(gr0) {
            return Ok(Status::bare(ResponseCode::NOT_AVAILABLE));
        }
        self.machine.nqap(gr0, psmid, message)
    }

    /// Executes DQAP (see [`Machine::dqap`]).
    ///
    /// # Errors
    ///
    /// Returns the program interruption of the instruction.
    pub fn dqap(&mut self, gr0: u64, space: u64) -> Result<DqapAnswer, ProgramInterruption> {
        (self.machine).examine_message(Function::Dqap, gr0, space)?;
        if self.denies(gr0) {
            return Ok(DqapAnswer::Status(Status::bare(
                ResponseCode::NOT_AVAILABLE,
            )));
        }
        self.machine.dqap(gr0, space)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn apcb(apm: &[u8], aqm: &[u8]) -> Apcb {
        Apcb {
            apm: apm.iter().copied().collect(),
            aqm: aqm.iter().copied().collect(),
            adm: Mask::up_to(255),
        }
    }

    fn tapq(apqn: u64) -> Pqap {
        Pqap {
            gr0: apqn,
            gr1: 0,
            gr2: 0,
            gr2_is_storage: true,
        }
    }

    fn rc(machine: &mut Machine, apcb: Option<Apcb>, apqn: u64) -> u8 {
        match machine.view(apcb).pqap(&tapq(apqn)) {
            Ok(PqapAnswer::Status(status, _)) => status.rc.0,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn formats_differ_in_place_and_width() {
        let mut crycb = [0; 0x100];
        crycb[0] = 0x80;
        (crycb[8], crycb[9], crycb[10]) = (0x40, 0x01, 0xff);
        crycb[0x10] = 0x20;
        crycb[0x80 + 31] = 0x01;
        crycb[0x80 + 0x20] = 0x80;
        crycb[0x80 + 0x40] = 0x40;
        let masks = |designation| {
            let (offset, length) = Apcb::place(designation);
            let start = usize::try_from(offset).unwrap();
            let apcb = Apcb::parse(designation, &crycb[start..start + length]);
            [apcb.apm, apcb.aqm, apcb.adm].map(|mask| mask.to_string())
        };
        for designation in [0x1000, 0x1001] {
            assert_eq!(masks(designation), ["0", "1,15", "2"]);
        }
        assert_eq!(masks(0x1003), ["255", "0", "1"]);
    }

    #[test]
    fn a_guest_sees_what_it_was_given_of_what_there_is() {
        let mut machine = Machine::preset();
        let guest = Some(apcb(&[1, 2, 9], &[1, 200]));
        assert_eq!(rc(&mut machine, guest, 0x0101), 0);
        assert_eq!(rc(&mut machine, guest, 0x0001), 1, "not its adapter");
        assert_eq!(rc(&mut machine, guest, 0x0102), 1, "not its domain");
        assert_eq!(rc(&mut machine, guest, 0x0901), 1, "not there");
        assert_eq!(rc(&mut machine, None, 0x0001), 0, "the host's");
        assert_eq!(
            machine.counters().of_queue(Apqn::new(0, 1), Function::Tapq),
            1
        );
        let qci = Pqap {
            gr0: 4 << 24,
            ..tapq(0)
        };
        let Ok(PqapAnswer::Configuration(block)) = machine.view(guest).pqap(&qci) else {
            panic!("no block");
        };
        assert_eq!((block[16], block[48], block[80]), (0x60, 0x40, 0xf0));
    }

    #[test]
    fn messages_of_a_guest_go_to_its_own_queues_only() {
        const LAST_PART: u64 = 1 << 30;
        let mut machine = Machine::preset();
        let mut view = machine.view(Some(apcb(&[1], &[1])));
        assert_eq!(view.nqap(LAST_PART | 0x0101, 7, &[0; 8]).unwrap().rc.0, 0);
        assert_eq!(view.nqap(LAST_PART | 0x0102, 7, &[0; 8]).unwrap().rc.0, 1);
        assert!(matches!(
            view.dqap(0x0101, 100),
            Ok(DqapAnswer::Reply { psmid: 7, .. })
        ));
        assert!(
            matches!(view.dqap(0x0201, 100), Ok(DqapAnswer::Status(status)) if status.rc.0 == 1)
        );
    }

    #[test]
    fn a_reply_interrupts_whom_the_host_named() {
        let mut machine = Machine::preset();
        machine.control("queue *.* irq-polls 0").unwrap();
        let aqic = Pqap {
            gr0: 3 << 24 | 0x0101,
            gr1: 1 << 47 | 5 << 40 | 0x2000 | 3,
            gr2: 0x1234,
            gr2_is_storage: true,
        };
        machine.pqap(&aqic).unwrap();
        let guest = Some(apcb(&[1], &[1]));
        machine
            .view(guest)
            .nqap(1 << 30 | 0x0101, 7, &[0; 8])
            .unwrap();
        let requested = machine.take_interruptions();
        assert_eq!(requested.len(), 1);
        assert_eq!(requested[0].nib, 0x1234);
        assert_eq!(requested[0].gisa.unwrap().isc, 5);
        assert!(machine.take_interruptions().is_empty());
    }

    proptest! {
        #[test]
        fn a_guest_is_told_no_more_than_the_host(apm: Vec<u8>, aqm: Vec<u8>, apqn: u16, fc in 0_u64..6) {
            let guest = apcb(&apm, &aqm);
            let operands = Pqap { gr0: fc << 24 | u64::from(apqn), ..tapq(0) };
            let mut machine = Machine::preset();
            let host = machine.clone().pqap(&operands);
            let seen = machine.view(Some(guest)).pqap(&operands);
            if fc != 4 && guest.permits(Apqn::from_gr0(operands.gr0)) {
                prop_assert_eq!(seen, host);
            } else if fc != 4 {
                let none = PqapAnswer::Status(Status::bare(ResponseCode::NOT_AVAILABLE), None);
                prop_assert_eq!(seen, Ok(none));
                prop_assert_eq!(machine, Machine::preset());
            }
        }
    }
}
