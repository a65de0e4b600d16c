// SPDX-License-Identifier: GPL-2.0
//! The command line: `test` for a test runner, `run` and `shell` for interactive use.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use harness::artifacts::Artifacts;
use harness::bench::{self, Plan};
use harness::console::{self, Line, Verdict};
use harness::judges;
use harness::results::Results;
use harness::run::{self, Job};
use harness::scenario::{Driver, Scenario};
use harness::walk;

/// Runs scenarios in emulated IBM Z machines with AP adapters.
#[derive(Parser)]
#[command(name = "vm", bin_name = "vm", disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    artifacts: Artifacts,
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run all scenarios, or those whose name contains a filter; see test --help
    #[command(disable_help_flag = true)]
    Test {
        /// Arguments of a Rust test program: a filter, --list, --exact, ...
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run one scenario and show its whole console
    Run {
        /// File name in the directory of scenarios, without .sh
        scenario: String,
        /// The driver; the default is this driver if it is built
        #[arg(long)]
        driver: Option<Driver>,
        /// The number of adapters, and of domains
        #[arg(long)]
        size: Option<u8>,
        /// List the functions of a bench with their costs
        #[arg(long)]
        profile: bool,
        /// A variable for the scenario; can be repeated
        #[arg(long = "set", value_name = "NAME=VALUE")]
        settings: Vec<String>,
    },
    /// Open a shell inside the machine; leave it with exit or ctrl-a x
    Shell {
        /// The driver; the default is this driver if it is built
        #[arg(long)]
        driver: Option<Driver>,
        /// A command for the machine, after those of default.machine
        #[arg(long, value_name = "COMMAND")]
        machine: Vec<String>,
        /// Number of CPUs
        #[arg(long, default_value_t = 1)]
        cpus: u32,
    },
    /// Measure the costs of both drivers
    Bench {
        /// Benches, files in the directory of benches without .sh
        #[arg(default_values = ["all", "kicks"])]
        benches: Vec<String>,
        /// Numbers of adapters, and of domains
        #[arg(long, value_delimiter = ',', default_values_t = [4, 16, 32])]
        sizes: Vec<u8>,
        /// Number of machines for each driver and size
        #[arg(long, default_value_t = 3)]
        runs: u32,
        /// Number of machines at a time
        #[arg(long, default_value_t = 2)]
        jobs: usize,
        /// Directory for pages, plots and results; the default prints the page
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
        /// Write pages and plots from the results in DIR, without measuring
        #[arg(long, requires = "into")]
        again: bool,
    },
    /// Run a foreign suite of tests with each driver, and compare with its known results
    Judge {
        /// Name of the suite: the name of the file with its known results, without .toml
        suite: String,
        /// Version of the suite
        #[arg(long, default_value = "")]
        version: String,
        /// The only driver for the run
        #[arg(long)]
        driver: Option<Driver>,
        /// A variable for the scenario; can be repeated
        #[arg(long = "set", value_name = "NAME=VALUE")]
        settings: Vec<String>,
        /// Make the results the known ones: write them, and the page to DIR
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
    },
    /// Execute random operations, and compare the state after each one with the specification
    Walk {
        /// Number of operations
        #[arg(long, default_value_t = 5000)]
        steps: usize,
        /// Seed of the walk; the default is a new seed, which is shown
        #[arg(long)]
        seed: Option<u64>,
        /// The driver; the default is this driver if it is built
        #[arg(long)]
        driver: Option<Driver>,
        /// Compare the C driver also with the rules that it is known to break
        #[arg(long)]
        strict: bool,
    },
    /// Show the driver at work, in ten seconds
    Demo {
        /// The driver; the default is this driver if it is built
        #[arg(long)]
        driver: Option<Driver>,
    },
}

/// The number of lines of the console that a failure prints.
const TAIL: usize = 30;

fn trial(artifacts: &Artifacts, name: &str, driver: Driver) -> Trial {
    let artifacts = artifacts.clone();
    let name = name.to_owned();
    Trial::ignorable_test(format!("{driver}::{name}"), move || {
        if let Some(reason) = &artifacts.missing {
            return Err(Failed::from(reason));
        }
        let outcome = run::scenario(&artifacts, &name, driver, |_| {})
            .map_err(|e| Failed::from(format!("{e:#}")))?;
        match outcome.verdict {
            Verdict::Pass => Ok(Completion::Completed),
            Verdict::Skip(reason) => Ok(Completion::ignored_with(reason)),
            // No machine was started.
            Verdict::Fail(reason) if outcome.console.is_empty() => Err(Failed::from(reason)),
            Verdict::Fail(reason) => {
                let from = outcome.console.len().saturating_sub(TAIL);
                Err(Failed::from(format!(
                    "{reason}\n\nlast lines of {}:\n{}\n\nfor the whole console: vm run {name} --driver {driver}",
                    outcome.log.display(),
                    outcome.console[from..].join("\n"),
                )))
            }
        }
    })
}

fn test(artifacts: &Artifacts, arguments: &[String]) -> Result<ExitCode> {
    let name = "vm test".to_owned();
    let mut arguments = Arguments::from_iter(std::iter::once(&name).chain(arguments));
    // A machine mostly uses one CPU, and its memory is small.
    if arguments.test_threads.is_none() {
        let cpus = std::thread::available_parallelism().map_or(2, usize::from);
        arguments.test_threads = Some(cpus.max(2));
    }
    let mut trials = Vec::new();
    for name in artifacts.scenario_names()? {
        for driver in Driver::ALL {
            if artifacts.missing.is_none() && artifacts.module(driver).is_none() {
                continue;
            }
            // A header with an error becomes a test that fails.
            let wanted = Scenario::parse(&artifacts.scenario(&name)?, driver)
                .map_or(true, |scenario| scenario.drivers.contains(&driver));
            if wanted {
                trials.push(trial(artifacts, &name, driver));
            }
        }
    }
    let list = arguments.list;
    let conclusion = libtest_mimic::run(&arguments, trials);
    let run = conclusion.num_passed + conclusion.num_failed + conclusion.num_ignored;
    if run == 0 && !list {
        bail!("no name of a scenario contains the filter; vm test --list prints all names");
    }
    Ok(conclusion.exit_code())
}

/// Returns a seed that is most likely new.
fn fresh_seed() -> u64 {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    // The seed is short enough for typing.
    now.as_micros() as u64 % 1_000_000_000
}

/// Returns a description of a walk that has failed.
fn explain(plan: &walk::Plan, outcome: walk::Outcome) -> Option<String> {
    match outcome {
        walk::Outcome::Passed => None,
        walk::Outcome::Failed {
            failure,
            small,
            operations,
            scenario,
            path,
        } => Some(format!(
            "{}\n\n{} steps are enough for: {}\n\n{scenario}\nthis is {}\n\
             to walk it all: vm walk --driver {} --seed {} --steps {}{}",
            failure.reason,
            operations.len(),
            small.reason,
            path.display(),
            plan.driver,
            plan.seed,
            plan.steps,
            if plan.strict { " --strict" } else { "" },
        )),
    }
}

fn walk_one(artifacts: &Artifacts, plan: &walk::Plan) -> Result<ExitCode> {
    eprintln!(
        "{} steps with seed {} and the {} driver",
        plan.steps, plan.seed, plan.driver
    );
    let begun = std::time::Instant::now();
    let outcome = walk::run(artifacts, plan, |line| eprintln!("{line}"))?;
    let seconds = begun.elapsed().as_secs_f32();
    match explain(plan, outcome) {
        None => eprintln!("all as expected, in {seconds:.1} s"),
        Some(text) => {
            eprintln!("FAILED after {seconds:.1} s: {text}");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn report(outcome: &run::Outcome) -> ExitCode {
    let seconds = outcome.elapsed.as_secs_f32();
    match &outcome.verdict {
        Verdict::Pass => eprintln!("passed in {seconds:.1} s"),
        Verdict::Skip(reason) => eprintln!("skipped: {reason}"),
        Verdict::Fail(reason) => {
            eprintln!("FAILED after {seconds:.1} s: {reason}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn run_one(artifacts: &Artifacts, job: Job<'_>) -> Result<ExitCode> {
    let log = job.name.unwrap_or_default();
    let outcome = run::in_machine(artifacts, job, log, |line| println!("{line}"))?;
    Ok(report(&outcome))
}

/// Runs the demo. Shows only the output of the scenario, unless it fails.
fn demo(artifacts: &Artifacts, driver: Driver) -> Result<ExitCode> {
    let mut begun = false;
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let plain = no_color || !std::io::stdout().is_terminal();
    let outcome = run::scenario(artifacts, "demo", driver, |line| match Line::new(line) {
        Line::Begin => begun = true,
        Line::Text(text) if begun && plain => println!("{}", console::without_colors(text)),
        Line::Text(text) if begun => println!("{text}"),
        _ => {}
    })?;
    if let Verdict::Fail(_) = outcome.verdict {
        eprintln!("the whole console is in {}", outcome.log.display());
    }
    Ok(report(&outcome))
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    execute(&cli).unwrap_or_else(|e| {
        eprintln!("error: {e:#}");
        ExitCode::FAILURE
    })
}

fn execute(cli: &Cli) -> Result<ExitCode> {
    let artifacts = &cli.artifacts;
    if artifacts.missing.is_none() {
        artifacts.check()?;
    }
    let default = if artifacts.rust_module.is_some() {
        Driver::Rust
    } else {
        Driver::C
    };
    let choose = |driver: Option<Driver>| match driver.unwrap_or(default) {
        Driver::Rust if artifacts.rust_module.is_none() => bail!("this driver is not built"),
        driver => Ok(driver),
    };
    match &cli.command {
        Task::Test { arguments } => test(artifacts, arguments),
        Task::Run {
            scenario,
            driver,
            size,
            profile,
            settings,
        } => {
            let job = Job {
                name: Some(scenario),
                driver: choose(*driver)?,
                size: *size,
                profile: *profile,
                settings,
            };
            run_one(artifacts, job)
        }
        Task::Shell {
            driver,
            machine,
            cpus,
        } => {
            run::shell(artifacts, choose(*driver)?, machine, *cpus)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Bench {
            benches,
            sizes,
            runs,
            jobs,
            into,
            again,
        } => {
            let plan = Plan {
                benches: benches.clone(),
                sizes: sizes.clone(),
                runs: *runs,
                jobs: *jobs,
            };
            let (results, all_passed) = match into {
                Some(directory) if *again => (Results::read(directory)?, true),
                _ => bench::run(artifacts, &plan)?,
            };
            match into {
                Some(directory) => results.write(directory)?,
                None => print!("{}", results.page()),
            }
            Ok(if all_passed {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Task::Judge {
            suite,
            version,
            driver,
            settings,
            into,
        } => {
            let plan = judges::Plan {
                suite,
                version,
                known: &artifacts.benches,
                drivers: driver.as_ref().map_or(&Driver::ALL, std::slice::from_ref),
                settings,
                update: into.as_deref(),
            };
            Ok(if judges::run(artifacts, &plan)? {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Task::Walk {
            steps,
            seed,
            driver,
            strict,
        } => {
            let plan = walk::Plan {
                driver: choose(*driver)?,
                seed: seed.unwrap_or_else(fresh_seed),
                steps: *steps,
                strict: *strict,
            };
            walk_one(artifacts, &plan)
        }
        Task::Demo { driver } => demo(artifacts, choose(*driver)?),
    }
}
