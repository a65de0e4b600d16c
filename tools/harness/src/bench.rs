// SPDX-License-Identifier: GPL-2.0
//! All benches, with each driver, at several sizes, several times: each time in a
//! machine of its own.

use std::fs;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, bail};

use crate::artifacts::Artifacts;
use crate::console::Verdict;
use crate::module::Sizes;
use crate::report::Results;
use crate::run::{self, Job};
use crate::samples::{self, Sample, Samples};
use crate::scenario::Driver;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names of benches.
    pub benches: Vec<String>,
    /// How many adapters, and as many domains.
    pub sizes: Vec<u8>,
    /// How often each.
    pub runs: u32,
    /// How many machines at a time.
    pub jobs: usize,
}

/// One machine to be run.
struct Machine<'a> {
    bench: &'a str,
    size: u8,
    run: u32,
    driver: Driver,
}

impl Plan {
    /// The greatest first, as they take longest.
    fn machines(&self) -> Vec<Machine<'_>> {
        let mut sizes = self.sizes.clone();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let mut machines = Vec::new();
        for size in sizes {
            for run in 1..=self.runs {
                for bench in &self.benches {
                    for driver in Driver::ALL {
                        machines.push(Machine {
                            bench,
                            size,
                            run,
                            driver,
                        });
                    }
                }
            }
        }
        machines
    }
}

/// Runs all of a plan, and says how it comes along.
///
/// # Errors
///
/// If a bench did not come to its end.
pub fn run(artifacts: &Artifacts, plan: &Plan) -> Result<Results> {
    let release = artifacts.kernel.join("include/config/kernel.release");
    let kernel = fs::read_to_string(&release).with_context(|| release.display().to_string())?;
    let module = |driver| {
        let path = artifacts
            .module(driver)
            .context("both drivers are compared")?;
        Sizes::read(&path)
    };
    Ok(Results {
        kernel: kernel.trim().into(),
        rust_module: module(Driver::Rust)?,
        c_module: module(Driver::C)?,
        samples: samples(artifacts, plan)?,
    })
}

fn samples(artifacts: &Artifacts, plan: &Plan) -> Result<Samples> {
    let machines = plan.machines();
    let total = machines.len();
    let queue = Mutex::new(machines.into_iter());
    let next = || {
        let mut queue = queue.lock().expect("nothing panics with it");
        queue.next()
    };
    let (sender, receiver) = mpsc::channel();
    let mut samples = Samples::default();
    thread::scope(|scope| {
        for _ in 0..plan.jobs {
            let sender = sender.clone();
            scope.spawn(move || {
                while let Some(machine) = next() {
                    let samples = measure(artifacts, &machine);
                    if sender.send(samples).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (number, result) in receiver.iter().enumerate() {
            let mut more = result?;
            eprintln!("{} of {total} machines", number + 1);
            samples.0.append(&mut more);
        }
        Ok(samples)
    })
}

fn measure(artifacts: &Artifacts, machine: &Machine<'_>) -> Result<Vec<Sample>> {
    let &Machine {
        bench,
        size,
        run,
        driver,
    } = machine;
    let job = Job {
        name: Some(bench),
        driver,
        size: Some(size),
        profile: false,
    };
    let log = format!("{bench}-{size}-{run}");
    let outcome = run::in_machine(artifacts, job, &log, |_| {})?;
    if outcome.verdict != Verdict::Pass {
        bail!(
            "bench {bench} with {size} adapters, driver {driver}: {:?}; see {}",
            outcome.verdict,
            outcome.log.display()
        );
    }
    eprintln!(
        "{bench}, {size} adapters, run {run}, {driver}: {:.0} s",
        outcome.elapsed.as_secs_f32()
    );
    let reports = outcome
        .console
        .iter()
        .filter_map(|line| samples::parse(line));
    Ok(reports
        .map(|(operation, values)| Sample {
            driver,
            size,
            run,
            operation,
            values,
        })
        .collect())
}
