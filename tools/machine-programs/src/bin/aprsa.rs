// SPDX-License-Identifier: GPL-2.0
//! `aprsa modexpo|crt 1024|2048|4096 [COUNT]`: compute RSA with an adapter of this system,
//! through /dev/z90crypt, COUNT times (once).
//!
//! Prints `right` if each result is that of OpenSSL. Otherwise the last word is `wrong` or an
//! errno, and the exit status is 1.

use std::fs::OpenOptions;
use std::os::fd::AsFd;
use std::process::ExitCode;

use machine_programs::error::{Result, Step};
use machine_programs::rsa::{Method, Vector};

/// Returns the number of correct results of `count`, up to the first wrong one.
fn run(method: Method, vector: Vector, count: u32) -> Result<u32> {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/z90crypt")
        .step("open /dev/z90crypt")?;
    for number in 0..count {
        let step = || format!("request {}", number + 1);
        let output = vector.compute(device.as_fd(), method).step(step())?;
        if !vector.is_right(method, &output) {
            return Ok(number);
        }
    }
    Ok(count)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (method, bits, count) = match args.as_slice() {
        [method, bits] => (method, bits, Some(1)),
        [method, bits, count] => (method, bits, count.parse().ok()),
        _ => (&"", &"", None),
    };
    let (Some(method), Some(vector), Some(count)) =
        (Method::from_name(method), Vector::of(bits), count)
    else {
        eprintln!("usage: aprsa modexpo|crt 1024|2048|4096 [COUNT]");
        return ExitCode::from(2);
    };
    match run(method, vector, count) {
        Ok(right) if right == count => {
            println!("right");
            ExitCode::SUCCESS
        }
        Ok(right) => {
            println!("request {}: wrong", right + 1);
            ExitCode::FAILURE
        }
        Err(e) => {
            println!("{e}");
            ExitCode::FAILURE
        }
    }
}
