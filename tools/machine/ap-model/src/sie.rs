// SPDX-License-Identifier: GPL-2.0
//! Counts the entries of guest CPUs and their exits by reason.
//!
//! The address of its state description identifies a guest CPU. Lists also contain its CPU address,
//! which STORE CPU ADDRESS returns to its program.

use std::collections::BTreeMap;
use std::fmt;

/// The reason for an exit of a guest CPU.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Exit {
    /// A host interruption or a fault in the storage of the guest. It is not an interception.
    Host(HostEvent),
    /// An interception with this interception code.
    Interception(u8),
}

/// An exit for a reason of the host.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum HostEvent {
    /// A host interruption.
    Interruption,
    /// A missing or write-protected page of guest storage.
    Fault,
}

/// The interception codes with names.
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
    /// Returns the exit with this name.
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

/// A counter of a guest CPU.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Count {
    /// The number of executions of SIE.
    Entries,
    /// The number of exits of a running CPU with a pending stop request. KVM kicks a CPU out of SIE
    /// by a stop request. The request leads to a stop interception, unless the CPU exits for
    /// another reason at the same time. A CPU outside SIE is not kicked.
    Kicks,
    /// The number of adapter interruptions that were presented without an exit.
    AdapterInterruptions,
    /// The number of exits with this reason.
    Exits(Exit),
}

impl Count {
    const PLAIN: [(&str, Self); 3] = [
        ("entries", Self::Entries),
        ("kicks", Self::Kicks),
        ("adapter-interruptions", Self::AdapterInterruptions),
    ];

    /// Returns the counter with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let plain = Self::PLAIN.iter().find(|(n, _)| *n == name);
        plain
            .map(|&(_, count)| count)
            .or_else(|| Exit::from_name(name).map(Self::Exits))
    }

    /// Returns all names, for a message.
    #[must_use]
    pub fn names() -> String {
        let plain = Self::PLAIN.iter().map(|&(name, _)| name);
        let exits = NAMES.iter().map(|&(name, _)| name);
        plain.chain(exits).collect::<Vec<_>>().join(", ")
    }
}

/// The counters of a guest CPU.
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

/// The counters of all guest CPUs since the start or the last reset.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sie {
    cpus: BTreeMap<u64, GuestCpu>,
}

impl Sie {
    /// Counts an execution of SIE for the state description at `origin`, of guest CPU `number`.
    pub fn entered(&mut self, origin: u64, number: u16) {
        let cpu = self.cpus.entry(origin).or_default();
        cpu.number = number;
        cpu.entries += 1;
    }

    /// Counts an exit of the guest CPU. `kicked` is true if a stop request was pending.
    pub fn left(&mut self, origin: u64, exit: Exit, kicked: bool) {
        let cpu = self.cpus.entry(origin).or_default();
        cpu.kicks += u64::from(kicked);
        *cpu.exits.entry(exit).or_default() += 1;
    }

    /// Counts an adapter interruption that was presented to the guest without an exit.
    pub fn interrupted(&mut self, origin: u64) {
        self.cpus.entry(origin).or_default().adapter_interruptions += 1;
    }

    /// Returns the sum of a counter over all guest CPUs, or over those with this number.
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
    /// Writes a line `cpu N at ORIGIN` for each guest CPU, with its counts other than 0.
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
