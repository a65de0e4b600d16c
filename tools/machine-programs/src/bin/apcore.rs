// SPDX-License-Identifier: GPL-2.0
//! `apcore`: count the instructions of decisions of the driver's core.
//!
//! The core is that of the driver, with more queues than the emulated machine can have. Prints
//! a report for each decision; see `tools/bench/measure.sh`.

use std::process::ExitCode;

use machine_programs::instructions;

// The file is formatted as a part of the core, whose edition differs.
#[rustfmt::skip]
#[path = "../../../vfio-ap-core/benches/cases.rs"]
mod cases;

/// The addresses of programs, which do not overlap those of the kernel.
const PROGRAM: std::ops::Range<u64> = 0..1 << 41;

fn cost(work: impl FnOnce()) -> Result<u64, String> {
    instructions::count(work)?;
    instructions::executed(&PROGRAM)
}

fn report() -> Result<(), String> {
    let marks = cost(|| {})?;
    for (adapters, domains) in cases::SIZES {
        for (name, case) in cases::all(adapters, domains) {
            case();
            let cost = cost(case)? - marks;
            let name = name.replace(' ', "-");
            println!("@MEASURED operation=core-{name}-{adapters}x{domains} instructions={cost}");
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    machine_programs::backdoor::explain_absence();
    match report() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
