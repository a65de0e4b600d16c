// SPDX-License-Identifier: GPL-2.0
//! Fuzzes the AP instructions of the host and of guests. Each instruction gets an answer, and no
//! guest reaches a queue outside its APCB.

#![no_main]

use ap_model::{Apcb, Apqn, Function, Machine, Mask, Pqap};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Step {
    Pqap {
        gr0: u64,
        gr1: u64,
        gr2: u64,
        gr2_is_storage: bool,
    },
    /// An instruction with an existing function and an existing queue.
    Likely {
        function: u8,
        apid: u8,
        apqi: u8,
        gr1: u64,
    },
    Nqap {
        gr0: u64,
        psmid: u64,
        message: Vec<u8>,
    },
    Dqap {
        gr0: u64,
        space: u16,
    },
    Sclp {
        apid: u8,
        online: bool,
    },
    Control {
        what: u8,
        apid: u8,
        apqi: u8,
    },
}

const COMMANDS: [&str; 8] = [
    "state checkstopped",
    "state online",
    "reset-polls 3",
    "reset-polls forever",
    "irq-polls 2",
    "zapq rc=05 times=2",
    "tapq rc=8a async",
    "zapq clear",
];

/// Returns the number of executions on queues outside the APCB.
fn foreign(machine: &Machine, apcb: &Apcb) -> u64 {
    let counters = machine.counters();
    counters
        .queues()
        .filter(|queue| !apcb.permits(*queue))
        .flat_map(|queue| Function::ALL.map(|function| counters.of_queue(queue, function)))
        .sum()
}

fuzz_target!(|input: (Vec<(bool, Step)>, u8, u8)| {
    let (steps, adapters, domains) = input;
    let set = |bits: u8| (0..8).filter(|n| bits >> n & 1 != 0).collect::<Mask>();
    let apcb = Apcb {
        apm: set(adapters),
        aqm: set(domains),
        adm: Mask::default(),
    };
    let mut machine = Machine::preset();
    for (is_guest, step) in steps {
        let before = foreign(&machine, &apcb);
        let mut view = machine.view(is_guest.then_some(apcb));
        match step {
            Step::Pqap {
                gr0,
                gr1,
                gr2,
                gr2_is_storage,
            } => {
                let _ = view.pqap(&Pqap {
                    gr0,
                    gr1,
                    gr2,
                    gr2_is_storage,
                });
            }
            Step::Likely {
                function,
                apid,
                apqi,
                gr1,
            } => {
                let number = u64::from(apid & 3) << 8 | u64::from(apqi & 3);
                let gr0 = u64::from(function & 7) << 24 | number;
                let _ = view.pqap(&Pqap {
                    gr0,
                    gr1,
                    gr2: 0x1000,
                    gr2_is_storage: true,
                });
            }
            Step::Nqap {
                gr0,
                psmid,
                message,
            } => {
                let _ = view.nqap(gr0, psmid, &message);
            }
            Step::Dqap { gr0, space } => {
                let _ = view.dqap(gr0, space.into());
            }
            Step::Sclp { apid, online } => {
                machine.sclp_configure(ap_model::Apid(apid & 3), online);
            }
            Step::Control { what, apid, apqi } => {
                let queue = Apqn::new(apid & 3, apqi & 3);
                let command = COMMANDS[usize::from(what) % COMMANDS.len()];
                // The command fails for an adapter that is not installed.
                let _ = machine.control(&format!("queue {queue} {command}"));
            }
        }
        if is_guest {
            assert_eq!(foreign(&machine, &apcb), before, "a queue of somebody else");
        }
        let shown = machine.control("show").unwrap_or_default();
        assert!(Machine::bare().control(&shown).is_ok(), "{shown}");
    }
});
