// SPDX-License-Identifier: GPL-2.0
//! The pages and plots of the results of benches.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use tabled::builder::Builder;
use tabled::settings::Style;

use crate::results::{FILE, NAME, Results};
use crate::samples::Summary;
use crate::scenario::Driver;
use crate::targets;

/// The contents of a cell without a measurement. A single dash would begin a list.
const NOTHING: &str = "\\-";

/// The section about the method on the page of tables.
const METHOD: &str = include_str!("method.rst");

/// The beginning of the page of benchmarks.
const HEAD: &str = "\
.. SPDX-License-Identifier: GPL-2.0

==========
Benchmarks
==========

This page compares the costs of this driver with those of the C driver of the same kernel. Costs are
executed instructions in the emulated machine. *whole* counts all instructions of the kernel during an
operation, and *own* counts those of the module alone. :doc:`benchmarks-tables` describes the method and
has all measurements. ``make bench`` writes both pages, the plots, and ``benchmarks/results.json``.
";

/// The beginning of the page of tables.
const TABLES_HEAD: &str = "\
.. SPDX-License-Identifier: GPL-2.0

==================
Benchmarks: tables
==================

All measurements, and their method. :doc:`benchmarks` has the targets and the operations that cost more
than with the C driver. ``make bench`` writes both pages.

";

/// The name of the page with all tables.
const TABLES: &str = "benchmarks-tables";

/// The tables of costs. Each has a title and prefixes of names of operations.
const COSTS: [(&str, &[&str]); 4] = [
    ("A queue is bound or unbound", &["probe", "remove"]),
    (
        "The matrix is changed",
        &["assign", "unassign", "ap_config"],
    ),
    (
        "The device is opened, closed and looked at",
        &["open", "close", "read"],
    ),
    ("A guest enables interruptions", &["enable", "disable"]),
];

/// The plots. Each has a file, a title and an operation.
const PLOTS: [(&str, &str, &str); 5] = [
    ("probe", "Bind a queue of a guest", "probe"),
    ("remove", "Unbind a queue of a guest", "remove"),
    (
        "assign",
        "Assign a domain to a guest",
        "assign-domain-guest",
    ),
    (
        "ap_config",
        "Give a guest everything at once",
        "ap_config-all-guest",
    ),
    (
        "scan",
        "A scan takes an adapter from 4 guests",
        "scan-minus-1-adapters-4-guests",
    ),
];

impl Results {
    /// Writes the page, the plots and all results into a directory.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be written.
    pub fn write(&self, directory: &Path) -> Result<()> {
        let beside = directory.join(NAME);
        std::fs::create_dir_all(&beside).with_context(|| beside.display().to_string())?;
        self.save(&beside.join(FILE))?;
        for (file, title, operation) in PLOTS {
            self.plot(&beside.join(file).with_extension("svg"), title, operation)
                .with_context(|| format!("plot {file}"))?;
        }
        let page = directory.join(NAME).with_extension("rst");
        std::fs::write(&page, self.page()).with_context(|| page.display().to_string())?;
        let tables = directory.join(TABLES).with_extension("rst");
        std::fs::write(&tables, self.tables()).with_context(|| tables.display().to_string())
    }

    /// Returns the page of benchmarks.
    pub fn page(&self) -> String {
        let mut text = HEAD.to_owned();
        // Writing to a `String` does not fail.
        let _ = self.write_page(&mut text);
        text
    }

    /// Returns the page with all tables.
    pub fn tables(&self) -> String {
        let mut text = format!("{TABLES_HEAD}{METHOD}");
        let _ = self.write_tables(&mut text);
        text
    }

    fn write_page(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\nKernel: Linux {}.", self.kernel)?;
        heading(out, "Targets")?;
        writeln!(
            out,
            "\"Relative\" means relative to the C driver. The target for any operation leaves out operations \
             of less\nthan {} instructions with both drivers, and operations that wait ({}). The next section \
             leaves\nout nothing.\n",
            grouped(targets::WORTH_COMPARING),
            targets::MATTER_OF_TIME.join(", ")
        )?;
        writeln!(out, "{}", self.targets())?;
        heading(out, "Operations that cost more")?;
        writeln!(
            out,
            "All operations whose *whole* exceeds that of the C driver by one percent or more, in the minimum or \
             in\nthe median of the repetitions, at the size with the worst ratio. *whole* of an operation that \
             waits\nincludes other activity during the wait.\n"
        )?;
        writeln!(out, "{}", self.dearer())?;
        heading(out, "Memory")?;
        writeln!(out, "{}", self.memory())?;
        heading(out, "Plots")?;
        for (file, title, _) in PLOTS {
            writeln!(out, ".. image:: {NAME}/{file}.svg\n   :alt: {title}\n")?;
        }
        Ok(())
    }

    fn write_tables(&self, out: &mut String) -> std::fmt::Result {
        for (title, operations) in COSTS {
            heading(out, title)?;
            writeln!(out, "{}", self.costs(operations))?;
        }
        heading(out, "The host configuration changes")?;
        writeln!(out, "{}", self.scans())?;
        heading(out, "Another guest's queue is being reset")?;
        writeln!(out, "{}", self.waits())?;
        heading(out, "Decisions of the core about more queues")?;
        writeln!(out, "{}", self.core())?;
        Ok(())
    }

    fn targets(&self) -> String {
        let mut table = Builder::default();
        table.push_record(["target", "measured", "met"]);
        for target in targets::all(self) {
            let met = if target.met { "yes" } else { "**no**" };
            table.push_record([target.what.as_str(), &target.measured, met]);
        }
        rst(table)
    }

    /// Returns the names and sizes of measured operations with one of these prefixes.
    fn rows<'a>(&'a self, prefixes: &'a [&str]) -> impl Iterator<Item = (&'a str, u8)> {
        let sizes = self.samples.sizes();
        self.samples
            .operations()
            .into_iter()
            .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
            .flat_map(move |name| sizes.clone().into_iter().map(move |size| (name, size)))
            .filter(|&(name, size)| {
                let has = |driver| self.samples.has(driver, size, name);
                has(Driver::C) || has(Driver::Rust)
            })
    }

    /// Returns the table of operations that cost more than with the C driver. Each operation
    /// appears once, at its worst size. The worst operation is first.
    fn dearer(&self) -> String {
        let mut rows = Vec::new();
        for (name, size) in self.rows(&[""]) {
            let of = |driver| self.samples.summary(driver, size, name, "whole");
            let (Some(c), Some(rust)) = (of(Driver::C), of(Driver::Rust)) else {
                continue;
            };
            let worst = rust.relative_to(&c);
            if worst >= 1.01 {
                rows.push((worst, name, size, c, rust));
            }
        }
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut seen = HashSet::new();
        rows.retain(|row| seen.insert(row.1));
        let mut table = Builder::default();
        table.push_record([
            "operation",
            "size",
            "least: C",
            "Rust",
            "ratio",
            "median: C",
            "Rust",
            "ratio",
            "waits",
        ]);
        for (_, name, size, c, rust) in rows {
            let waits = targets::MATTER_OF_TIME.iter().any(|p| name.starts_with(p));
            let [c_median, median] = [c, rust].map(|summary| Summary::of([summary.median]));
            table.push_record([
                name.to_owned(),
                format!("{size}x{size}"),
                number(Some(c)),
                number(Some(rust)),
                ratio(Some(rust), Some(c)),
                number(c_median),
                number(median),
                ratio(median, c_median),
                if waits { "yes" } else { "no" }.to_owned(),
            ]);
        }
        rst(table)
    }

    fn costs(&self, prefixes: &[&str]) -> String {
        let mut table = Builder::default();
        table.push_record([
            "operation",
            "size",
            "whole: C",
            "Rust",
            "ratio",
            "spread",
            "own: C",
            "Rust",
            "ratio",
            "spread",
        ]);
        for (name, size) in self.rows(prefixes) {
            let of = |driver, key| self.samples.summary(driver, size, name, key);
            let mut row = vec![name.to_owned(), format!("{size}x{size}")];
            for key in ["whole", "own"] {
                let (c, rust) = (of(Driver::C, key), of(Driver::Rust, key));
                row.extend([number(c), number(rust), ratio(rust, c), spread(c, rust)]);
            }
            table.push_record(row);
        }
        rst(table)
    }

    fn scans(&self) -> String {
        let mut table = Builder::default();
        table.push_record([
            "scan",
            "size",
            "own: C",
            "Rust",
            "ratio",
            "whole: C",
            "Rust",
            "commits: C",
            "Rust",
            "kicks: C",
            "Rust",
        ]);
        for (name, size) in self.rows(&["scan"]) {
            let of = |driver, key| self.samples.summary(driver, size, name, key);
            let both = |key| [Driver::C, Driver::Rust].map(|driver| of(driver, key));
            let [own_c, own] = both("own");
            let mut row = vec![name.to_owned(), format!("{size}x{size}")];
            row.extend([number(own_c), number(own), ratio(own, own_c)]);
            row.extend(both("whole").map(number));
            for key in ["commits", "kicks"] {
                row.extend(both(key).map(|s| s.map_or(NOTHING.into(), |s| s.most.to_string())));
            }
            table.push_record(row);
        }
        rst(table)
    }

    fn waits(&self) -> String {
        let mut table = Builder::default();
        table.push_record(["operation", "size", "C: ms, at most", "Rust: ms, at most"]);
        for (name, size) in self.rows(&["wait", "reset-of"]) {
            let most = |driver| {
                let summary = self.samples.summary(driver, size, name, "ns");
                summary.map_or(NOTHING.into(), |s| format!("{:.3}", s.most as f64 / 1e6))
            };
            table.push_record([
                name.to_owned(),
                format!("{size}x{size}"),
                most(Driver::C),
                most(Driver::Rust),
            ]);
        }
        rst(table)
    }

    fn core(&self) -> String {
        let mut table = Builder::default();
        table.push_record(["decision", "instructions"]);
        for (name, size) in self.rows(&["core"]) {
            // The sizes of modules do not depend on the size of the machine.
            if Some(&size) == self.samples.sizes().first() {
                let cost = self
                    .samples
                    .summary(Driver::Rust, size, name, "instructions");
                table.push_record([name.into(), number(cost)]);
            }
        }
        rst(table)
    }

    fn memory(&self) -> String {
        let mut table = Builder::default();
        table.push_record(["bytes of", "C", "Rust", "ratio"]);
        let (c, rust) = (&self.c_module, &self.rust_module);
        for (what, c, rust) in [
            ("the module: text", c.text, rust.text),
            (
                "the module: data that is only read",
                c.read_only,
                rust.read_only,
            ),
            ("the module: data", c.data, rust.data),
            ("the module: freed after initialisation", c.init, rust.init),
        ] {
            let [c, rust] = [c, rust].map(|bytes| Summary::of([bytes]));
            table.push_record([what.into(), number(c), number(rust), ratio(rust, c)]);
        }
        for (name, size) in self.rows(&["memory"]) {
            let of = |driver| self.samples.summary(driver, size, name, "bytes");
            let (c, rust) = (of(Driver::C), of(Driver::Rust));
            let what = format!("{name}, at {size}x{size}");
            table.push_record([what, number(c), number(rust), ratio(rust, c)]);
        }
        rst(table)
    }

    /// Draws the instructions by the number of queues. Both axes are logarithmic.
    fn plot(&self, path: &Path, title: &str, operation: &str) -> Result<()> {
        let sizes = self.samples.sizes();
        let line = |driver, key| -> Vec<(f64, f64)> {
            let point = |&size: &u8| {
                let summary = self.samples.summary(driver, size, operation, key)?;
                Some((f64::from(size).powi(2), summary.least.max(1) as f64))
            };
            sizes.iter().filter_map(point).collect()
        };
        let lines = [
            ("C driver, whole", line(Driver::C, "whole"), RED.mix(0.4)),
            ("C driver, own code", line(Driver::C, "own"), RED.to_rgba()),
            (
                "this driver, whole",
                line(Driver::Rust, "whole"),
                BLUE.mix(0.4),
            ),
            (
                "this driver, own code",
                line(Driver::Rust, "own"),
                BLUE.to_rgba(),
            ),
        ];
        let points = lines.iter().flat_map(|(_, points, _)| points);
        let (mut x, mut y) = ((f64::MAX, 1.), (f64::MAX, 1.));
        for &(queues, count) in points {
            x = (f64::min(x.0, queues), f64::max(x.1, queues));
            y = (f64::min(y.0, count), f64::max(y.1, count));
        }
        let area = SVGBackend::new(path, (640, 400)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(80)
            .build_cartesian_2d(
                (x.0 / 1.2..x.1 * 1.2).log_scale(),
                (y.0 / 2.0..y.1 * 2.0).log_scale(),
            )?;
        chart
            .configure_mesh()
            .x_labels(4)
            .x_desc("queues")
            .y_desc("instructions")
            .x_label_formatter(&|queues| grouped(*queues as u64))
            .y_label_formatter(&|count| grouped(*count as u64))
            .draw()?;
        for (name, points, colour) in lines {
            let is_whole = name.ends_with("whole");
            let style = ShapeStyle::from(colour).stroke_width(if is_whole { 5 } else { 2 });
            let dots = points
                .iter()
                .map(|&point| Circle::new(point, 4, style.filled()));
            chart.draw_series(dots)?;
            // This driver's line may coincide with the C driver's. The dashes keep both visible.
            if name.starts_with("this") {
                chart
                    .draw_series(DashedLineSeries::new(points, 8, 6, style))?
                    .label(name)
                    .legend(move |(x, y)| {
                        DashedPathElement::new([(x, y), (x + 22, y)], 8, 6, style)
                    });
            } else {
                chart
                    .draw_series(LineSeries::new(points, style))?
                    .label(name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
            }
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK)
            .draw()?;
        area.present()?;
        Ok(())
    }
}

fn heading(out: &mut String, title: &str) -> std::fmt::Result {
    writeln!(out, "\n{title}\n{}\n", "=".repeat(title.len()))
}

fn rst(table: Builder) -> String {
    let mut table = table.build();
    table.with(Style::re_structured_text()).to_string()
}

fn number(summary: Option<Summary>) -> String {
    summary.map_or(NOTHING.into(), |summary| grouped(summary.least))
}

/// Returns the number with a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn ratio(part: Option<Summary>, whole: Option<Summary>) -> String {
    match (part, whole) {
        (Some(part), Some(whole)) if whole.least != 0 => {
            format!("{:.3}", part.least as f64 / whole.least as f64)
        }
        _ => NOTHING.into(),
    }
}

fn spread(c: Option<Summary>, rust: Option<Summary>) -> String {
    let percent =
        |s: Option<Summary>| s.map_or("-".into(), |s| format!("{:.0}", s.spread() * 100.));
    format!("{} %, {} %", percent(c), percent(rust))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::Sizes;
    use crate::samples::{Sample, Samples};

    fn sample(driver: Driver, size: u8, operation: &str, whole: u64) -> Sample {
        Sample {
            driver,
            size,
            run: 1,
            operation: operation.into(),
            values: [("whole".to_owned(), whole)].into(),
        }
    }

    #[test]
    fn what_costs_more_is_shown() {
        let samples = [
            (4, "read-matrix", 1000, 1009),
            (4, "open", 1000, 1020),
            (16, "open", 1000, 1500),
            (4, "enable-interrupts", 100, 90),
        ];
        let samples = samples.into_iter().flat_map(|(size, name, c, rust)| {
            [
                sample(Driver::C, size, name, c),
                sample(Driver::Rust, size, name, rust),
            ]
        });
        let results = Results {
            kernel: String::new(),
            rust_module: Sizes::default(),
            c_module: Sizes::default(),
            samples: Samples(samples.collect()),
        };
        let table = results.dearer();
        assert!(table.contains("open") && table.contains("16x16") && table.contains("1.500"));
        for absent in ["4x4", "read-matrix", "enable"] {
            assert!(!table.contains(absent), "{absent} in {table}");
        }
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 1234567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
