// SPDX-License-Identifier: GPL-2.0
//! `crycb PID masks|commits|history`: print KVM's record of the CRYCB of the virtual machine of
//! another process, such as QEMU.
//!
//! The exit status is 1 if the virtual machine does not exist.

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
