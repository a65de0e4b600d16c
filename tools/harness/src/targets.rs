// SPDX-License-Identifier: GPL-2.0
//! What the driver is meant to cost, and whether it does.

use crate::results::Results;
use crate::samples::Samples;
use crate::scenario::Driver;

/// One target.
pub struct Target {
    /// What is wanted.
    pub what: String,
    /// What is.
    pub measured: String,
    /// Whether that is good enough.
    pub met: bool,
}

/// A few microseconds.
pub(crate) const WORTH_COMPARING: u64 = 10_000;

/// Operations with waiting in them: their instructions, but for the driver's own, tell for
/// how long others could run meanwhile.
pub(crate) const MATTER_OF_TIME: [&str; 3] = ["wait", "enable", "disable"];

/// How long a guest may have to wait for another's queue, in nanoseconds.
const LONGEST_WAIT: u64 = 5_000_000;

/// The size for which the targets were set: this many adapters, and domains.
const SIZE: u8 = 32;

/// What is limited at that size, relative to the C driver.
const CHEAP: [&str; 5] = [
    "probe",
    "assign-adapter-idle",
    "assign-adapter-guest",
    "assign-domain-idle",
    "assign-domain-guest",
];

/// All of them, of which something was measured.
pub fn all(results: &Results) -> Vec<Target> {
    let samples = &results.samples;
    let mut targets = Vec::new();
    targets.extend(most_per_scan(samples, "commits", "commit for each guest"));
    targets.extend(most_per_scan(
        samples,
        "kicks",
        "kick of each CPU of a guest",
    ));
    targets.extend(none_without_change(samples));
    for key in ["own", "whole"] {
        targets.extend(growth(samples, key));
    }
    for (key, limit) in [("own", 1. / 20.), ("whole", 1. / 10.)] {
        targets.extend(
            CHEAP
                .iter()
                .filter_map(|name| cheap(samples, name, key, limit)),
        );
    }
    targets.extend(probe_beyond_the_bus(samples));
    targets.extend(never_more(samples));
    targets.extend(waits(samples));
    targets.push(at_most(
        "text of the module, relative to the C driver's".into(),
        results.rust_module.text as f64 / results.c_module.text as f64,
        1.5,
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

/// The greatest value of any scan, per guest that the scan concerns.
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
    Some(at_most(format!("a scan: {what}"), most, 1.))
}

fn none_without_change(samples: &Samples) -> Option<Target> {
    let scans = samples.0.iter().filter(|sample| {
        sample.driver == Driver::Rust && sample.operation.starts_with("scan-no-change")
    });
    let most = scans
        .filter_map(|sample| sample.values.get("commits").copied())
        .max()?;
    Some(at_most(
        "a scan that finds nothing new: commits".into(),
        most as f64,
        0.,
    ))
}

/// That, or the greatest below that was measured.
fn size(samples: &Samples) -> Option<u8> {
    let sizes = samples.sizes().into_iter();
    sizes.filter(|size| *size <= SIZE).max()
}

/// From the least size on.
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

fn cheap(samples: &Samples, name: &str, key: &str, limit: f64) -> Option<Target> {
    let size = size(samples)?;
    let of = |driver| samples.summary(driver, size, name, key);
    let (c, rust) = (of(Driver::C)?, of(Driver::Rust)?);
    Some(at_most(
        format!("{name}, {key}, at {size}x{size}, relative to the C driver"),
        rust.least as f64 / c.least as f64,
        limit,
    ))
}

/// Without what the AP bus and the device model do whenever a queue is bound, whatever its driver:
/// that is next to all of what the C driver's probe costs if the queue is in no mdev.
fn probe_beyond_the_bus(samples: &Samples) -> Option<Target> {
    let size = size(samples)?;
    let of = |driver, name| samples.summary(driver, size, name, "whole");
    let floor = of(Driver::C, "probe-unassigned")?.least as f64;
    let (c, rust) = (of(Driver::C, "probe")?, of(Driver::Rust, "probe")?);
    Some(at_most(
        format!(
            "probe, whole, at {size}x{size}, beyond that of a queue in no mdev, relative to the C driver"
        ),
        (rust.least as f64 - floor) / (c.least as f64 - floor),
        1. / 10.,
    ))
}

/// The worst of all operations of which the C driver's cost is worth comparing.
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
            let ratio = rust.least as f64 / c.least as f64;
            if worst.as_ref().is_none_or(|(most, _)| *most < ratio) {
                worst = Some((ratio, format!("{name} at {size}x{size}")));
            }
        }
    }
    let (ratio, which) = worst?;
    let mut target = at_most(
        "any operation of 10,000 instructions or more without waiting in it, whole, \
         relative to the C driver"
            .into(),
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
        what: "a guest waits for the reset of another's queue: less than 5 ms".into(),
        measured: format!("{:.1} ms", longest as f64 / 1e6),
        met: longest < LONGEST_WAIT,
    })
}

fn memory(samples: &Samples) -> Option<Target> {
    let size = size(samples)?;
    let of = |driver| samples.summary(driver, size, "memory-queue", "bytes");
    let (c, rust) = (of(Driver::C)?, of(Driver::Rust)?);
    Some(at_most(
        format!("memory for each queue, at {size}x{size}, relative to the C driver"),
        rust.least as f64 / c.least as f64,
        1.,
    ))
}
