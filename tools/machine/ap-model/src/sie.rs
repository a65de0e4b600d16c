// SPDX-License-Identifier: GPL-2.0
//! How often guests were entered, and why they were left.
//!
//! A guest CPU is known by the address of its state description, and shown with the
//! number that its program gets from STORE CPU ADDRESS.

use std::collections::BTreeMap;
use std::fmt;

/// Why a guest CPU stopped running.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Exit {
    /// The host was interrupted, or has to do something about its storage: no
    /// interception.
    Host(HostEvent),
    /// An interception with this code.
    Interception(u8),
}

/// Something that concerns the host alone.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum HostEvent {
    /// An interruption.
    Interruption,
    /// Guest storage that is not there, or may not be stored into.
    Fault,
}

/// The interception codes that have a name.
const NAMES: [(&str, Exit); 11] = [
    ("interruption", Exit::Host(HostEvent::Interruption)),
    ("fault", Exit::Host(HostEvent::Fault)),
    ("instruction", Exit::Interception(0x04)),
    ("program", Exit::Interception(0x08)),
    ("external", Exit::Interception(0x10)),
    ("io", Exit::Interception(0x18)),
    ("wait", Exit::Interception(0x1c)),
    ("validity", Exit::Interception(0x20)),
    ("stop", Exit::Interception(0x28)),
    ("operation", Exit::Interception(0x2c)),
    ("partial", Exit::Interception(0x38)),
];

impl Exit {
    /// The exit with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(n, _)| *n == name)
            .map(|&(_, exit)| exit)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (NAMES.iter().find(|(_, exit)| exit == self), self) {
            (Some((name, _)), _) => f.write_str(name),
            (None, Self::Interception(code)) => write!(f, "{code:02x}"),
            (None, Self::Host(_)) => f.write_str("host"),
        }
    }
}

/// What can be counted of a guest CPU.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Count {
    /// How often SIE was executed.
    Entries,
    /// How often the CPU, having run, was left with a stop request pending. That is the
    /// way in which KVM kicks a CPU out; it leads to a stop interception, unless something
    /// else makes the CPU leave at the same time. One that is not in SIE is not kicked.
    Kicks,
    /// How often it was given an adapter interruption without an exit.
    AdapterInterruptions,
    /// How often it was left this way.
    Exits(Exit),
}

impl Count {
    const PLAIN: [(&str, Self); 3] = [
        ("entries", Self::Entries),
        ("kicks", Self::Kicks),
        ("adapter-interruptions", Self::AdapterInterruptions),
    ];

    /// What has this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let plain = Self::PLAIN.iter().find(|(n, _)| *n == name);
        plain
            .map(|&(_, count)| count)
            .or_else(|| Exit::from_name(name).map(Self::Exits))
    }

    /// All names, for a message.
    #[must_use]
    pub fn names() -> String {
        let plain = Self::PLAIN.iter().map(|&(name, _)| name);
        let exits = NAMES.iter().map(|&(name, _)| name);
        plain.chain(exits).collect::<Vec<_>>().join(", ")
    }
}

/// A guest CPU.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct GuestCpu {
    number: u16,
    entries: u64,
    kicks: u64,
    adapter_interruptions: u64,
    exits: BTreeMap<Exit, u64>,
}

impl GuestCpu {
    fn get(&self, count: Count) -> u64 {
        match count {
            Count::Entries => self.entries,
            Count::Kicks => self.kicks,
            Count::AdapterInterruptions => self.adapter_interruptions,
            Count::Exits(exit) => self.exits.get(&exit).copied().unwrap_or(0),
        }
    }
}

/// What was counted since the start or the last reset.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sie {
    cpus: BTreeMap<u64, GuestCpu>,
}

impl Sie {
    /// SIE was executed for the state description at `origin`, of guest CPU `number`.
    pub fn entered(&mut self, origin: u64, number: u16) {
        let cpu = self.cpus.entry(origin).or_default();
        cpu.number = number;
        cpu.entries += 1;
    }

    /// That guest CPU stopped running, kicked out by a stop request or not.
    pub fn left(&mut self, origin: u64, exit: Exit, kicked: bool) {
        let cpu = self.cpus.entry(origin).or_default();
        cpu.kicks += u64::from(kicked);
        *cpu.exits.entry(exit).or_default() += 1;
    }

    /// An adapter interruption was given to the guest without an exit.
    pub fn interrupted(&mut self, origin: u64) {
        self.cpus.entry(origin).or_default().adapter_interruptions += 1;
    }

    /// The count of guest CPUs, all or those with this number.
    #[must_use]
    pub fn sum(&self, number: Option<u16>, count: Count) -> u64 {
        self.cpus
            .values()
            .filter(|cpu| number.is_none_or(|number| number == cpu.number))
            .map(|cpu| cpu.get(count))
            .sum()
    }
}

impl fmt::Display for Sie {
    /// A line for each guest CPU, `cpu N at ORIGIN` and what is not 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (origin, cpu) in &self.cpus {
            write!(f, "cpu {} at {origin:x}", cpu.number)?;
            for (name, count) in Count::PLAIN {
                if cpu.get(count) != 0 {
                    write!(f, " {name}={}", cpu.get(count))?;
                }
            }
            for (exit, count) in &cpu.exits {
                write!(f, " {exit}={count}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_cpus_are_counted_apart() {
        let stop = Exit::Interception(0x28);
        let mut sie = Sie::default();
        sie.entered(0x2000, 1);
        sie.entered(0x1000, 0);
        sie.left(0x1000, stop, true);
        sie.left(0x1000, Exit::Host(HostEvent::Fault), true);
        sie.left(0x2000, stop, true);
        sie.left(0x2000, Exit::Interception(0xf0), false);
        sie.interrupted(0x2000);
        assert_eq!(sie.sum(None, Count::Exits(stop)), 2);
        assert_eq!(sie.sum(Some(1), Count::Exits(stop)), 1);
        assert_eq!(sie.sum(Some(7), Count::Exits(stop)), 0);
        assert_eq!(sie.sum(None, Count::Kicks), 3);
        assert_eq!(
            sie.to_string(),
            "cpu 0 at 1000 entries=1 kicks=2 fault=1 stop=1\n\
             cpu 1 at 2000 entries=1 kicks=1 adapter-interruptions=1 stop=1 f0=1\n"
        );
    }

    #[test]
    fn names_stand_for_exits() {
        for (name, exit) in NAMES {
            assert_eq!(Count::from_name(name), Some(Count::Exits(exit)));
            assert_eq!(exit.to_string(), name);
        }
        assert_eq!(Count::from_name("kicks"), Some(Count::Kicks));
        assert_eq!(Count::from_name("exit"), None);
    }
}
