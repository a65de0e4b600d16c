// SPDX-License-Identifier: GPL-2.0
//! Random walks: thousands of operations in random order, with a comparison of all visible state
//! after each operation.
//!
//! | module        | contents                                                      |
//! |---------------|---------------------------------------------------------------|
//! | [`operation`] | the operations, and their syntax                              |
//! | [`world`]     | the expected state                                            |
//! | [`shrink`]    | the reduction of a failing walk                               |
//!
//! A walk is generated from a seed. `apwalk` executes the walk in the machine and stops at the
//! first unexpected state. The expected states do not depend on the machine, and any part of a walk
//! is a walk. A failing walk is therefore reduced, and printed as a scenario.

pub mod operation;
pub mod shrink;
pub mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use vfio_ap_core::specification::Sets;

use self::operation::{Kind, Operation};
use self::world::World;
use crate::artifacts::Artifacts;
use crate::console::Verdict;
use crate::run;
use crate::scenario::Driver;

/// The machine of a walk. Resets take no time unless a walk changes their duration.
///
/// The machine has no CCA coprocessor, because these generate random numbers. Linux's hwrng thread
/// scans the bus if it finds no queue for random numbers. If that scan removes the last queue, the
/// thread waits for its own end (zcrypt_rng_data_read(), hwrng_unregister()). This does not depend
/// on the driver of the other queues.
pub const MACHINE: &str = "limits na=15 nd=15 ; adapter 0-3 cex7a ; queue *.* reset-polls 0";

/// The adapters of vfio_ap at the start.
const GIVEN: &str = "1 2 3";

/// The time limit for reducing a walk.
const SHRINKING: Duration = Duration::from_secs(300);

/// The parameters of a walk.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The driver.
    pub driver: Driver,
    /// The seed. Each seed gives another walk.
    pub seed: u64,
    /// The number of operations.
    pub steps: usize,
    /// True if the C driver has to obey all rules. It is known to break some of the rules for the
    /// masks of guests.
    pub strict: bool,
}

impl Plan {
    /// Returns true if only the rules that both drivers obey are checked.
    fn is_lenient(&self) -> bool {
        self.driver == Driver::C && !self.strict
    }
}

fn any_operation(lenient: bool) -> impl Strategy<Value = Operation> {
    let id = || 0..world::IDS;
    let name = || prop_oneof![4 => Just('A'), 4 => Just('B'), 1 => Just('C')];
    let queue = || (id(), id());
    let assignable = || {
        prop_oneof![
            Just(Kind::Adapter),
            Just(Kind::Adapter),
            Just(Kind::Domain),
            Just(Kind::Domain),
            Just(Kind::ControlDomain)
        ]
    };
    // Some numbers do not exist or are too large.
    let number = prop_oneof![20 => 0..u16::from(world::IDS), 1 => 4..18_u16, 1 => Just(300)];
    let subset = || prop::collection::btree_set(id(), 0..4);
    let sets = (subset(), subset(), subset()).prop_map(|(a, d, c)| Sets {
        adapters: a,
        domains: d,
        control_domains: c,
    });
    let host = prop_oneof![3 => Just(Kind::Adapter), 3 => Just(Kind::Domain),
        1 => Just(Kind::ControlDomain)];
    let state = prop::sample::select(vec!["online", "deconfigured", "checkstopped"]);
    let types = prop::sample::select(vec!["cex7a", "cex7a", "cex8p"]);
    // More than half of the operations add or assign something.
    let on = || prop::bool::weighted(0.6);
    use Operation::*;
    let common = prop_oneof![
        30 => (name(), assignable(), number, on()).prop_map(|(m, k, n, on)| Assign(m, k, n, on)),
        6 => (name(), sets).prop_map(|(m, sets)| Configure(m, sets)),
        7 => (name(), any::<bool>()).prop_map(|(m, cdev)| Open(m, cdev)),
        3 => name().prop_map(Close),
        8 => (host, id(), on()).prop_map(|(k, n, on)| Host(k, n, on)),
        10 => Just(Scan),
        8 => queue().prop_map(Bind),
        5 => queue().prop_map(Unbind),
        2 => (id(), on()).prop_map(|(n, on)| Reserve(Kind::Adapter, n, !on)),
        2 => (id(), on()).prop_map(|(n, on)| Reserve(Kind::Domain, n, !on)),
        2 => (id(), state).prop_map(|(a, state)| State(a, state)),
        2 => (id(), on()).prop_map(|(a, on)| Config(a, on)),
        1 => name().prop_map(Create),
    ];
    if lenient {
        // Other operations can crash the C driver.
        return common.boxed();
    }
    prop_oneof![
        86 => common,
        1 => name().prop_map(Remove),
        2 => name().prop_map(Reset),
        1 => name().prop_map(Replace),
        1 => name().prop_map(Detach),
        1 => name().prop_map(Plug),
        2 => (id(), types).prop_map(|(a, what)| Install(a, what)),
        1 => id().prop_map(Uninstall),
        1 => queue().prop_map(Break),
        1 => (queue(), 1..5_u32).prop_map(|(q, n)| Slow(q, n)),
        1 => (queue(), 1..4_u32).prop_map(|(q, n)| Busy(q, n)),
        5 => queue().prop_map(Mend),
    ]
    .boxed()
}

/// Returns the operations of a walk.
pub fn generate(plan: &Plan) -> Vec<Operation> {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&plan.seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let some = prop::collection::vec(any_operation(plan.is_lenient()), plan.steps);
    // None of these strategies rejects a value.
    let walk = some.new_tree(&mut runner).map(|tree| tree.current());
    let mut operations = vec![Operation::Create('A'), Operation::Create('B')];
    operations.extend(walk.unwrap_or_default());
    operations.truncate(plan.steps);
    operations
}

/// Returns the part of the state that is compared. For the C driver, this is the part that is
/// correct with it.
fn seen(world: &World, plan: &Plan) -> BTreeMap<String, String> {
    let mut seen = world.seen();
    if plan.is_lenient() {
        seen.retain(|what, _| {
            let (_, attribute) = what.split_once(' ').unwrap_or_default();
            matches!(attribute, "matrix" | "control_domains" | "ap_config")
        });
    }
    seen
}

/// Returns the operations with their expected results, for `apwalk`.
pub fn script(operations: &[Operation], plan: &Plan) -> String {
    let mut world = World::default();
    let mut known = BTreeMap::new();
    let mut text = String::new();
    for operation in operations {
        let answer = world.take(operation);
        // Writing to a `String` does not fail.
        let _ = writeln!(text, "do {operation}");
        if answer.text != "ok" {
            let _ = writeln!(text, "answer {}", answer.text);
        }
        if answer.soon {
            text += "soon\n";
        }
        if answer.retried {
            text += "retried\n";
        }
        for (name, (min, max)) in answer.commits.iter().filter(|_| !plan.is_lenient()) {
            let _ = writeln!(text, "commits {name} {min} {max}");
        }
        let seen = seen(&world, plan);
        for (what, value) in &seen {
            if known.get(what) != Some(value) {
                let _ = writeln!(text, "expect {what} = {value}");
            }
        }
        known = seen;
    }
    text
}

/// A failure of a walk.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The index of the operation, if it is known.
    pub step: Option<usize>,
    /// The description of the failure.
    pub reason: String,
}

/// Walks the operations in their own machine with the name `name`.
fn walk(
    artifacts: &Artifacts,
    operations: &[Operation],
    plan: &Plan,
    name: &str,
) -> Result<Option<Failure>> {
    let directory = tempfile::tempdir()?;
    for file in ["lib.sh", "default.machine"] {
        let to = directory.path().join(file);
        fs::copy(artifacts.scenarios.join(file), to).context(file)?;
    }
    let script = script(operations, plan);
    let retries = script.lines().filter(|line| *line == "retried").count();
    let scenario = format!(
        "# SPDX-License-Identifier: GPL-2.0\n\
         # A random walk.\n\
         # machine: {MACHINE}\n\
         # timeout: {}\n\
         give_to_vfio_ap '{GIVEN}' ''\n\
         load_driver\n\
         ktry write $ap/config_time 120\n\
         apwalk /scenarios/{name}.machine || fail 'see above'\n",
        60 + operations.len() / 10 + retries * 8
    );
    fs::write(directory.path().join(format!("{name}.sh")), scenario)?;
    let steps = directory.path().join(format!("{name}.machine"));
    fs::write(steps, script)?;
    let artifacts = Artifacts {
        scenarios: directory.path().into(),
        ..artifacts.clone()
    };
    let outcome = run::scenario(&artifacts, name, plan.driver, |_| {})?;
    let reason = match outcome.verdict {
        Verdict::Pass => return Ok(None),
        Verdict::Fail(reason) | Verdict::Skip(reason) => reason,
    };
    let wrong = outcome
        .console
        .iter()
        .find_map(|l| l.strip_prefix("walk: "));
    let step = wrong.and_then(|text| {
        let (number, _) = text.strip_prefix("step ")?.split_once(':')?;
        number.parse().ok()
    });
    Ok(Some(Failure {
        step,
        reason: wrong.map_or(reason, str::to_owned),
    }))
}

/// The outcome of a walk.
#[derive(Debug)]
pub enum Outcome {
    /// All states were as expected.
    Passed,
    /// A state was not as expected.
    Failed {
        /// The failure of the whole walk.
        failure: Failure,
        /// The failure of the reduced walk.
        small: Failure,
        /// The operations of the reduced walk.
        operations: Vec<Operation>,
        /// The reduced walk as a scenario.
        scenario: String,
        /// The path of the file with the scenario.
        path: PathBuf,
    },
}

/// Walks, and reduces a failing walk within the time limit.
///
/// # Errors
///
/// Returns an error if the machine cannot be started.
pub fn run(artifacts: &Artifacts, plan: &Plan, mut say: impl FnMut(&str)) -> Result<Outcome> {
    let operations = generate(plan);
    let name = format!("walk-{}", plan.seed);
    let Some(failure) = walk(artifacts, &operations, plan, &name)? else {
        return Ok(Outcome::Passed);
    };
    say(&format!("wrong: {}", failure.reason));
    let begun = Instant::now();
    let mut small = failure.clone();
    let mut broken = None;
    let end = failure.step.map_or(operations.len(), |step| step + 1);
    let operations = shrink::shrink(operations[..end].to_vec(), |candidate| {
        if begun.elapsed() > SHRINKING || broken.is_some() {
            return None;
        }
        // The log of the whole walk is kept.
        match walk(artifacts, candidate, plan, &format!("{name}-smaller")) {
            Ok(Some(failure)) => {
                let end = failure.step.map_or(candidate.len(), |step| step + 1);
                say(&format!("wrong, too: {end} steps: {}", failure.reason));
                small = failure;
                Some(end)
            }
            Ok(None) => None,
            Err(e) => {
                broken = Some(e);
                None
            }
        }
    });
    if let Some(e) = broken {
        return Err(e);
    }
    let scenario = scenario(&operations, plan, &small.reason);
    let path = artifacts.logs.join(format!("{name}.sh"));
    fs::write(&path, &scenario).with_context(|| path.display().to_string())?;
    Ok(Outcome::Failed {
        failure,
        small,
        operations,
        scenario,
        path,
    })
}

/// Returns the operations and the expected state as a scenario that can be added.
pub fn scenario(operations: &[Operation], plan: &Plan, reason: &str) -> String {
    let mut world = World::default();
    let mut text = format!(
        "# SPDX-License-Identifier: GPL-2.0\n\
         # TODO: say what is proved, as a sentence.\n\
         #\n\
         # Found by a random walk: vm walk --driver {} --seed {} --steps {}\n\
         # {reason}\n\
         # machine: {MACHINE}\n\n\
         give_to_vfio_ap \"{GIVEN}\" \"\"\n\
         load_driver\n",
        plan.driver, plan.seed, plan.steps
    );
    let mut open = Vec::new();
    for operation in operations {
        let answer = world.take(operation).text;
        match (operation, answer) {
            (Operation::Open(name, _), "ok") => open.push(*name),
            (Operation::Close(name), "ok") => open.retain(|other| other != name),
            // A monitor that does not exist yet or is already open prints nothing.
            (
                Operation::Open(..)
                | Operation::Close(_)
                | Operation::Reset(_)
                | Operation::Replace(_)
                | Operation::Detach(_)
                | Operation::Plug(_),
                error,
            ) if !matches!(error, "ok" | "EIO") => continue,
            _ => {}
        }
        let words = operation.words();
        let _ = match answer {
            "ok" => writeln!(text, "{words}"),
            "any" => writeln!(text, "{words} || true"),
            "refused" => writeln!(text, "! {words}"),
            errno => writeln!(text, "expect_error {errno} {words}"),
        };
        if let Operation::Reserve(..) = operation {
            text += "for queue in $ap/devices/*.*; do\n\
                     \t[ -e \"$queue/driver\" ] || echo \"${queue##*/}\" >$ap/drivers_probe\n\
                     done\n";
        }
    }
    for (what, value) in seen(&world, plan) {
        let (of, attribute) = what.split_once(' ').unwrap_or_default();
        let _ = match attribute {
            _ if value == "absent" => continue,
            "matrix" | "guest_matrix" | "control_domains" => {
                writeln!(
                    text,
                    "expect \"{attribute} of {of}\" \"{value}\" {attribute} {of}"
                )
            }
            "kvm" if open.contains(&of.chars().next().unwrap_or_default()) => {
                writeln!(text, "expect \"masks of {of}\" \"{value}\" masks {of}")
            }
            "status" if value != "unassigned" => {
                let file = format!("$ap/devices/{of}/status");
                writeln!(text, "expect \"status of {of}\" \"{value}\" cat {file}")
            }
            _ => continue,
        };
    }
    text
}
