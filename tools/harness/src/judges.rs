// SPDX-License-Identifier: GPL-2.0
//! Foreign suites of tests: their output, their known results, and the page of these results.
//!
//! A scenario runs the suite. For each test it prints `@TEST name`, the output of the test, and
//! `@ENDED status`. A file for each suite has the known results: the number of checks that pass, and
//! each check that fails or is skipped, with the reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::LazyLock;
use std::{fs, thread};

use anyhow::{Context, Result, bail};
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::artifacts::Artifacts;
use crate::console::{Line, Verdict};
use crate::run::{self, Job};
use crate::scenario::Driver;

/// The exit statuses of `timeout` after it has ended a program.
const TIMED_OUT: [i32; 2] = [124, 137];

/// A printed result of a check, in the format of kvm-unit-tests or of TAP.
static CHECK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:# )*(?:(PASS|FAIL|SKIP|XFAIL|XPASS): (.*)|(not )?ok \d+ (?:- )?(.*))$")
        .expect("a constant")
});

/// The line in which a test of kvm-unit-tests prints its exit status.
static EXIT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^EXIT: STATUS=(\d+)").expect("a constant"));

/// The printed exit statuses of a test whose checks have all passed, of which some have failed, or
/// whose checks were all skipped.
const ENDS: [&str; 3] = ["1", "3", "77"];

/// Numbers that differ in each run.
static VOLATILE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b0x[0-9a-f]{5,}\b|\b[0-9a-f]{8,}\b").expect("a constant"));

/// The result of one test of a suite. Comparisons use all fields.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Test {
    /// The number of checks that have passed.
    #[serde(default)]
    pub passed: u32,
    /// The reason if the test did not end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// An explanation of `broken`, in known results only.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub because: String,
    /// The failed checks with reasons. A missing reason is an empty string.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, String>,
    /// The skipped checks with reasons, unless the suite prints the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<String, String>,
}

impl Test {
    fn note(&mut self, line: &str) {
        if let Some(parts) = EXIT.captures(line)
            && !ENDS.contains(&&parts[1])
        {
            self.broken = Some("it has given up".into());
        }
        let Some(parts) = CHECK.captures(line) else {
            return;
        };
        let text = |number: usize| parts.get(number).map_or("", |text| text.as_str().trim());
        let (outcome, name) = if let Some(outcome) = parts.get(1) {
            (outcome.as_str(), text(2))
        } else if text(4).contains("# SKIP") {
            ("SKIP", text(4))
        } else if parts.get(3).is_some() {
            ("FAIL", text(4))
        } else {
            ("PASS", text(4))
        };
        let checks = match outcome {
            "PASS" => {
                self.passed += 1;
                return;
            }
            "SKIP" => &mut self.skipped,
            _ => &mut self.failed,
        };
        let name = VOLATILE.replace_all(name, "…").into_owned();
        let mut unique = name.clone();
        let mut number = 1;
        while checks.contains_key(&unique) {
            number += 1;
            unique = format!("{name} ({number})");
        }
        checks.insert(unique, String::new());
    }

    fn end(&mut self, status: i32) {
        if TIMED_OUT.contains(&status) {
            self.broken = Some("its time was over".into());
        } else if self.broken.is_none()
            && self.passed == 0
            && self.failed.is_empty()
            && self.skipped.is_empty()
        {
            self.broken = Some("it ended without a result".into());
        } else if self.broken.is_none() && self.failed.is_empty() && status & !1 != 0 {
            self.broken = Some(format!("it ended with status {status}"));
        }
    }

    /// Copies the reasons for equal results from the known results.
    fn explain(&mut self, known: &Self) {
        if self.broken.is_some() {
            self.because.clone_from(&known.because);
        }
        for (mine, theirs) in [
            (&mut self.failed, &known.failed),
            (&mut self.skipped, &known.skipped),
        ] {
            for (check, reason) in mine {
                if let Some(known) = theirs.get(check) {
                    reason.clone_from(known);
                }
            }
        }
    }

    /// Returns true if each failed check, each skipped check and an abnormal end has a reason.
    fn is_explained(&self) -> bool {
        self.failed.values().all(|reason| !reason.is_empty())
            && (self.broken.is_none() || !self.because.is_empty())
    }
}

/// All tests of a suite by name.
pub type Tests = BTreeMap<String, Test>;

/// Returns the results of the tests on a console.
pub fn tests<'a>(console: impl IntoIterator<Item = &'a str>) -> Tests {
    let mut tests = Tests::new();
    let mut current: Option<(String, Test)> = None;
    for line in console {
        let Line::Text(line) = Line::new(line) else {
            continue;
        };
        if let Some(name) = line.strip_prefix("@TEST ") {
            current = Some((name.trim().into(), Test::default()));
        } else if let Some(status) = line.strip_prefix("@ENDED ") {
            if let Some((name, mut test)) = current.take() {
                test.end(status.trim().parse().unwrap_or(-1));
                tests.insert(name, test);
            }
        } else if let Some((_, test)) = &mut current {
            test.note(line.trim_end());
        }
    }
    tests
}

/// The known results of a suite.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Known {
    /// A description in one sentence.
    pub about: String,
    /// The address of the source.
    pub source: String,
    /// The version of the last run.
    pub version: String,
    /// The kernel of the last run.
    pub kernel: String,
    /// The date of the last run, as YYYY-MM-DD.
    pub date: String,
    /// The tests that use the driver, and were run with both drivers.
    #[serde(default)]
    pub both: Vec<String>,
    /// The results of the tests.
    #[serde(default)]
    pub tests: Tests,
}

impl Known {
    /// Reads a file with known results.
    ///
    /// # Errors
    ///
    /// Returns an error if the file does not exist or has another format.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string_pretty(self)?;
        fs::write(path, format!("# SPDX-License-Identifier: GPL-2.0\n{text}"))
            .with_context(|| path.display().to_string())
    }

    /// Returns a line for each difference from the known results. `all` is true if all tests were
    /// to run.
    pub fn differences(&self, seen: &Tests, all: bool) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, test) in seen {
            match self.tests.get(name) {
                None => lines.push(format!("{name}: no known result")),
                Some(known) => differences(name, known, test, &mut lines),
            }
        }
        let missing = (self.tests.keys()).filter(|name| all && !seen.contains_key(*name));
        lines.extend(missing.map(|name| format!("{name}: not run")));
        let unexplained = self.tests.iter().filter(|(_, test)| !test.is_explained());
        lines.extend(unexplained.map(|(name, _)| format!("{name}: a reason is missing")));
        lines
    }
}

fn differences(name: &str, known: &Test, seen: &Test, lines: &mut Vec<String>) {
    if known.passed != seen.passed {
        lines.push(format!(
            "{name}: {} passed, the known number is {}",
            seen.passed, known.passed
        ));
    }
    if known.broken != seen.broken {
        let say = |broken: &Option<String>| broken.clone().unwrap_or("it ended by itself".into());
        lines.push(format!(
            "{name}: {}, the known result is: {}",
            say(&seen.broken),
            say(&known.broken)
        ));
    }
    for (what, known, seen) in [
        ("failed", &known.failed, &seen.failed),
        ("skipped", &known.skipped, &seen.skipped),
    ] {
        let new = seen.keys().filter(|check| !known.contains_key(*check));
        lines.extend(new.map(|check| format!("{name}: {what}: {check}")));
        let gone = known.keys().filter(|check| !seen.contains_key(*check));
        lines.extend(gone.map(|check| format!("{name}: no longer {what}: {check}")));
    }
}

/// A run of a suite.
pub struct Plan<'a> {
    /// The name of the suite.
    pub suite: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The directory of the known results.
    pub known: &'a Path,
    /// The drivers for the run.
    pub drivers: &'a [Driver],
    /// Variables for the scenario.
    pub settings: &'a [String],
    /// The directory of the page, if the results become the known results.
    pub update: Option<&'a Path>,
}

/// Runs a suite with each driver. Returns true if all results equal the known results.
///
/// # Errors
///
/// Returns an error if the suite cannot run, or if the results with both drivers differ and are to
/// become the known results.
pub fn run(artifacts: &Artifacts, plan: &Plan<'_>) -> Result<bool> {
    let path = plan.known.join(plan.suite).with_extension("toml");
    // This finds an error in the file before the run, which takes up to an hour.
    Known::read(&path)?;
    let outcomes = thread::scope(|scope| {
        let threads: Vec<_> = (plan.drivers.iter())
            .map(|&driver| scope.spawn(move || one(artifacts, plan, driver)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("it does not panic"))
            .collect::<Result<Vec<_>>>()
    })?;
    let mut known = Known::read(&path)?;
    let mut all_is_known = true;
    for (driver, seen) in plan.drivers.iter().zip(&outcomes) {
        let count = |f: fn(&Test) -> usize| seen.values().map(f).sum::<usize>();
        eprintln!(
            "{} with the {driver} driver: {} tests, {} checks passed, {} failed, {} skipped",
            plan.suite,
            seen.len(),
            count(|test| test.passed as usize),
            count(|test| test.failed.len()),
            count(|test| test.skipped.len()),
        );
        if plan.update.is_none() {
            // Tests that do not use the driver run with ours only.
            let all = *driver == Driver::Rust && plan.settings.is_empty();
            for line in known.differences(seen, all) {
                all_is_known = false;
                eprintln!("unexpected result with the {driver} driver: {line}");
            }
        }
    }
    let Some(documentation) = plan.update else {
        return Ok(all_is_known);
    };
    let Some((first, others)) = outcomes.split_first() else {
        bail!("no driver");
    };
    for (name, test) in others.iter().flatten() {
        if first.get(name) != Some(test) {
            bail!(
                "the drivers differ in {name}: see {}",
                artifacts.logs.display()
            );
        }
    }
    let both: Vec<_> = others.iter().flat_map(Tests::keys).cloned().collect();
    let before = std::mem::take(&mut known.tests);
    known.tests = first.clone();
    for (name, test) in &mut known.tests {
        if let Some(before) = before.get(name) {
            test.explain(before);
        }
    }
    if plan.settings.is_empty() {
        known.both = both;
    } else {
        // The run did not include all tests.
        for (name, test) in before {
            known.tests.entry(name).or_insert(test);
        }
        known.both.extend(both);
        known.both.sort();
        known.both.dedup();
    }
    known.version = plan.version.into();
    let release = artifacts.kernel.join("include/config/kernel.release");
    known.kernel = fs::read_to_string(&release)
        .with_context(|| release.display().to_string())?
        .trim()
        .into();
    known.date = today()?;
    known.write(&path)?;
    let page = page(plan.known)?;
    fs::write(documentation.join("judges.rst"), page)?;
    for (name, test) in &known.tests {
        if !test.is_explained() {
            eprintln!("{name}: a reason is missing in {}", path.display());
        }
    }
    Ok(true)
}

fn today() -> Result<String> {
    let output = std::process::Command::new("date").arg("+%F").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

fn one(artifacts: &Artifacts, plan: &Plan<'_>, driver: Driver) -> Result<Tests> {
    let job = Job {
        name: Some(plan.suite),
        driver,
        size: None,
        profile: false,
        settings: plan.settings,
    };
    let outcome = run::in_machine(artifacts, job, plan.suite, |line| {
        if let Line::Text(text) = Line::new(line)
            && let Some(name) = text.strip_prefix("@TEST ")
        {
            eprintln!("{driver}: {name}");
        }
    })?;
    match outcome.verdict {
        Verdict::Pass => {
            let lines = outcome.console.iter().map(String::as_str);
            Ok(tests(lines))
        }
        verdict => bail!("{verdict:?}; the console is in {}", outcome.log.display()),
    }
}

/// The text before the tables.
const HEAD: &str = include_str!("judges.rst");

/// Returns the page of all suites in a directory.
///
/// # Errors
///
/// Returns an error if a file cannot be read.
pub fn page(known: &Path) -> Result<String> {
    let mut paths: Vec<_> = fs::read_dir(known)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    paths.sort();
    let mut page = HEAD.to_owned();
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        section(&mut page, &name, &Known::read(&path)?)?;
    }
    Ok(page)
}

fn section(page: &mut String, name: &str, known: &Known) -> std::fmt::Result {
    let rule = "=".repeat(name.len());
    writeln!(page, "\n{name}\n{rule}\n\n{}", known.about)?;
    writeln!(
        page,
        "\nThe source is {}. Version {}, run on {}, Linux {}.",
        known.source, known.version, known.date, known.kernel,
    )?;
    match known.both.len() {
        0 => writeln!(page, "No test uses the driver.")?,
        all if all == known.tests.len() => {
            writeln!(page, "All tests have the same results with both drivers.")?;
        }
        _ => writeln!(
            page,
            "These tests have the same results with both drivers: {}.",
            known.both.join(", ")
        )?,
    }
    writeln!(page)?;
    writeln!(
        page,
        ".. list-table::\n   :header-rows: 1\n   :widths: 25 10 10 10 45\n"
    )?;
    let mut row = |cells: [&str; 5]| -> std::fmt::Result {
        for (number, cell) in cells.iter().enumerate() {
            let start = if number == 0 { "   * -" } else { "     -" };
            writeln!(page, "{}", format!("{start} {cell}").trim_end())?;
        }
        Ok(())
    };
    row(["test", "passed", "failed", "skipped", "why"])?;
    let [mut passed, mut failed, mut skipped] = [0; 3];
    for (name, test) in &known.tests {
        passed += test.passed as usize;
        failed += test.failed.len();
        skipped += test.skipped.len();
        row([
            name,
            &test.passed.to_string(),
            &test.failed.len().to_string(),
            &test.skipped.len().to_string(),
            &reasons(test),
        ])?;
    }
    let [passed, failed, skipped] = [passed, failed, skipped].map(|count| count.to_string());
    row(["all", &passed, &failed, &skipped, ""])
}

/// Returns each reason once, with the number of its checks if there are several.
fn reasons(test: &Test) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    if let Some(broken) = &test.broken {
        counts.push((format!("{broken}: {}", test.because), 1));
    }
    let failed = test.failed.values().cloned();
    let skipped = test.skipped.iter().map(|(check, reason)| {
        if reason.is_empty() {
            check.trim_end_matches('.').to_owned()
        } else {
            reason.clone()
        }
    });
    for reason in failed.chain(skipped) {
        match counts.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => counts.push((reason, 1)),
        }
    }
    let texts = counts.into_iter().map(|(reason, count)| {
        let reason = reason
            .replace('*', "\\*")
            .replace('`', "'")
            .replace('_', "\\_")
            .replace('|', "\\|");
        match count {
            1 => reason,
            count => format!("{reason} ({count})"),
        }
    });
    texts.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "\
@BEGIN
@TEST skey
PASS: skey: store
FAIL: skey: key of 0xdeadbeef0
FAIL: skey: key of 0xdeadbeef8
SKIP: skey: no keys
[    1.234567] FAIL: what the kernel says is no check
@ENDED 3
@TEST hangs
PASS: so far
@ENDED 124
@TEST silent
qemu-system-s390x: no such device
@ENDED 1
@TEST gives-up
PASS: before that
lib/alloc_page.c:477: assert failed: top > start
EXIT: STATUS=127
@ENDED 0
@TEST tap
TAP version 13
ok 1 first
ok 2 second # SKIP no such thing
not ok 3 third
@ENDED 1
";

    fn seen() -> Tests {
        tests(CONSOLE.lines())
    }

    #[test]
    fn what_tests_print_is_understood() {
        let seen = seen();
        let skey = &seen["skey"];
        assert_eq!(skey.passed, 1);
        let failed: Vec<_> = skey.failed.keys().collect();
        assert_eq!(failed, ["skey: key of …", "skey: key of … (2)"]);
        assert_eq!(skey.skipped.len(), 1);
        assert_eq!(skey.broken, None);
        assert_eq!(seen["hangs"].broken.as_deref(), Some("its time was over"));
        assert!(seen["silent"].broken.is_some() && seen["gives-up"].broken.is_some());
        let tap = &seen["tap"];
        assert_eq!((tap.passed, tap.failed.len(), tap.skipped.len()), (1, 1, 1));
    }

    fn known() -> Known {
        Known {
            about: "What others wrote.".into(),
            source: "somewhere".into(),
            version: "1".into(),
            kernel: "7.3".into(),
            date: "2026-01-01".into(),
            both: vec!["tap".into()],
            tests: seen(),
        }
    }

    #[test]
    fn each_difference_is_told() {
        let mut known = known();
        let unexplained = known.differences(&seen(), true);
        assert_eq!(unexplained.len(), 5, "{unexplained:?}");
        for test in known.tests.values_mut() {
            test.because = "of this".into();
            test.failed.values_mut().for_each(|r| *r = "of that".into());
        }
        assert_eq!(known.differences(&seen(), true), [""; 0]);
        let mut other = seen();
        other.remove("tap");
        let skey = other.get_mut("skey").unwrap();
        skey.passed = 7;
        skey.failed.insert("another".into(), String::new());
        skey.skipped.clear();
        other.get_mut("hangs").unwrap().broken = None;
        let lines = known.differences(&other, true);
        assert_eq!(lines.len(), 5, "{lines:?}");
    }

    #[test]
    fn reasons_are_kept_for_what_is_the_same() {
        let mut known = known();
        let reason = "of this";
        known
            .tests
            .get_mut("skey")
            .unwrap()
            .failed
            .insert("skey: key of …".into(), reason.into());
        let mut skey = seen()["skey"].clone();
        skey.explain(&known.tests["skey"]);
        assert_eq!(skey.failed["skey: key of …"], reason);
        assert_eq!(skey.failed["skey: key of … (2)"], "");
        let text = toml::to_string_pretty(&known).unwrap();
        let again: Known = toml::from_str(&text).unwrap();
        assert_eq!(again.tests, known.tests);
    }

    #[test]
    fn the_page_tells_each_reason_once() {
        let mut known = known();
        let skey = known.tests.get_mut("skey").unwrap();
        skey.failed.values_mut().for_each(|r| *r = "of that".into());
        let mut page = String::new();
        section(&mut page, "suite", &known).unwrap();
        assert!(
            page.contains("     - of that (2); skey: no keys\n"),
            "{page}"
        );
        assert!(
            page.contains("   * - all\n     - 4\n     - 3\n     - 2\n"),
            "{page}"
        );
    }

    /// The page shows the known results of this project. `UPDATE=1` writes the page.
    #[test]
    fn the_page_is_that_of_what_is_known() {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let known = tools.join("judges");
        let path = tools.join("../Documentation/judges.rst");
        let page = page(&known).unwrap();
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &page).unwrap();
        }
        assert!(
            fs::read_to_string(&path).unwrap() == page,
            "UPDATE=1 cargo test -p harness writes the page anew"
        );
        for entry in fs::read_dir(&known).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                let known = Known::read(&path).unwrap();
                let unexplained: Vec<_> = (known.tests.iter())
                    .filter(|(_, test)| !test.is_explained())
                    .collect();
                assert!(unexplained.is_empty(), "{unexplained:?}");
            }
        }
    }
}
