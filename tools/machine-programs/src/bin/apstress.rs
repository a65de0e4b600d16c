// SPDX-License-Identifier: GPL-2.0
//! `apstress [--rounds N] [--seconds N] [--seed N] [--patience N] [--overrides] [--unruly]`:
//! carry out all operations on the driver at the same time.
//!
//! In a round, one process for each role acts for some seconds (see [`machine_programs::stress`]).
//! Then all processes end, the hardware is repaired, and the state of mdevs, guests and KVM is
//! compared with the specification. `--unruly` skips the comparison, for a driver that does not
//! follow the specification. The next round continues from this state.
//!
//! apmask and aqmask assign queues to the driver. With `--overrides`, driver_override does so.
//! Linux does not allow both together.
//!
//! In every second round the module is also unloaded and loaded, and no guest keeps its device
//! for the whole round.
//!
//! The program prints the number of operations with each outcome. The exit status is 1 after an
//! unexpected outcome. A process that does not end within `--patience` seconds is reported with
//! its kernel stack.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use machine_programs::error::{Result, Step};
use machine_programs::host::{self, AP};
use machine_programs::stress::{self, FLEETING, LASTING, Tally, Worker};
use machine_programs::{backdoor, sysfs};
use nix::errno::Errno;
use vfio_ap_core::specification::{self, Queue, Sets, text};

/// The roles with any number of processes, and their numbers.
const ROLES: [(&str, &str, usize); 11] = [
    ("mdevs", "-", 2),
    ("assign", "-", 3),
    ("look", "-", 1),
    ("use", "A", 1),
    ("use", "B", 2),
    ("kill", "C", 1),
    ("machine", "-", 1),
    ("break", "-", 1),
    ("flap", "-", 1),
    ("scan", "-", 1),
    ("bind", "-", 1),
];

struct Options {
    rounds: u64,
    duration: Duration,
    patience: Duration,
    seed: u64,
    lawful: bool,
    overrides: bool,
}

fn seconds(value: std::ffi::OsString) -> std::result::Result<Duration, lexopt::Error> {
    use lexopt::prelude::*;
    Ok(Duration::from_secs(value.parse()?))
}

fn options() -> std::result::Result<Options, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options {
        rounds: 4,
        duration: Duration::from_secs(5),
        patience: Duration::from_secs(60),
        seed: 1,
        lawful: true,
        overrides: false,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => options.duration = seconds(parser.value()?)?,
            Long("patience") => options.patience = seconds(parser.value()?)?,
            Long("rounds") => options.rounds = parser.value()?.parse()?,
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("overrides") => options.overrides = true,
            Long("unruly") => options.lawful = false,
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

/// A process with a role.
struct Process {
    what: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(role: &str, name: &str, duration: Duration, seed: u64) -> Result<Self> {
        let program = std::env::current_exe().step("own name")?;
        let mut child = Command::new(program)
            .args(["role", role, name])
            .arg(duration.as_millis().to_string())
            .arg(seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .step("start a process")?;
        let missing = || Err(Errno::EPIPE).step("pipe");
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return missing();
        };
        Ok(Self {
            what: format!("{role} {name} (process {})", child.id()),
            child,
            input,
            output: BufReader::new(output),
        })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line).step("answer")? {
            0 => Err(Errno::ESRCH).step(format!("{} has ended", self.what)),
            _ => Ok(line.trim().into()),
        }
    }

    fn ask(&mut self, question: &str) -> Result<String> {
        writeln!(self.input, "{question}").step("question")?;
        self.line()
    }

    /// Waits for the end of the process. Returns an error with the reason if the process has
    /// failed.
    fn finish(mut self, deadline: Instant, tally: &mut Tally) -> std::result::Result<(), String> {
        drop(self.input);
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    let mut said = String::new();
                    let _ = self.output.read_to_string(&mut said);
                    for line in said.lines() {
                        if !tally.merge(line) {
                            println!("{}: {line}", self.what);
                        }
                    }
                    return match status.success() {
                        true => Ok(()),
                        false => Err(format!("{}: {status}", self.what)),
                    };
                }
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
                Ok(None) => {
                    explain(self.child.id());
                    return Err(format!("{} does not end", self.what));
                }
                Err(e) => return Err(format!("{}: {e}", self.what)),
            }
        }
    }
}

/// Prints the wait channels of the threads of a process, and makes the kernel print their stacks.
fn explain(process: u32) {
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    for thread in threads.into_iter().flatten().flatten() {
        for file in ["comm", "wchan", "stack"] {
            if let Ok(text) = fs::read_to_string(thread.path().join(file)) {
                println!("{}/{file}: {}", thread.path().display(), text.trim());
            }
        }
    }
    // This lists the tasks that no signal would wake.
    let _ = fs::write("/proc/sysrq-trigger", "w");
}

fn round(options: &Options, number: u64, tally: &mut Tally) -> std::result::Result<(), String> {
    let say = |e: machine_programs::error::Error| format!("round {number}: {e}");
    let unloads = number % 2 == 1;
    for name in FLEETING.into_iter().chain(LASTING) {
        // Creating an mdev that exists is refused.
        let _ = host::create(name);
    }
    let start = |(role, name): (&str, &str), seed| {
        let seed = options.seed << 16 | number << 8 | seed;
        Process::start(role, name, options.duration, seed).map_err(say)
    };
    let mut roles: Vec<(&str, &str)> = Vec::new();
    for (role, name, count) in ROLES {
        roles.extend(std::iter::repeat_n((role, name), count));
    }
    roles.push(match options.overrides {
        true => ("override", "-"),
        false => ("reserve", "-"),
    });
    let mut holders = Vec::new();
    if unloads {
        roles.push(("module", "-"));
    } else {
        roles.push(("config", "-"));
        for name in LASTING {
            holders.push(start(("hold", &name.to_string()), holders.len() as u64)?);
        }
    }
    let workers = roles.into_iter().zip(16..);
    let workers: Vec<_> = workers
        .map(|(role, seed)| start(role, seed))
        .collect::<std::result::Result<_, _>>()?;
    let deadline = Instant::now() + options.duration + options.patience;
    for worker in workers {
        worker.finish(deadline, tally)?;
    }
    for holder in &mut holders {
        holder.line().map_err(say)?;
    }
    mend().map_err(say)?;
    if options.lawful {
        let wrong = settle(&mut holders, options.patience)?;
        if let Some(wrong) = wrong {
            return Err(format!("round {number}: {wrong}"));
        }
    }
    let deadline = Instant::now() + options.patience;
    for holder in holders {
        holder.finish(deadline, tally)?;
    }
    Ok(())
}

/// Repairs the hardware, and waits for the host to notice. The host configuration does not change.
fn mend() -> Result<()> {
    for id in 0..stress::IDS {
        if backdoor::ask(&format!("adapter {id} state online")).is_err() {
            let _ = backdoor::ask(&format!("adapter {id} cex7a"));
        }
    }
    for command in [
        "queue *.* zapq clear ; queue *.* tapq clear ; queue *.* aqic clear",
        "queue *.* reset-polls 1 ; queue *.* irq-polls 1 ; queue *.* state online",
    ] {
        backdoor::ask(command).or(Err(Errno::EIO)).step(command)?;
    }
    host::load()?;
    // A change of the host configuration makes the driver retry failed resets.
    for change in ["adm - 3", "adm + 3"] {
        backdoor::ask(change).or(Err(Errno::EIO)).step(change)?;
        host::scan()?;
    }
    Ok(())
}

/// Returns the host configuration that Linux knows, and the queues of the driver.
fn configuration() -> Result<(Sets, BTreeSet<Queue>)> {
    let mask = |name| sysfs::read(Path::new(AP).join(name));
    let masks = [
        mask("ap_adapter_mask")?,
        mask("ap_usage_domain_mask")?,
        mask("ap_control_domain_mask")?,
    ]
    .join(",");
    let bound = host::queues(|queue| {
        fs::read_link(queue.join("driver")).is_ok_and(|driver| driver.ends_with("vfio_ap"))
    });
    let bound = bound.iter().filter_map(|name| {
        let (adapter, domain) = name.split_once('.')?;
        let id = |text| u8::from_str_radix(text, 16).ok();
        Some((id(adapter)?, id(domain)?))
    });
    Ok((sets(&masks)?, bound.collect()))
}

fn sets(masks: &str) -> Result<Sets> {
    text::matrix(masks.as_bytes())
        .or(Err(Errno::EINVAL))
        .step(format!("masks: {masks}"))
}

/// Compares the state with the specification. Returns the first difference.
fn compare(holders: &mut [Process]) -> Result<Option<String>> {
    let (host, usable) = configuration()?;
    let mut assigned_to_all = BTreeSet::new();
    for name in FLEETING.into_iter().chain(LASTING) {
        let mdev = host::mdev(name);
        if !mdev.exists() {
            continue;
        }
        let assigned = sets(&sysfs::read(mdev.join("ap_config"))?)?;
        for queue in assigned.queues() {
            if !assigned_to_all.insert(queue) {
                return Ok(Some(format!("queue {queue:?} is assigned twice")));
            }
        }
        let has = specification::guest(&assigned, &host, &usable);
        let expected = text::listing(&has);
        let seen = sysfs::read(mdev.join("guest_matrix"))?;
        if seen != expected {
            return Ok(Some(format!(
                "guest matrix of {name}: expected '{expected}', got '{seen}'"
            )));
        }
        if let Some(at) = LASTING.iter().position(|other| *other == name)
            && let Some(holder) = holders.get_mut(at)
        {
            let (expected, seen) = (text::masks(&has), holder.ask("masks")?);
            // Masks that were never set equal empty masks.
            let nothing = ["never set", "clear"].contains(&seen.as_str())
                && expected == text::masks(&Sets::default());
            if seen != expected && !nothing {
                return Ok(Some(format!(
                    "masks of {name}: expected '{expected}', got '{seen}'"
                )));
            }
            let seen = holder.ask("queues")?;
            let expected = match has.queues().is_empty() {
                true => "none".into(),
                false => text::listing(&has),
            };
            if seen != expected {
                return Ok(Some(format!(
                    "queues of the guest {name}: expected '{expected}', got '{seen}'"
                )));
            }
        }
    }
    Ok(None)
}

/// Waits until the state equals the specification, or returns the difference.
fn settle(
    holders: &mut [Process],
    patience: Duration,
) -> std::result::Result<Option<String>, String> {
    let begun = Instant::now();
    loop {
        match compare(holders) {
            Ok(Some(_)) if begun.elapsed() < patience => thread::sleep(Duration::from_millis(50)),
            Ok(wrong) => return Ok(wrong),
            Err(e) => return Err(e.to_string()),
        }
    }
}

fn run(options: &Options) -> std::result::Result<(), String> {
    let begun = Instant::now();
    let mut tally = Tally::default();
    let result = (0..options.rounds).try_for_each(|number| {
        let result = round(options, number, &mut tally);
        println!(
            "round {number}: {} operations so far, {:.0} s",
            tally.total(),
            begun.elapsed().as_secs_f32()
        );
        result
    });
    print!("{tally}");
    println!(
        "stress: {} operations in {} rounds, {:.0} s, seed {}",
        tally.total(),
        options.rounds,
        begun.elapsed().as_secs_f32(),
        options.seed
    );
    result?;
    let unexpected = tally.unexpected();
    match unexpected.is_empty() {
        true => Ok(()),
        false => Err(format!("unexpected outcomes: {}", unexpected.join(", "))),
    }
}

/// Executes `apstress role ROLE NAME MILLISECONDS SEED`, which is one of the processes.
fn play(role: &str, name: &str, duration: &str, seed: &str) -> Result<()> {
    let number = |text: &str| text.parse().or(Err(Errno::EINVAL)).step("number");
    let duration = Duration::from_millis(number(duration)?);
    let worker = Worker::new(duration, number(seed)?);
    let name = name.chars().next().unwrap_or('-');
    print!("{}", worker.play(role, name)?);
    Ok(())
}

fn main() -> ExitCode {
    backdoor::explain_absence();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["role", role, name, duration, seed] => {
            play(role, name, duration, seed).map_err(|e| e.to_string())
        }
        _ => match options() {
            Ok(options) => run(&options),
            Err(e) => {
                eprintln!("apstress: {e}");
                return ExitCode::from(2);
            }
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            println!("wrong: {wrong}");
            ExitCode::FAILURE
        }
    }
}
