// SPDX-License-Identifier: GPL-2.0
//! Classifies the lines of the console, and judges a whole console log.
//!
//! The kernel and the scenario share the console. Lines of the kernel have a time stamp,
//! `[    1.234567]`, possibly in the middle of another line. At the end, init prints the
//! verdict as `@PASS`, `@FAIL reason` or `@SKIP reason` at the beginning of a line. The last
//! such line counts. It is always init's, even if the scenario has printed one.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// The line before the output of the scenario.
pub const BEGIN: &str = "@BEGIN";

/// The beginnings of the kernel's reports of its own errors.
static TROUBLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        \bWARNING:\s | \bBUG:\s | \bBUG\sat\b | \bOops\b | Kernel\spanic
        | \bKASAN\b | \bKCSAN\b | \bUBSAN\b | \bODEBUG:
        | unreferenced\sobject | suspected\smemory\sleaks
        | possible\s(circular|recursive|irq)\slock | inconsistent\slock\sstate
        | suspicious\sRCU\susage | INFO:\stask\s.*\sblocked\sfor | detected\sstalls?\son
        | Unable\sto\shandle\skernel | \brefcount_t: | list_(add|del)\scorruption
        | \bilc:\d\s\[\#\d+\]
        | rust_kernel:\spanicked | Out\sof\smemory
        ",
    )
    .expect("a constant")
});

static KERNEL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\[ *\d+\.\d{6}\] ?(.*)$").expect("a constant"));

static COLORS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\x1b\[[0-9;]*m").expect("a constant"));

/// Returns a line without the escape sequences for colours.
pub fn without_colors(line: &str) -> Cow<'_, str> {
    COLORS.replace_all(line, "")
}

/// The verdict of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All expectations are met.
    Pass,
    /// An expectation is not met, with the reason.
    Fail(String),
    /// The scenario does not apply, with the reason.
    Skip(String),
}

impl Verdict {
    fn parse(line: &str) -> Option<Self> {
        let reason = |text: &str| text.trim().to_owned();
        if line.starts_with("@PASS") {
            Some(Self::Pass)
        } else if let Some(text) = line.strip_prefix("@FAIL") {
            Some(Self::Fail(reason(text)))
        } else {
            line.strip_prefix("@SKIP")
                .map(|text| Self::Skip(reason(text)))
        }
    }
}

/// A line of the console.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A report of the kernel about its own error.
    Trouble(&'a str),
    /// Another message of the kernel.
    Kernel(&'a str),
    /// The line [`BEGIN`].
    Begin,
    /// A verdict.
    Verdict(Verdict),
    /// Any other text.
    Text(&'a str),
}

impl<'a> Line<'a> {
    /// Classifies a line without its line end.
    pub fn new(line: &'a str) -> Self {
        if let Some(verdict) = Verdict::parse(line) {
            return Self::Verdict(verdict);
        }
        if line.starts_with(BEGIN) {
            return Self::Begin;
        }
        match KERNEL.captures(line).and_then(|parts| parts.get(1)) {
            Some(text) if TROUBLE.is_match(text.as_str()) => Self::Trouble(text.as_str()),
            Some(text) => Self::Kernel(text.as_str()),
            None => Self::Text(line),
        }
    }
}

/// The way in which the machine has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The machine has switched itself off or crashed.
    Off,
    /// The machine was killed after its time limit.
    Timeout,
    /// QEMU has failed, with the status of its process.
    Broken(i32),
}

/// The important lines of a console.
#[derive(Debug, Default)]
pub struct Record {
    verdict: Option<Verdict>,
    trouble: Vec<String>,
}

impl Record {
    /// Records a line.
    pub fn note(&mut self, line: &str) {
        match Line::new(line) {
            Line::Verdict(verdict) => self.verdict = Some(verdict),
            Line::Trouble(text) => self.trouble.push(text.into()),
            Line::Begin | Line::Kernel(_) | Line::Text(_) => {}
        }
    }

    /// Returns true if the console contains a verdict.
    pub fn has_verdict(&self) -> bool {
        self.verdict.is_some()
    }

    /// Judges the machine. The verdict of the scenario counts only if the machine has ended
    /// properly and the kernel has reported exactly the expected errors.
    pub fn judge(&self, end: End, expected: &[Regex]) -> Verdict {
        if let Some(text) = self
            .trouble
            .iter()
            .find(|text| !expected.iter().any(|regex| regex.is_match(text)))
        {
            return Verdict::Fail(format!("the kernel reports: {text}"));
        }
        match (&self.verdict, end) {
            (_, End::Broken(status)) => Verdict::Fail(format!("QEMU ended with status {status}")),
            (None, End::Timeout) => Verdict::Fail("no verdict within the time limit".into()),
            (None, End::Off) => Verdict::Fail("the machine ended without a verdict".into()),
            (Some(Verdict::Pass), _) => {
                let missing = expected
                    .iter()
                    .find(|regex| !self.trouble.iter().any(|text| regex.is_match(text)));
                match missing {
                    Some(regex) => Verdict::Fail(format!("the kernel did not report: {regex}")),
                    None => Verdict::Pass,
                }
            }
            (Some(verdict), _) => verdict.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(log: &str) -> Record {
        let mut record = Record::default();
        log.lines().for_each(|line| record.note(line));
        record
    }

    fn judge(log: &str, expected: &[&str]) -> Verdict {
        let expected: Vec<_> = expected.iter().map(|r| Regex::new(r).unwrap()).collect();
        record(log).judge(End::Off, &expected)
    }

    fn reason(verdict: Verdict) -> String {
        match verdict {
            Verdict::Fail(reason) => reason,
            other => panic!("{other:?} is no failure"),
        }
    }

    #[test]
    fn verdicts() {
        assert_eq!(
            judge("[    0.1] Linux\n@BEGIN\nhello\n@PASS\n", &[]),
            Verdict::Pass
        );
        assert_eq!(
            judge("@FAIL matrix of A\n", &[]),
            Verdict::Fail("matrix of A".into())
        );
        assert_eq!(judge("@SKIP no AP\n", &[]), Verdict::Skip("no AP".into()));
        assert!(reason(judge("hello\n", &[])).contains("without a verdict"));
    }

    #[test]
    fn plain_lines() {
        assert_eq!(without_colors("\x1b[1m1. The\x1b[0m host"), "1. The host");
        assert_eq!(without_colors("a [1m matrix"), "a [1m matrix");
    }

    #[test]
    fn the_last_verdict_counts() {
        let log = "@PASS\nsaid a program that prints its own source\n@FAIL really\n";
        assert_eq!(judge(log, &[]), Verdict::Fail("really".into()));
    }

    /// The kernel can print between the words of a verdict and the end of its line.
    #[test]
    fn noise_beside_a_verdict() {
        assert_eq!(
            judge("@PASS[    3.141592] reboot: Power down\n", &[]),
            Verdict::Pass
        );
        assert_eq!(judge("echo @PASS\n @PASS\n@PASS\n", &[]), Verdict::Pass);
        assert!(reason(judge("[    1.000000] foo: @PASS\n", &[])).contains("without a verdict"));
    }

    #[test]
    fn trouble_in_the_kernel() {
        for line in [
            "WARNING: drivers/s390/crypto/vfio_ap_ops.c:258 at vfio_ap_wait_for_irqclear",
            "WARNING: possible circular locking dependency detected",
            "BUG: KASAN: slab-use-after-free in vfio_ap_mdev_remove_queue",
            "BUG: sleeping function called from invalid context at kernel/locking/mutex.c:591",
            "kernel BUG at lib/list_debug.c:32!",
            "Oops: 0004 ilc:2 [#1]",
            "Unable to handle kernel pointer dereference in virtual kernel address space",
            "illegal operation: 0001 ilc:1 [#1]SMP",
            "specification exception: 0006 ilc:2 [#1]SMP",
            "UBSAN: shift-out-of-bounds in x.c:1:2",
            "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
            "INFO: task sh:77 blocked for more than 120 seconds.",
            "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",
            "rust_kernel: panicked at vfio_ap_rs.rs:1:2",
            "refcount_t: underflow; use-after-free.",
            "Kernel panic - not syncing: Fatal exception",
        ] {
            let log = format!("@BEGIN\n[    2.718281] {line}\n@PASS\n");
            assert!(reason(judge(&log, &[])).contains(line), "{line}");
        }
    }

    #[test]
    fn no_trouble() {
        for line in [
            "[    0.123456] vfio_ap matrix: Userspace may not assign queue 01.0001",
            "[    0.123456] debug: unreferenced is a word",
            "WARNING: printed by a program, not the kernel",
            "[    0.123456] ap: The hardware system supports AP instructions",
        ] {
            assert_eq!(
                judge(&format!("{line}\n@PASS\n"), &[]),
                Verdict::Pass,
                "{line}"
            );
        }
    }

    #[test]
    fn trouble_in_the_middle_of_another_line() {
        let log = "expect guest mat[    2.718281] BUG: spinlock bad magic\n@PASS\n";
        assert!(reason(judge(log, &[])).contains("spinlock"));
    }

    #[test]
    fn expected_trouble() {
        let log = "[    1.000000] WARNING: a.c:1 at f\n@PASS\n";
        assert_eq!(judge(log, &["at f$"]), Verdict::Pass);
        assert!(reason(judge(log, &["at g$"])).contains("at f"));
        assert!(reason(judge("@PASS\n", &["at f$"])).contains("did not report"));
        assert_eq!(judge("@SKIP x\n", &["at f$"]), Verdict::Skip("x".into()));
    }

    #[test]
    fn ends() {
        assert!(reason(record("x\n").judge(End::Timeout, &[])).contains("time limit"));
        assert!(reason(record("@PASS\n").judge(End::Broken(1), &[])).contains("QEMU"));
        // The machine has printed the verdict and hangs while it powers off.
        assert_eq!(record("@PASS\n").judge(End::Timeout, &[]), Verdict::Pass);
    }
}
