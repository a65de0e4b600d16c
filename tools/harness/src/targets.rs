// SPDX-License-Identifier: GPL-2.0
//! The targets for the costs of the driver, and their results.

use crate::results::Results;
use crate::samples::Samples;
use crate::scenario::Driver;

/// A target with its result.
pub struct Target {
    /// The target.
    pub what: String,
    /// The measurement.
    pub measured: String,
    /// True if the target is met.
    pub met: bool,
}

/// The minimum number of instructions for a comparison. Shorter operations take a few microseconds.
pub(crate) const WORTH_COMPARING: u64 = 10_000;

/// The prefixes of operations that wait. Their instructions include other activity during the wait.
pub(crate) const MATTER_OF_TIME: [&str; 3] = ["wait", "enable", "disable"];

/// The limit for a guest that waits for another guest's queue, in nanoseconds.
const LONGEST_WAIT: u64 = 5_000_000;

/// The number of adapters, and of domains, for which the targets were set.
const SIZE: u8 = 32;

/// The operations with a limit relative to the C driver.
const CHEAP: [&str; 5] = [
    "probe",
    "assign-adapter-idle",
    "assign-adapter-guest",
    "assign-domain-idle",
    "assign-domain-guest",
];

/// Returns all targets with measurements.
pub fn all(results: &Results) -> Vec<Target> {
    let samples = &results.samples;
    let mut targets = Vec::new();
    targets.extend(most_per_scan(
        samples,
        "commits",
        "commit for each affected guest",
    ));
    targets.extend(most_per_scan(
        samples,
        "kicks",
        "kick of each CPU of a guest",
    ));
    targets.extend(none_without_change(samples));
    for key in ["own", "whole"] {
        targets.extend(growth(samples, key));
    }
    targets.extend(CHEAP.iter().filter_map(|name| cheap(samples, name)));
    targets.extend(probe_beyond_the_bus(samples));
    targets.extend(never_more(samples));
    targets.extend(waits(samples));
    targets.push(at_most(
        "text of the module, relative".into(),
        results.rust_module.text as f64 / results.c_module.text as f64,
        1.55,
    ));
    targets.extend(memory(samples));
    targets
}

fn at_most(what: String, measured: f64, limit: f64) -> Target {
    Target {
        what: format!("{what}: at most {limit:.3}"),
        measured: format!("{measured:.3}"),
        met: measured <= limit,
    }
}

/// Returns the target for the greatest value of all scans, divided by the number of affected
/// guests.
fn most_per_scan(samples: &Samples, key: &str, what: &str) -> Option<Target> {
    let scans = samples
        .0
        .iter()
        .filter(|sample| sample.driver == Driver::Rust && sample.operation.starts_with("scan"));
    let most = scans
        .filter_map(|sample| {
            let guests = sample.values.get("guests").copied().unwrap_or(1);
            Some(*sample.values.get(key)? as f64 / guests as f64)
        })
        .reduce(f64::max)?;
    Some(at_most(format!("a scan makes one {what}"), most, 1.))
}

fn none_without_change(samples: &Samples) -> Option<Target> {
    let scans = samples.0.iter().filter(|sample| {
        sample.driver == Driver::Rust && sample.operation.starts_with("scan-no-change")
    });
    let most = scans
        .filter_map(|sample| sample.values.get("commits").copied())
        .max()?;
    Some(at_most(
        "commits of a scan without a change".into(),
        most as f64,
        0.,
    ))
}

/// Returns [`SIZE`], or the greatest measured size below it.
fn size(samples: &Samples) -> Option<u8> {
    let sizes = samples.sizes().into_iter();
    sizes.filter(|size| *size <= SIZE).max()
}

/// Returns the target for the growth from the smallest to the largest measured size.
fn growth(samples: &Samples, key: &str) -> Option<Target> {
    let (least, most) = (*samples.sizes().first()?, size(samples)?);
    let of = |size| samples.summary(Driver::Rust, size, "probe", key);
    let (small, great) = (of(least)?, of(most)?);
    Some(at_most(
        format!("probe, {key}: growth from {least}x{least} to {most}x{most}"),
        great.least as f64 / small.least as f64,
        1.2,
    ))
}

fn cheap(samples: &Samples, name: &str) -> Option<Target> {
    let size = size(samples)?;
    let of = |driver| samples.summary(driver, size, name, "whole");
    let (c, rust) = (of(Driver::C)?, of(Driver::Rust)?);
    Some(at_most(
        format!("{name}, whole, at {size}x{size}, relative"),
        rust.least as f64 / c.least as f64,
        1. / 10.,
    ))
}

/// Returns the target for the cost of a probe without the cost of the AP bus and the device model.
/// The latter is nearly the whole cost of the C driver's probe of a queue without an mdev.
fn probe_beyond_the_bus(samples: &Samples) -> Option<Target> {
    let size = size(samples)?;
    let of = |driver, name| samples.summary(driver, size, name, "whole");
    let floor = of(Driver::C, "probe-unassigned")?.least as f64;
    let (c, rust) = (of(Driver::C, "probe")?, of(Driver::Rust, "probe")?);
    Some(at_most(
        format!("probe, whole, at {size}x{size}, minus that of a queue without an mdev, relative"),
        (rust.least as f64 - floor) / (c.least as f64 - floor),
        1. / 10.,
    ))
}

/// Returns the target for the worst of all compared operations.
fn never_more(samples: &Samples) -> Option<Target> {
    let mut worst: Option<(f64, String)> = None;
    for name in samples.operations() {
        for size in samples.sizes() {
            let of = |driver| samples.summary(driver, size, name, "whole");
            let (Some(c), Some(rust)) = (of(Driver::C), of(Driver::Rust)) else {
                continue;
            };
            let is_small = c.least.max(rust.least) < WORTH_COMPARING;
            if is_small || MATTER_OF_TIME.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            let ratio = rust.relative_to(&c);
            if worst.as_ref().is_none_or(|(most, _)| *most < ratio) {
                worst = Some((ratio, format!("{name} at {size}x{size}")));
            }
        }
    }
    let (ratio, which) = worst?;
    let mut target = at_most(
        "any operation, whole, in the minimum and in the median, relative".into(),
        ratio,
        1.,
    );
    target.measured += &format!(" ({which})");
    Some(target)
}

fn waits(samples: &Samples) -> Option<Target> {
    let longest = samples
        .0
        .iter()
        .filter(|s| s.driver == Driver::Rust && s.operation.starts_with("wait"))
        .filter_map(|sample| sample.values.get("ns").copied())
        .max()?;
    Some(Target {
        what: "a guest waits for the reset of another guest's queue: less than 5 ms".into(),
        measured: format!("{:.1} ms", longest as f64 / 1e6),
        met: longest < LONGEST_WAIT,
    })
}

/// Returns the target for memory at the size of the targets. The measurement includes the worst
/// size.
fn memory(samples: &Samples) -> Option<Target> {
    let ratio = |size| {
        let of = |driver| samples.summary(driver, size, "memory-queue", "bytes");
        Some(of(Driver::Rust)?.least as f64 / of(Driver::C)?.least as f64)
    };
    let size = size(samples)?;
    let sizes = samples.sizes().into_iter();
    let (worst, where_) = sizes
        .filter_map(|size| Some((ratio(size)?, size)))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    let mut target = at_most(
        format!("memory for each queue, at {size}x{size}, relative"),
        ratio(size)?,
        1.,
    );
    if where_ != size {
        target.measured += &format!(" ({worst:.3} at {where_}x{where_})");
    }
    Some(target)
}
