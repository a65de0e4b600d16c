// SPDX-License-Identifier: GPL-2.0
//! The header of a scenario: the comment lines at the top of its file.
//!
//! The first line of prose is the sentence that the scenario proves. A line `# KEY: VALUE` with a
//! known key is a directive. A line `# KEY[c]: VALUE` is a directive for the C driver only.
//!
//! | key             | meaning                                                    |
//! |-----------------|------------------------------------------------------------|
//! | `machine`       | `none` for a machine without AP, or commands for the machine, which follow those of `default.machine`; can be repeated |
//! | `cpus`          | number of CPUs, 1                                          |
//! | `drivers`       | the drivers, `rust c`                                      |
//! | `kernel`        | some of `usual`, `debug`, `faults`, `races` and `debian`; the scenario is skipped on other kernels |
//! | `needs`         | some of `iommufd`, `driver_override`, `9p`, `no-sie` and `tracing`; the scenario is skipped on kernels without them |
//! | `expect-kernel` | a regular expression; the kernel may and must print a warning that matches |
//! | `count`         | `instructions`: the machine counts executed instructions; with one CPU, an instruction takes a nanosecond |
//! | `image`         | `clients`: the machine has a disk with programs from Debian; `clients linux`: Linux for a guest, too; `clients suite`: a disk with a foreign suite of tests, too |
//! | `memory`        | MiB, at least; the default is 512                          |
//! | `timeout`       | seconds until the machine is killed, 60                    |

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use regex::Regex;
use serde::{Deserialize, Serialize};

/// The driver under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// This driver's `vfio_ap.ko`.
    Rust,
    /// The C driver of the kernel tree.
    C,
}

impl Driver {
    /// Both drivers, this one first.
    pub const ALL: [Self; 2] = [Self::Rust, Self::C];
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "rust",
            Self::C => "c",
        })
    }
}

impl FromStr for Driver {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "rust" => Ok(Self::Rust),
            "c" => Ok(Self::C),
            _ => bail!("there is no driver {name:?}: rust or c"),
        }
    }
}

/// The kind of kernel that the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Flavour {
    /// A small kernel.
    Usual,
    /// A kernel with lockdep, KASAN and other checks.
    Debug,
    /// A kernel with fault injection.
    Faults,
    /// A kernel that detects data races in the C driver.
    Races,
    /// Debian's own kernel.
    Debian,
}

impl Flavour {
    /// Returns the reason if the kernel lacks a feature that scenarios may need.
    fn lacks(self, what: &str) -> Option<&'static str> {
        match (self, what) {
            (Self::Debian, "iommufd") => Some("Debian builds its kernels without IOMMUFD"),
            (Self::Debian, "driver_override") => {
                Some("queues have no driver_override before Linux 7.0")
            }
            (Self::Debian, "9p") => Some("Debian has 9p in a module, which is not loaded"),
            (Self::Debian, "no-sie") => {
                Some("Debian's KVM is a module, which does not load without SIE")
            }
            (Self::Usual | Self::Faults | Self::Races, "tracing") => {
                Some("only the debug kernel and Debian's kernel have tracepoints")
            }
            _ => None,
        }
    }
}

/// The features that scenarios may need.
const NEEDS: [&str; 5] = ["iommufd", "driver_override", "9p", "no-sie", "tracing"];

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usual => "usual",
            Self::Debug => "debug",
            Self::Faults => "faults",
            Self::Races => "races",
            Self::Debian => "debian",
        })
    }
}

impl FromStr for Flavour {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "usual" => Ok(Self::Usual),
            "debug" => Ok(Self::Debug),
            "faults" => Ok(Self::Faults),
            "races" => Ok(Self::Races),
            "debian" => Ok(Self::Debian),
            _ => bail!("there is no kernel {name:?}: usual, debug, faults, races or debian"),
        }
    }
}

/// The header of a scenario for one driver.
#[derive(Debug)]
pub struct Scenario {
    /// The first line of prose.
    pub summary: String,
    /// The drivers that the scenario runs with.
    pub drivers: Vec<Driver>,
    /// False for a machine without AP instructions.
    pub has_ap: bool,
    /// The commands that change the default machine for the scenario.
    pub machine: Vec<String>,
    /// The number of CPUs.
    pub cpus: u32,
    /// The kernels that the scenario is limited to. An empty list means all kernels.
    pub kernels: Vec<Flavour>,
    /// The features that the scenario needs and that some kernels lack.
    pub needs: Vec<String>,
    /// True if executed instructions are counted.
    pub counts: bool,
    /// True if the machine has the disk with programs from Debian.
    pub has_clients: bool,
    /// True if the machine has the files for a guest with Linux.
    pub has_linux: bool,
    /// True if the machine has the disk with a foreign suite of tests.
    pub has_suite: bool,
    /// The minimum memory in MiB.
    pub memory: u32,
    /// The expected errors in the kernel.
    pub expect_kernel: Vec<Regex>,
    /// The time limit of the machine.
    pub timeout: Duration,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            summary: String::new(),
            drivers: Driver::ALL.into(),
            has_ap: true,
            machine: Vec::new(),
            cpus: 1,
            kernels: Vec::new(),
            needs: Vec::new(),
            counts: false,
            has_clients: false,
            has_linux: false,
            has_suite: false,
            memory: 0,
            expect_kernel: Vec::new(),
            timeout: Duration::from_secs(60),
        }
    }
}

impl Scenario {
    /// Parses the header of a scenario for `driver`.
    ///
    /// # Errors
    ///
    /// Returns an error if a directive or the first line is wrong.
    pub fn parse(text: &str, driver: Driver) -> Result<Self> {
        let directive = Regex::new(r"^([a-z-]+)(?:\[(\w+)\])?: *(.*)$")?;
        let mut scenario = Self::default();
        for (number, line) in text.lines().enumerate() {
            if line.starts_with("#!") || line.contains("SPDX-License-Identifier") {
                continue;
            }
            let Some(comment) = line.strip_prefix('#') else {
                break;
            };
            let comment = comment.trim();
            match directive.captures(comment) {
                Some(parts) => {
                    let only = parts.get(2).map(|name| name.as_str().parse::<Driver>());
                    let only = only.transpose().context(format!("line {}", number + 1))?;
                    if only.is_none_or(|only| only == driver) {
                        scenario
                            .set(&parts[1], parts[3].trim())
                            .with_context(|| format!("line {}: {line}", number + 1))?;
                    }
                }
                None if scenario.summary.is_empty() => scenario.summary = comment.into(),
                None => {}
            }
        }
        if scenario.summary.is_empty() {
            bail!("the first line does not state what the scenario proves");
        }
        Ok(scenario)
    }

    /// Returns the reason if the scenario cannot run on a kernel.
    pub fn unfit_for(&self, flavour: Flavour) -> Option<String> {
        if let Some(wanted) = self.kernels.first()
            && !self.kernels.contains(&flavour)
        {
            return Some(format!("needs the {wanted} kernel: VM_FLAVOUR={wanted}"));
        }
        let reason = self.needs.iter().find_map(|what| flavour.lacks(what))?;
        Some(reason.into())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "machine" if value == "none" => self.has_ap = false,
            "machine" => self.machine.push(value.into()),
            "cpus" => self.cpus = value.parse()?,
            "count" if value == "instructions" => self.counts = true,
            "drivers" => {
                self.drivers = value
                    .split_whitespace()
                    .map(str::parse)
                    .collect::<Result<_>>()?;
            }
            "kernel" => {
                self.kernels = value
                    .split_whitespace()
                    .map(str::parse)
                    .collect::<Result<_>>()?;
            }
            "needs" => {
                for what in value.split_whitespace() {
                    if !NEEDS.contains(&what) {
                        bail!("no kernel is known to lack {what:?}: {}", NEEDS.join(", "));
                    }
                    self.needs.push(what.into());
                }
            }
            "image" => {
                self.has_linux = value == "clients linux";
                self.has_suite = value == "clients suite";
                self.has_clients = self.has_linux || self.has_suite || value == "clients";
                if !self.has_clients {
                    bail!("there is no image {value:?}: clients, clients linux, or clients suite");
                }
            }
            "memory" => self.memory = value.parse()?,
            "expect-kernel" => self.expect_kernel.push(Regex::new(value)?),
            "timeout" => self.timeout = Duration::from_secs(value.parse()?),
            _ => bail!("there is no directive {key:?}"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "\
#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What is filtered comes back when the hole is gone.
#
# C4: prose, which may contain a colon.
# machine: adapter 3 none
# machine: apm = 0-2 ; aqm = 1,2
# cpus: 2
# count: instructions
# timeout: 90
# image: clients
# memory: 1024
# expect-kernel[c]: WARNING: .*vfio_ap_wait_for_irqclear

machine: this is no longer the header
# cpus: 7
";

    #[test]
    fn directives() {
        let c = Scenario::parse(HEADER, Driver::C).unwrap();
        assert_eq!(
            c.summary,
            "What is filtered comes back when the hole is gone."
        );
        assert_eq!(c.machine, ["adapter 3 none", "apm = 0-2 ; aqm = 1,2"]);
        assert_eq!(c.cpus, 2);
        assert_eq!(c.timeout, Duration::from_secs(90));
        assert!(c.has_clients && !c.has_linux);
        assert_eq!(c.memory, 1024);
        assert_eq!(c.drivers, Driver::ALL);
        assert!(c.has_ap && c.counts);
        assert_eq!(c.expect_kernel.len(), 1);
    }

    #[test]
    fn directives_for_the_other_driver() {
        let rust = Scenario::parse(HEADER, Driver::Rust).unwrap();
        assert!(rust.expect_kernel.is_empty());
        assert_eq!(rust.cpus, 2);
    }

    #[test]
    fn a_guest_that_runs_linux() {
        let c = Scenario::parse("# X.\n# image: clients linux\n", Driver::C).unwrap();
        assert!(c.has_clients && c.has_linux);
    }

    #[test]
    fn a_machine_without_ap() {
        let s = Scenario::parse("# Refused.\n# machine: none\n# drivers: c\n", Driver::C).unwrap();
        assert!(!s.has_ap);
        assert_eq!(s.drivers, [Driver::C]);
    }

    #[test]
    fn a_kernel_of_its_own() {
        let header = "# X.\n# kernel[c]: debug\n";
        let c = Scenario::parse(header, Driver::C).unwrap();
        assert_eq!(
            c.unfit_for(Flavour::Usual).unwrap(),
            "needs the debug kernel: VM_FLAVOUR=debug"
        );
        assert_eq!(c.unfit_for(Flavour::Debug), None);
        let rust = Scenario::parse(header, Driver::Rust).unwrap();
        assert_eq!(rust.unfit_for(Flavour::Usual), None);
    }

    #[test]
    fn one_of_several_kernels() {
        let scenario = Scenario::parse("# X.\n# kernel: debug debian\n", Driver::Rust).unwrap();
        assert_eq!(scenario.unfit_for(Flavour::Debian), None);
        assert_eq!(
            scenario.unfit_for(Flavour::Usual).unwrap(),
            "needs the debug kernel: VM_FLAVOUR=debug"
        );
    }

    #[test]
    fn what_a_kernel_lacks() {
        let scenario =
            Scenario::parse("# X.\n# needs: driver_override iommufd\n", Driver::Rust).unwrap();
        assert_eq!(
            scenario.unfit_for(Flavour::Debian).unwrap(),
            "queues have no driver_override before Linux 7.0"
        );
        assert_eq!(scenario.unfit_for(Flavour::Usual), None);
        assert_eq!(
            Scenario::parse("# X.\n", Driver::Rust)
                .unwrap()
                .unfit_for(Flavour::Debian),
            None
        );
    }

    #[test]
    fn mistakes_are_found() {
        for (header, complaint) in [
            ("# X.\n# cpu: 2\n", "no directive \"cpu\""),
            ("# X.\n# cpus: two\n", "line 2"),
            ("# X.\n# drivers: c cobol\n", "no driver \"cobol\""),
            ("# X.\n# kernel: fast\n", "no kernel \"fast\""),
            ("# X.\n# needs: iommu\n", "lack \"iommu\""),
            ("# X.\n# timeout[ada]: 3\n", "no driver \"ada\""),
            ("# X.\n# expect-kernel: (\n", "line 2"),
            ("# X.\n# image: gimp\n", "no image \"gimp\""),
            ("# X.\n# memory: 1G\n", "line 2"),
            ("true\n", "does not state what the scenario proves"),
        ] {
            let error = format!("{:#}", Scenario::parse(header, Driver::C).unwrap_err());
            assert!(error.contains(complaint), "{header:?} gave {error:?}");
        }
    }

    /// Requirement names such as `C3:` and links are prose, not directives.
    #[test]
    fn prose_with_colons() {
        let s = Scenario::parse("# X.\n# C3: order\n# See http://x: y\n", Driver::C).unwrap();
        assert_eq!(s.summary, "X.");
    }
}
