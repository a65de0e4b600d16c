// SPDX-License-Identifier: GPL-2.0
//! Runs all benches with each driver, at several sizes, several times, each in its own machine.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

use crate::artifacts::Artifacts;
use crate::console::Verdict;
use crate::module::Sizes;
use crate::results::Results;
use crate::run::{self, Job};
use crate::samples::{self, Sample, Samples};
use crate::scenario::Driver;

/// The measurements to make.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The names of benches.
    pub benches: Vec<String>,
    /// The numbers of adapters, which are also the numbers of domains.
    pub sizes: Vec<u8>,
    /// The number of machines for each bench, driver and size.
    pub runs: u32,
    /// The number of machines at a time.
    pub jobs: usize,
}

/// A machine to run.
struct Machine<'a> {
    bench: &'a str,
    size: u8,
    run: u32,
    driver: Driver,
}

impl fmt::Display for Machine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            bench,
            size,
            run,
            driver,
        } = self;
        write!(f, "{bench}, {size}x{size}, {driver}, number {run}")
    }
}

impl Plan {
    /// Returns all machines, the largest first, because they take longest.
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

/// The outcome of one machine.
struct Outcome {
    samples: Vec<Sample>,
    failed: bool,
}

/// Runs all machines of a plan and prints the progress. Returns the results, and true if all
/// benches have finished. The results contain the measurements of unfinished benches, too.
///
/// # Errors
///
/// Returns an error if a necessary file is missing.
pub fn run(artifacts: &Artifacts, plan: &Plan) -> Result<(Results, bool)> {
    let release = artifacts.kernel.join("include/config/kernel.release");
    let kernel = fs::read_to_string(&release).with_context(|| release.display().to_string())?;
    let module = |driver| {
        let path = artifacts
            .module(driver)
            .context("both drivers are compared")?;
        Sizes::read(&path)
    };
    let (rust_module, c_module) = (module(Driver::Rust)?, module(Driver::C)?);
    for bench in &plan.benches {
        artifacts.scenario(bench)?;
    }
    let outcomes = outcomes(artifacts, plan);
    let all_passed = !outcomes.iter().any(|outcome| outcome.failed);
    let samples = outcomes.into_iter().flat_map(|outcome| outcome.samples);
    let results = Results {
        kernel: kernel.trim().into(),
        rust_module,
        c_module,
        samples: Samples(samples.collect()),
    };
    Ok((results, all_passed))
}

/// Runs all machines and returns the outcomes in the order of the plan.
fn outcomes(artifacts: &Artifacts, plan: &Plan) -> Vec<Outcome> {
    let machines = plan.machines();
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..plan.jobs {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(machine) = machines.get(number) else {
                        return;
                    };
                    let outcome = measure(artifacts, machine).unwrap_or_else(|error| {
                        eprintln!("{machine}: {error:#}");
                        Outcome {
                            samples: Vec::new(),
                            failed: true,
                        }
                    });
                    let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                    outcomes.insert(number, outcome);
                    eprintln!("{} of {} machines", outcomes.len(), machines.len());
                }
            });
        }
    });
    let outcomes = outcomes.into_inner();
    outcomes
        .unwrap_or_else(PoisonError::into_inner)
        .into_values()
        .collect()
}

fn measure(artifacts: &Artifacts, machine: &Machine<'_>) -> Result<Outcome> {
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
        settings: &[],
    };
    let log = format!("{bench}-{size}-{run}");
    let outcome = run::in_machine(artifacts, job, &log, |_| {})?;
    match &outcome.verdict {
        Verdict::Pass => eprintln!("{machine}: {:.0} s", outcome.elapsed.as_secs_f32()),
        verdict => eprintln!("{machine}: {verdict:?}; see {}", outcome.log.display()),
    }
    let reports = outcome
        .console
        .iter()
        .filter_map(|line| samples::parse(line));
    Ok(Outcome {
        samples: reports
            .map(|(operation, values)| Sample {
                driver,
                size,
                run,
                operation,
                values,
            })
            .collect(),
        failed: outcome.verdict != Verdict::Pass,
    })
}
