// SPDX-License-Identifier: GPL-2.0

//! Tests of the interruptions of a queue: each state, with each response of the machine.

use vfio_ap_core::{
    interrupts::{refusal, Control, Facts, Interruption},
    mask::{Apid, Apqi, Apqn},
    queues::response::*,
};

/// A response code without a special meaning.
const OTHER: u8 = 0x10;

const GONE: [u8; 3] = [NOT_AVAILABLE, DECONFIGURED, CHECKSTOPPED];

fn apqn() -> Apqn {
    Apqn::new(Apid(1), Apqi(2))
}

/// A machine with fixed responses, which counts the instructions.
struct Machine {
    disable: u8,
    test: (u8, bool),
    disables: u32,
}

impl Control for Machine {
    fn disable(&mut self, queue: Apqn) -> u8 {
        assert_eq!(queue, apqn());
        self.disables += 1;
        self.disable
    }

    fn test(&mut self, queue: Apqn) -> (u8, bool) {
        assert_eq!(queue, apqn());
        self.test
    }
}

/// Executes a step. Returns true if it was the last one, and the number of executed AQIC.
fn step(it: &mut Interruption<(), ()>, disable: u8, test: (u8, bool)) -> (bool, u32) {
    let mut machine = Machine {
        disable,
        test,
        disables: 0,
    };
    let is_over = it.step(apqn(), &mut machine);
    (is_over, machine.disables)
}

fn candidate() -> Interruption<(), ()> {
    Interruption::new((), ())
}

fn enabling() -> Interruption<(), ()> {
    let mut it = candidate();
    it.enable_accepted();
    it
}

/// Returns an interruption whose AQIC(enable) has taken effect.
fn on() -> Interruption<(), ()> {
    let mut it = enabling();
    assert_eq!(step(&mut it, BUSY, (NORMAL, true)), (false, 1));
    it
}

fn disabling() -> Interruption<(), ()> {
    let mut it = enabling();
    it.disable_answered(NORMAL);
    it
}

#[test]
fn off_is_no_end_while_they_are_being_enabled() {
    for answer in [BUSY, RESET_IN_PROGRESS, STATE_CHANGE_IN_PROGRESS, OTHER] {
        let mut it = enabling();
        for _ in 0..3 {
            assert_eq!(step(&mut it, answer, (NORMAL, false)), (false, 1));
        }
        assert!(!it.is_ending());
    }
}

#[test]
fn off_is_the_end_when_they_have_been_on() {
    assert_eq!(step(&mut on(), BUSY, (NORMAL, false)), (true, 1));
}

#[test]
fn the_end_of_a_reset_that_was_seen_is_the_end() {
    for state in [enabling, on, disabling] {
        // Interruptions that are enabled after that belong to the host, so AQIC is not executed
        // again.
        for is_on in [false, true] {
            let mut it = state();
            let (is_over, _) = step(&mut it, RESET_IN_PROGRESS, (RESET_IN_PROGRESS, true));
            assert!(!is_over);
            assert_eq!(step(&mut it, NORMAL, (RESET_IN_PROGRESS, true)), (false, 0));
            assert_eq!(step(&mut it, NORMAL, (NORMAL, is_on)), (true, 0));
            let mut it = state();
            it.reset_seen();
            assert_eq!(step(&mut it, NORMAL, (NORMAL, is_on)), (true, 0));
        }
    }
}

#[test]
fn off_is_the_end_of_an_accepted_disable() {
    for answer in [NORMAL, OTHERWISE_CHANGED] {
        let mut it = enabling();
        assert_eq!(step(&mut it, answer, (NORMAL, true)), (false, 1));
        assert!(it.is_ending());
        // AQIC is not executed again.
        assert_eq!(step(&mut it, NORMAL, (NORMAL, true)), (false, 0));
        assert_eq!(step(&mut it, NORMAL, (NORMAL, false)), (true, 0));
        assert_eq!(step(&mut enabling(), answer, (NORMAL, false)), (true, 1));
        assert_eq!(step(&mut on(), answer, (NORMAL, false)), (true, 1));
    }
}

#[test]
fn a_refused_disable_changes_nothing() {
    for answer in [BUSY, RESET_IN_PROGRESS, NOT_AVAILABLE, OTHER] {
        let mut it = enabling();
        it.disable_answered(answer);
        assert!(!it.is_ending());
        assert_eq!(it, enabling());
    }
}

#[test]
fn what_is_gone_has_let_go() {
    for code in GONE {
        for state in [enabling, on, disabling] {
            for is_on in [false, true] {
                assert!(step(&mut state(), code, (code, is_on)).0);
                let mut orphan = state();
                orphan.orphan();
                assert_eq!(step(&mut orphan, code, (code, is_on)), (true, 0));
            }
        }
    }
}

#[test]
fn other_answers_say_nothing() {
    for code in [BUSY, STATE_CHANGE_IN_PROGRESS, OTHER] {
        for is_on in [false, true] {
            let mut it = enabling();
            assert_eq!(step(&mut it, BUSY, (code, is_on)), (false, 1));
            assert_eq!(it, enabling());
            assert!(!step(&mut on(), BUSY, (code, is_on)).0);
            assert!(!step(&mut disabling(), BUSY, (code, is_on)).0);
        }
    }
    for state in [enabling, on, disabling] {
        for is_on in [false, true] {
            assert!(!step(&mut state(), BUSY, (RESET_IN_PROGRESS, is_on)).0);
        }
    }
}

#[test]
fn an_orphan_is_only_looked_at() {
    let mut it = enabling();
    it.orphan();
    assert!(it.is_ending());
    assert_eq!(step(&mut it, NORMAL, (NORMAL, false)), (false, 0));
    assert_eq!(step(&mut it, NORMAL, (NORMAL, true)), (false, 0));
    assert_eq!(step(&mut it, NORMAL, (NORMAL, false)), (true, 0));
    let mut it = disabling();
    it.orphan();
    assert_eq!(step(&mut it, NORMAL, (NORMAL, true)), (false, 0));
    assert_eq!(step(&mut it, NORMAL, (NORMAL, false)), (true, 0));
}

#[test]
fn who_ends_them_is_no_machine() {
    let mut it = on();
    it.end();
    assert!(it.is_ending());
    assert_eq!(step(&mut it, BUSY, (NORMAL, true)), (false, 1));
    assert_eq!(step(&mut it, NORMAL, (NORMAL, true)), (false, 1));
    assert_eq!(step(&mut it, NORMAL, (NORMAL, false)), (true, 0));
}

#[test]
fn aqic_is_refused_for_the_first_reason_of_four() {
    for bits in 0..16 {
        let fact = |n: u8| bits >> n & 1 != 0;
        let facts = Facts {
            granted: fact(0),
            bound: fact(1),
            resetting: fact(2),
            ending: fact(3),
        };
        let expected = match (fact(0) && fact(1), fact(2), fact(3)) {
            (false, _, _) => Some(NOT_AVAILABLE),
            (true, true, _) => Some(RESET_IN_PROGRESS),
            (true, false, true) => Some(BUSY),
            (true, false, false) => None,
        };
        assert_eq!(refusal(facts), expected, "{facts:?}");
    }
}

#[test]
fn what_the_machine_may_write_to_is_not_given_back() {
    for state in [enabling, on, disabling] {
        assert!(state().into_parts().is_none());
        let mut it = state();
        it.mark_over();
        assert!(it.into_parts().is_some());
        let mut it = state();
        step(&mut it, BUSY, (NOT_AVAILABLE, false));
        assert!(it.into_parts().is_some());
        let mut orphan = state();
        orphan.orphan();
        assert!(orphan.into_parts().is_none());
    }
    assert!(candidate().into_parts().is_some());
}
