// SPDX-License-Identifier: GPL-2.0
//! `crycb PID masks|commits|history`: what KVM wrote down about the CRYCB of the
//! virtual machine of a process that is not ours, such as QEMU.
//!
//! Prints the answer; the exit status is 1 if there is no such machine.

use std::process::ExitCode;

use machine_programs::crycb::Question;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [pid, question] = arguments.as_slice() else {
        return usage();
    };
    let (Ok(pid), Some(question)) = (pid.parse(), Question::named(question)) else {
        return usage();
    };
    match question.answer(pid) {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            println!("KVM knows no virtual machine of process {pid}: {e}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: crycb PID masks|commits|history");
    ExitCode::from(2)
}
