// SPDX-License-Identifier: GPL-2.0
//! Tests of the instructions.

use super::*;
use crate::queue::Polls;
use proptest::prelude::*;

const T: u64 = gr0::T;
const ENABLE: u64 = 1 << 47;

/// Returns the preset machine after a request of the control language.
fn machine(request: &str) -> Machine {
    let mut machine = Machine::preset();
    machine.control(request).unwrap();
    machine
}

fn operands(fc: u64, apqn: u64) -> Pqap {
    Pqap {
        gr0: fc << 24 | apqn,
        gr1: 0,
        gr2: 0,
        gr2_is_storage: true,
    }
}

fn pqap(machine: &mut Machine, fc: u64, apqn: u64) -> Result<(Status, Option<u64>), u16> {
    match machine.pqap(&operands(fc, apqn)) {
        Ok(PqapAnswer::Status(status, gr2)) => Ok((status, gr2)),
        Ok(PqapAnswer::Configuration(_)) => panic!("no status"),
        Err(interruption) => Err(interruption.code()),
    }
}

fn rc(machine: &mut Machine, fc: u64, apqn: u64) -> u8 {
    pqap(machine, fc, apqn).unwrap().0.rc.0
}

fn aqic(machine: &mut Machine, apqn: u64, gr1: u64, gr2_is_storage: bool) -> u8 {
    let operands = Pqap {
        gr1,
        gr2: 0x1000,
        gr2_is_storage,
        ..operands(3, apqn)
    };
    match machine.pqap(&operands) {
        Ok(PqapAnswer::Status(status, None)) => status.rc.0,
        other => panic!("{other:?}"),
    }
}

const SPECIFICATION: Result<(Status, Option<u64>), u16> = Err(6);

#[test]
fn without_ap_every_instruction_is_an_operation_exception() {
    let mut machine = machine("limits ap=off");
    assert_eq!(pqap(&mut machine, 0, 0), Err(1));
    assert_eq!(
        machine.nqap(gr0::LAST_PART, 0, &[]),
        Err(ProgramInterruption::Operation)
    );
    assert_eq!(machine.dqap(0, 0), Err(ProgramInterruption::Operation));
}

#[test]
fn undefined_function_codes_are_specification_exceptions() {
    let mut machine = machine("");
    for fc in (6..=255).filter(|fc| *fc != 4) {
        assert_eq!(pqap(&mut machine, fc, 0), SPECIFICATION, "function {fc}");
    }
}

#[test]
fn a_facility_that_is_off_takes_its_function_away() {
    for (limit, fc) in [("qci", 4), ("aqic", 3), ("qact", 5)] {
        let mut machine = machine(&format!("limits {limit}=off"));
        assert_eq!(
            machine.pqap(&operands(fc, 0)),
            Err(ProgramInterruption::Specification),
            "{limit}"
        );
    }
    assert_eq!(
        pqap(&mut machine("limits apft=off"), 0, T),
        SPECIFICATION,
        "T needs facility 15"
    );
}

#[test]
fn modifier_bits_belong_to_their_functions() {
    let mut machine = machine("queue *.* reset-polls 0");
    for bit in 16..=22 {
        for fc in 0..=5 {
            let allowed = bit == 22 && matches!(fc, 1 | 2 | 5);
            assert_eq!(
                machine.pqap(&operands(fc, 1 << bit)).is_ok(),
                allowed,
                "function {fc}, bit {bit}"
            );
        }
    }
    for fc in 1..=5 {
        assert!(machine.pqap(&operands(fc, T)).is_err(), "T, function {fc}");
    }
}

#[test]
fn numbers_beyond_the_limits_are_specification_exceptions() {
    let mut machine = machine("limits na=63 nd=84");
    for apqn in [0x4000, 0x0055] {
        for fc in [0, 1, 2, 3, 5] {
            assert_eq!(pqap(&mut machine, fc, apqn), SPECIFICATION);
        }
        assert_eq!(
            rc(&mut machine, 0, T | apqn),
            1,
            "TAPQ with T returns a response code"
        );
        assert!(machine.nqap(gr0::LAST_PART | apqn, 0, &[0; 8]).is_err());
        assert!(machine.dqap(apqn, 8).is_err());
    }
    assert_eq!(rc(&mut machine, 0, 0x3f54), 1);
}

#[test]
fn without_apxa_numbers_are_short() {
    let mut machine = machine("limits apxa=off");
    for apqn in [0x4000, 0x8000, 0x0010, 0x0080, T | 0x4000] {
        assert_eq!(pqap(&mut machine, 0, apqn), SPECIFICATION, "{apqn:x}");
    }
    assert_eq!(rc(&mut machine, 0, 0x3f0f), 1);
    assert_eq!(rc(&mut machine, 0, 0x0203), 0);
}

#[test]
fn tapq_describes_queue_and_adapter() {
    let mut machine = machine("");
    let (status, gr2) = pqap(&mut machine, 0, 0x0203).unwrap();
    assert_eq!(status.to_word(), 0x8000_0000);
    assert_eq!(gr2, Some(0xea00_0000_0dff_0007));
    assert_eq!(
        pqap(&mut machine, 0, 0x0204),
        Ok((Status::bare(ResponseCode::NOT_AVAILABLE), None))
    );
}

#[test]
fn states_have_their_response_codes_and_still_describe_the_adapter() {
    let mut machine = machine(
        "queue *.* reset-polls 0; adapter 0 state deconfigured; adapter 1 state checkstopped; \
         queue 02.0001 state checkstopped",
    );
    for (apqn, expected) in [(0, 3), (0x0100, 4), (0x0201, 4), (0x0200, 0)] {
        let (status, gr2) = pqap(&mut machine, 0, apqn).unwrap();
        assert_eq!(status.rc.0, expected);
        assert!(gr2.is_some_and(|gr2| gr2 != 0), "the AP bus relies on it");
        for fc in [1, 2] {
            assert_eq!(rc(&mut machine, fc, apqn), expected);
        }
    }
    assert_eq!(aqic(&mut machine, 0, ENABLE, true), 3);
    assert_eq!(
        machine
            .nqap(gr0::LAST_PART | 0x0100, 0, &[0; 8])
            .unwrap()
            .rc
            .0,
        4
    );
}

#[test]
fn a_reset_answers_02_for_its_polls() {
    for fc in [1, 2] {
        let mut machine = machine("queue 01.0001 reset-polls 2");
        assert_eq!(rc(&mut machine, fc, 0x0101), 0);
        assert_eq!(rc(&mut machine, 0, 0x0101), 2);
        assert_eq!(
            rc(&mut machine, fc, 0x0101),
            2,
            "the reset is not restarted"
        );
        assert_eq!(rc(&mut machine, 0, 0x0101), 0);
        assert_eq!(rc(&mut machine, 0, 0x0102), 0, "other queues do not change");
    }
}

#[test]
fn while_a_reset_is_under_way_nothing_else_is_done_on_the_queue() {
    let mut machine = machine("queue 01.0001 reset-polls forever");
    rc(&mut machine, 2, 0x0101);
    assert_eq!(aqic(&mut machine, 0x0101, ENABLE, true), 2);
    assert_eq!(
        machine
            .nqap(gr0::LAST_PART | 0x0101, 0, &[0; 8])
            .unwrap()
            .rc
            .0,
        2
    );
    assert!(matches!(
        machine.dqap(0x0101, 8),
        Ok(DqapAnswer::Status(Status {
            rc: ResponseCode(2),
            ..
        }))
    ));
    assert_eq!(rc(&mut machine, 5, 0x0101), 0, "QACT describes the adapter");
}

#[test]
fn leaving_the_configuration_ends_a_reset() {
    let mut machine = machine("queue 01.0001 reset-polls forever");
    rc(&mut machine, 2, 0x0101);
    machine.control("apm - 1").unwrap();
    assert_eq!(rc(&mut machine, 0, 0x0101), 1);
    machine.control("apm + 1").unwrap();
    assert_eq!(rc(&mut machine, 0, 0x0101), 0);
}

#[test]
fn interruptions_are_enabled_seen_and_ended_by_a_reset() {
    let mut machine = machine("queue 01.0001 reset-polls 0");
    let enabled = |machine: &mut Machine| pqap(machine, 0, 0x0101).unwrap().0.irq_enabled;
    assert_eq!(aqic(&mut machine, 0x0101, 0, true), 7);
    assert_eq!(aqic(&mut machine, 0x0101, ENABLE, true), 0);
    assert!(!enabled(&mut machine));
    assert!(enabled(&mut machine));
    assert_eq!(aqic(&mut machine, 0x0101, ENABLE, true), 7);
    rc(&mut machine, 2, 0x0101);
    assert!(!enabled(&mut machine));
}

#[test]
fn interruption_operands_are_checked() {
    let mut machine = machine("");
    assert_eq!(aqic(&mut machine, 0x0101, ENABLE, false), 6);
    assert_eq!(
        aqic(&mut machine, 0x0101, ENABLE | 2 << 32 | 0x1000, true),
        8
    );
    assert_eq!(
        aqic(&mut machine, 0x0101, 0, false),
        7,
        "disabling needs no address"
    );
}

#[test]
fn qact_answers_the_lower_of_wanted_and_installed() {
    let mut machine = machine("adapter 0 15c; adapter 2 cex5a");
    let mut ask = |apqn: u64| {
        let operands = Pqap {
            gr1: 0x1000_0000_0e00_1234,
            ..operands(5, apqn)
        };
        match machine.pqap(&operands) {
            Ok(PqapAnswer::Status(_, Some(gr2))) => gr2,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(0), 0x1000_0000_0e00_1234);
    assert_eq!(ask(0x0200), 0x1000_0000_0b00_1234);
}

#[test]
fn qci_is_stored_and_counted() {
    let mut machine = machine("apm = 2; aqm = 3; adm = 4");
    let Ok(PqapAnswer::Configuration(block)) = machine.pqap(&operands(4, 0)) else {
        panic!("no block");
    };
    assert_eq!((block[16], block[48], block[80]), (0x20, 0x10, 0x08));
    assert_eq!(machine.counters().total(Function::Qci), 1);
}

#[test]
fn messages_go_round_in_order() {
    let mut machine = machine("adapter 1 cex7c depth=2");
    let nqap =
        |machine: &mut Machine, psmid| machine.nqap(gr0::LAST_PART | 0x0101, psmid, &[0; 100]);
    assert_eq!(nqap(&mut machine, 7).unwrap().to_word(), 0x4000_0000);
    assert_eq!(nqap(&mut machine, 8).unwrap().to_word(), 0x6000_0000);
    let full = nqap(&mut machine, 9).unwrap();
    assert_eq!((full.to_word(), full.cc()), (0x6010_0000, 3));
    for expected in [7, 8] {
        let Ok(DqapAnswer::Reply { psmid, data, .. }) = machine.dqap(0x0101, 4096) else {
            panic!("no reply");
        };
        assert_eq!((psmid, data.len()), (expected, 8));
    }
    let Ok(DqapAnswer::Status(status)) = machine.dqap(0x0101, 4096) else {
        panic!("one reply too many");
    };
    assert_eq!(status.to_word(), 0x8010_0000);
}

#[test]
fn the_configuration_is_stored_at_a_doubleword_only() {
    let machine = machine("");
    for offset in 0..8 {
        let operands = Pqap {
            gr2: 0x1000 + offset,
            ..operands(4, 0)
        };
        let expected = if offset == 0 {
            Ok(Function::Qci)
        } else {
            Err(ProgramInterruption::Specification)
        };
        assert_eq!(machine.examine(&operands), expected, "at {offset}");
    }
}

#[test]
fn bits_that_have_to_be_zero_are_specification_exceptions() {
    let number = |bit: u32| 1_u64 << (63 - bit);
    let mut machine = machine("");
    for bit in 41..48 {
        let code = pqap(&mut machine, 0, number(bit) | 0x0101);
        assert_eq!(code, SPECIFICATION, "PQAP, bit {bit}");
    }
    for (function, bits) in [
        (Function::Nqap, &[32, 34, 35, 40][..]),
        (Function::Dqap, &[33, 34, 35, 40, 41]),
    ] {
        for bit in 0..64 {
            let examined = machine.examine_message(function, number(bit), 128);
            let expected = if bits.contains(&bit) {
                Err(ProgramInterruption::Specification)
            } else {
                Ok(())
            };
            assert_eq!(examined, expected, "{function}, bit {bit}");
        }
    }
}

/// The check does not depend on the queue, which may be missing or denied to the guest.
#[test]
fn messages_and_buffers_have_a_length_that_is_possible() {
    let mut machine = machine("");
    let most = MAX_MESSAGE as u64;
    for (length, is_possible) in [
        (0, false),
        (1, true),
        (most, true),
        (most + 1, false),
        (1 << 32, false),
        (u64::MAX, false),
    ] {
        for function in [Function::Nqap, Function::Dqap] {
            let examined = machine.examine_message(function, 0x0101, length);
            assert_eq!(examined.is_ok(), is_possible, "{function}, {length}");
        }
        for apcb in [None, Some(crate::Apcb::default())] {
            let answer = machine.view(apcb).dqap(0x0101, length);
            assert_eq!(answer.is_ok(), is_possible, "{length}");
        }
    }
    let nqap = |machine: &mut Machine, apcb, length| {
        let message = vec![0; length];
        machine
            .view(apcb)
            .nqap(gr0::LAST_PART | 0x0101, 0, &message)
    };
    for apcb in [None, Some(crate::Apcb::default())] {
        let specification = Err(ProgramInterruption::Specification);
        assert_eq!(nqap(&mut machine, apcb, 0), specification);
        assert_eq!(nqap(&mut machine, apcb, MAX_MESSAGE + 1), specification);
        assert!(nqap(&mut machine, apcb, MAX_MESSAGE).is_ok());
    }
}

#[test]
fn a_message_can_not_come_in_parts() {
    let mut machine = machine("");
    let part = machine.nqap(0x0101, 0, &[0; 8]);
    assert_eq!(part.unwrap().rc, ResponseCode::FACILITY_NOT_INSTALLED);
}

#[test]
fn a_reset_drops_messages() {
    let mut machine = machine("queue 01.0001 reset-polls 0");
    machine.nqap(gr0::LAST_PART | 0x0101, 0, &[0; 8]).unwrap();
    let (status, _) = pqap(&mut machine, 1, 0x0101).unwrap();
    assert!(status.queue_empty && !status.replies_waiting);
}

#[test]
fn every_function_can_be_forced_to_any_code() {
    for code in 0..=255_u8 {
        let forced = ["tapq", "rapq", "zapq", "aqic", "qact", "nqap", "dqap"]
            .map(|function| format!("queue 01.0001 {function} rc={code:02x} times=1"));
        let mut machine = machine(&forced.join("\n"));
        for fc in [0, 1, 2, 3, 5] {
            assert_eq!(rc(&mut machine, fc, 0x0101), code, "function {fc}");
        }
        let nqap = machine.nqap(gr0::LAST_PART | 0x0101, 0, &[0; 8]).unwrap();
        assert_eq!(nqap.rc.0, code);
        let dqap = machine.dqap(0x0101, 8).unwrap();
        assert!(matches!(dqap, DqapAnswer::Status(status) if status.rc.0 == code));
        assert_eq!(
            rc(&mut machine, 0, 0x0101),
            0,
            "the fault is used up, and no reset has begun"
        );
        let settings = &machine.queues[&Apqn::new(1, 1)].settings;
        assert!(settings.faults.iter().all(Option::is_none));
    }
}

#[test]
fn a_forced_code_goes_before_the_state_of_the_queue() {
    let mut machine = machine("adapter 1 state deconfigured; queue 01.0001 tapq rc=35 async");
    let (status, gr2) = pqap(&mut machine, 0, 0x0101).unwrap();
    assert_eq!(status.to_word(), 0x8235_0000);
    assert!(gr2.is_some());
    machine.control("queue 01.0001 tapq rc=01").unwrap();
    assert_eq!(pqap(&mut machine, 0, 0x0101).unwrap().1, None);
    machine.control("queue 01.0001 tapq clear").unwrap();
    assert_eq!(rc(&mut machine, 0, 0x0101), 3);
}

#[test]
fn exceptions_are_not_counted_answers_are() {
    let mut machine = machine("limits na=15; queue 01.0001 zapq rc=05");
    let _ = pqap(&mut machine, 0, 0x1000);
    rc(&mut machine, 2, 0x0101);
    rc(&mut machine, 0, 0x0f00);
    let counters = machine.counters();
    assert_eq!(counters.total(Function::Tapq), 1);
    assert_eq!(counters.of_queue(Apqn::new(1, 1), Function::Zapq), 1);
    assert_eq!(counters.of_queue(Apqn::new(15, 0), Function::Tapq), 1);
}

proptest! {
    /// Any registers give an answer without a panic. The response code is 02 exactly during a
    /// reset, and the condition code is 3 exactly with a response code other than 0.
    #[test]
    fn any_sequence_of_instructions_is_answered(
        instructions in prop::collection::vec((0_u64..6, 0_u64..3, 0_u64..3, any::<u64>()), 1..60),
        polls in 0_u32..4,
    ) {
        let mut machine = machine("");
        for queue in 0..3_u8 {
            let settings = format!("queue *.{queue:04x} reset-polls {polls}; queue *.{queue:04x} irq-polls {polls}");
            machine.control(&settings).unwrap();
        }
        for (fc, apid, apqi, gr1) in instructions {
            let apqn = Apqn::new(u8::try_from(apid).unwrap(), u8::try_from(apqi).unwrap());
            let before = machine.queues.get(&apqn).cloned().unwrap_or_default();
            let resetting = before.clone().begin();
            let operands = Pqap { gr1, ..operands(fc, apid << 8 | apqi) };
            if let PqapAnswer::Status(status, _) = machine.pqap(&operands).unwrap() {
                prop_assert_eq!(status.rc.0 == 2, resetting && fc != 5);
                prop_assert_eq!(status.cc() == 3, status.rc.0 != 0);
            }
        }
    }

    /// A reset of N polls ends after N further instructions.
    #[test]
    fn a_reset_ends_when_it_is_due(polls in 0_u32..50) {
        let mut machine = machine("");
        let queue = machine.queues.entry(Apqn::new(1, 1)).or_default();
        queue.set_reset_polls(Polls::Count(polls));
        rc(&mut machine, 2, 0x0101);
        let busy = (0..100).filter(|_| rc(&mut machine, 0, 0x0101) == 2).count();
        prop_assert_eq!(busy, polls as usize);
    }
}
