// SPDX-License-Identifier: GPL-2.0
//! `apcount`: execute one operation and print its cost.
//!
//! ```text
//! apcount write FILE TEXT     one write(2) of TEXT and a newline
//! apcount read FILE           one read(2), of at most a MiB
//! apcount loop N              a loop of N instructions
//! apcount functions           the functions of the last operation, with their costs
//! ```
//!
//! Prints the instructions of the kernel (`whole`), those of the driver (`own`), and the time. For
//! the loop, it prints the instructions in the loop, which must be N.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::{Read, Write};
use std::process::ExitCode;

use machine_programs::instructions::{self, Cost, Places};
use rustc_demangle::demangle;

type Result<T> = std::result::Result<T, String>;

const USAGE: &str = "usage: apcount write FILE TEXT | read FILE | loop N | functions";

/// The size of the read buffer, which exceeds all attributes. The buffer is touched before the
/// measurement.
const BUFFER: usize = 1 << 20;

/// The maximum number of functions in a list.
const TOP: usize = 30;

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn write(path: &str, line: &str) -> Result<Cost> {
    let places = Places::find().map_err(text)?;
    let mut file = OpenOptions::new().write(true).open(path).map_err(text)?;
    let line = format!("{line}\n");
    let (result, cost) = instructions::measure(&places, || file.write(line.as_bytes()))?;
    let written = result.map_err(text)?;
    if written != line.len() {
        return Err(format!("only {written} bytes were written"));
    }
    Ok(cost)
}

fn read(path: &str) -> Result<Cost> {
    let places = Places::find().map_err(text)?;
    let mut file = File::open(path).map_err(text)?;
    let mut buffer = black_box(vec![0xff_u8; BUFFER]);
    // The loop ends at the end of the file, because the kernel may return a page at a time.
    let (result, cost) = instructions::measure(&places, || {
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
    })?;
    result.map_err(text)?;
    Ok(cost)
}

fn known_loop(n: &str) -> Result<u64> {
    let n: u64 = n.parse().map_err(|_| USAGE.to_owned())?;
    let (range, _) = instructions::count(|| instructions::known_loop(n))?;
    instructions::executed(&range)
}

/// A function of the kernel and its first address.
struct Symbol {
    address: u64,
    name: String,
}

/// Returns all functions, sorted by address.
fn symbols() -> Result<Vec<Symbol>> {
    let all = fs::read_to_string("/proc/kallsyms").map_err(text)?;
    let mut symbols: Vec<_> = all
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            let kind = words.next()?;
            let name = words.next()?.to_owned();
            matches!(kind, "t" | "T" | "w" | "W").then_some(Symbol { address, name })
        })
        .collect();
    symbols.sort_by_key(|symbol| symbol.address);
    Ok(symbols)
}

/// Prints the functions with the most instructions of the last operation, those of the driver
/// first.
fn functions() -> Result<()> {
    let blocks = instructions::blocks()?;
    let places = Places::find().map_err(text)?;
    let symbols = symbols()?;
    let mut functions: HashMap<(bool, &str), u64> = HashMap::new();
    for (address, count) in blocks {
        if places.is_kernel(address) {
            let behind = symbols.partition_point(|symbol| symbol.address <= address);
            let name = behind.checked_sub(1).map_or("?", |at| &symbols[at].name);
            *functions.entry((places.is_own(address), name)).or_default() += count;
        }
    }
    for (own, title) in [(true, "the driver"), (false, "the rest of the kernel")] {
        let mut rows: Vec<_> = functions
            .iter()
            .filter(|((is_own, _), _)| *is_own == own)
            .map(|((_, name), count)| (*count, *name))
            .collect();
        rows.sort_by(|a, b| b.cmp(a));
        let sum: u64 = rows.iter().map(|(count, _)| count).sum();
        println!("{sum:>10} in {title}, in {} functions", rows.len());
        for (count, name) in rows.into_iter().take(TOP) {
            println!("{count:>10}   {:#}", demangle(name));
        }
    }
    Ok(())
}

fn obey(words: &[&str]) -> Result<()> {
    match words {
        ["write", path, line] => println!("{}", write(path, line)?),
        ["read", path] => println!("{}", read(path)?),
        ["loop", n] => println!("{}", known_loop(n)?),
        ["functions"] => functions()?,
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    machine_programs::backdoor::explain_absence();
    match obey(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{}: {error}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}
