// SPDX-License-Identifier: GPL-2.0
//! `ktry`: execute one operation and print the name of its errno.
//!
//! Shells print errors as sentences or not at all, and busybox's insmod tries twice. Scenarios
//! need exactly one attempt and an errno.
//!
//! ```text
//! ktry write FILE TEXT     one write(2) of TEXT and a newline
//! ktry insmod FILE [ARGS]  load a module
//! ktry rmmod NAME          unload a module
//! ```
//!
//! It is silent on success. On failure, it prints the operation, with the errno as the last word,
//! and the exit status is 1.

use std::process::ExitCode;

use machine_programs::{module, sysfs};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["write", file, text] => sysfs::write(file, text),
        ["insmod", file, args @ ..] => module::insert(file, &args.join(" ")),
        ["rmmod", name] => module::remove(name),
        _ => {
            eprintln!("usage: ktry write FILE TEXT | insmod FILE [ARGS] | rmmod NAME");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            println!("{}: {e}", args.join(" "));
            ExitCode::FAILURE
        }
    }
}
