// SPDX-License-Identifier: GPL-2.0
//! `apctl COMMAND...`: say something to the emulated machine, from inside it.
//!
//! Prints the machine's reply; the exit status is 1 if it was an error, and 2
//! for wrong use. `apctl help` lists the commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    if command.is_empty() {
        eprintln!("usage: apctl COMMAND...   (apctl help lists them)");
        return ExitCode::from(2);
    }
    machine_programs::backdoor::explain_absence();
    let (reply, code) = match machine_programs::backdoor::ask(&command) {
        Ok(reply) => (reply, ExitCode::SUCCESS),
        Err(reply) => (reply, ExitCode::FAILURE),
    };
    if !reply.is_empty() {
        println!("{}", reply.trim_end());
    }
    code
}
