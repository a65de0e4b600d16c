// SPDX-License-Identifier: GPL-2.0
//! The measurements of benches: parses their reports, and summarises many measurements.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scenario::Driver;

/// The beginning of a report on the console.
const MEASURED: &str = "@MEASURED ";

/// The measurements of one execution of an operation.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Sample {
    /// The driver.
    pub driver: Driver,
    /// The number of adapters, which is also the number of domains.
    pub size: u8,
    /// The number of the machine, counted from 1 for each driver and size.
    pub run: u32,
    /// The name of the operation.
    pub operation: String,
    /// The costs by name: `whole`, `own`, `ns`, `commits` and so on.
    pub values: BTreeMap<String, u64>,
}

/// Parses a line of the console. Returns the operation and the values if the line is a report.
pub fn parse(line: &str) -> Option<(String, BTreeMap<String, u64>)> {
    let mut operation = None;
    let mut values = BTreeMap::new();
    for word in line.strip_prefix(MEASURED)?.split_whitespace() {
        match word.split_once('=')? {
            ("operation", name) => operation = Some(name.to_owned()),
            (key, value) => {
                values.insert(key.to_owned(), value.parse().ok()?);
            }
        }
    }
    Some((operation?, values))
}

/// A summary of several executions of an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The median.
    pub median: u64,
    /// The minimum.
    pub least: u64,
    /// The maximum.
    pub most: u64,
    /// The number of values.
    pub count: usize,
}

impl Summary {
    /// Returns the summary of values, or `None` for no values.
    pub fn of(values: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut values: Vec<u64> = values.into_iter().collect();
        values.sort_unstable();
        Some(Self {
            median: *values.get(values.len() / 2)?,
            least: *values.first()?,
            most: *values.last()?,
            count: values.len(),
        })
    }

    /// Returns the greater one of the ratios of the minima and of the medians.
    pub fn relative_to(&self, other: &Self) -> f64 {
        let ratio = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        ratio(self.least, other.least).max(ratio(self.median, other.median))
    }

    /// Returns the difference between the maximum and the minimum, as a part of the median.
    pub fn spread(&self) -> f64 {
        (self.most - self.least) as f64 / self.median.max(1) as f64
    }
}

/// All samples.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Samples(pub Vec<Sample>);

impl Samples {
    /// Returns the summary of the values `key` of an operation.
    pub fn summary(&self, driver: Driver, size: u8, operation: &str, key: &str) -> Option<Summary> {
        Summary::of(
            self.0
                .iter()
                .filter(|s| s.driver == driver && s.size == size && s.operation == operation)
                .filter_map(|sample| sample.values.get(key).copied()),
        )
    }

    /// Returns true if there is a sample of an operation.
    pub fn has(&self, driver: Driver, size: u8, operation: &str) -> bool {
        self.0
            .iter()
            .any(|s| s.driver == driver && s.size == size && s.operation == operation)
    }

    /// Returns the operations in the order of measurement.
    pub fn operations(&self) -> Vec<&str> {
        let mut operations = Vec::new();
        for sample in &self.0 {
            if !operations.contains(&sample.operation.as_str()) {
                operations.push(&sample.operation);
            }
        }
        operations
    }

    /// Returns the sizes in ascending order.
    pub fn sizes(&self) -> Vec<u8> {
        let mut sizes: Vec<_> = self.0.iter().map(|sample| sample.size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read() {
        let (operation, values) = parse("@MEASURED operation=probe whole=120 own=7").unwrap();
        assert_eq!(operation, "probe");
        assert_eq!((values["whole"], values["own"]), (120, 7));
        for line in [
            "MEASURED operation=a b=1",
            "@MEASURED b=1",
            "@MEASURED operation=a b=c",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn the_median_is_one_of_the_values() {
        let summary = Summary::of([9, 1, 5]).unwrap();
        assert_eq!((summary.median, summary.least, summary.most), (5, 1, 9));
        assert!((summary.spread() - 1.6).abs() < 1e-9);
        assert_eq!(Summary::of([]), None);
        let other = Summary::of([2, 2, 4]).unwrap();
        assert!((summary.relative_to(&other) - 2.5).abs() < 1e-9);
        assert!((other.relative_to(&summary) - 2.0).abs() < 1e-9);
    }
}
