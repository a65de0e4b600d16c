// SPDX-License-Identifier: GPL-2.0
//! The operations of a walk, as input of `apwalk` and as lines of a scenario.

use std::fmt;

use vfio_ap_core::specification::{Queue, Sets};

/// The name of an mdev, A to C.
pub type Name = char;

/// The kinds of numbers in the matrix of an mdev and in the host configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// An adapter.
    Adapter,
    /// A usage domain.
    Domain,
    /// A control domain.
    ControlDomain,
}

impl Kind {
    /// Returns the word in attributes such as `assign_adapter`.
    fn word(self) -> &'static str {
        match self {
            Self::Adapter => "adapter",
            Self::Domain => "domain",
            Self::ControlDomain => "control_domain",
        }
    }

    /// Returns the name of the mask of the host configuration.
    fn mask(self) -> &'static str {
        match self {
            Self::Adapter => "apm",
            Self::Domain => "aqm",
            Self::ControlDomain => "adm",
        }
    }

    /// Returns the name of the mask of numbers that are reserved for the host's drivers.
    fn reservation(self) -> &'static str {
        match self {
            Self::Adapter => "apmask",
            Self::Domain | Self::ControlDomain => "aqmask",
        }
    }
}

/// An operation. It is possible at any time, but may be refused. Any part of a walk is therefore a
/// walk.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Create an mdev.
    Create(Name),
    /// Remove an mdev. Does nothing while the mdev is open.
    Remove(Name),
    /// Assign a number (`true`) or unassign it (`false`).
    Assign(Name, Kind, u16, bool),
    /// Assign all numbers with one write to `ap_config`.
    Configure(Name, Sets),
    /// Open an mdev through an iommufd (`true`) or through its group (`false`).
    Open(Name, bool),
    /// Close an mdev.
    Close(Name),
    /// Issue the ioctl `VFIO_DEVICE_RESET`.
    Reset(Name),
    /// Replace the I/O address space. Only an mdev with an iommufd has one.
    Replace(Name),
    /// Detach the I/O address space and attach it again.
    Detach(Name),
    /// Add a memory slot and remove it again.
    Plug(Name),
    /// Add a number to the host configuration (`true`) or remove it (`false`). The next scan
    /// notices it.
    Host(Kind, u8, bool),
    /// Start a scan of the AP bus.
    Scan,
    /// Bind a queue manually.
    Bind(Queue),
    /// Unbind a queue manually.
    Unbind(Queue),
    /// Reserve an adapter or a domain for the host's drivers (`true`), or end the reservation
    /// (`false`).
    Reserve(Kind, u8, bool),
    /// Install an adapter of a type, or replace the adapter.
    Install(u8, &'static str),
    /// Uninstall an adapter, which stays in the host configuration.
    Uninstall(u8),
    /// Set the state of an adapter: `online`, `deconfigured` or `checkstopped`.
    State(u8, &'static str),
    /// Configure an adapter through Linux (`true`), or deconfigure it (`false`).
    Config(u8, bool),
    /// Make all resets of a queue fail.
    Break(Queue),
    /// Set the duration of resets of a queue, in polls.
    Slow(Queue, u32),
    /// Make a queue answer busy to this number of resets.
    Busy(Queue, u32),
    /// Restore the default settings of a queue.
    Mend(Queue),
}

fn name_of((adapter, domain): Queue) -> String {
    format!("{adapter:02x}.{domain:04x}")
}

/// Returns a mask in the format of `ap_config`. Number 0 is the leftmost of 256 bits.
pub(super) fn hexadecimal(set: &std::collections::BTreeSet<u8>) -> String {
    let digit = |first: u16| {
        let bit = |i: u16| u16::from(set.iter().any(|n| u16::from(*n) == first + i));
        format!("{:x}", bit(0) << 3 | bit(1) << 2 | bit(2) << 1 | bit(3))
    };
    let digits: String = (0..256).step_by(4).map(digit).collect();
    format!("0x{digits}")
}

fn matrix(sets: &Sets) -> String {
    let Sets {
        adapters,
        domains,
        control_domains,
    } = sets;
    [adapters, domains, control_domains]
        .map(hexadecimal)
        .join(",")
}

fn sign(on: bool) -> char {
    if on { '+' } else { '-' }
}

impl Operation {
    /// Returns the command for the machine, if the operation is one of the machine.
    fn command(&self) -> Option<String> {
        Some(match self {
            Self::Host(kind, n, on) => format!("{} {} {n}", kind.mask(), sign(*on)),
            // Resets take no time unless the walk changes their duration.
            Self::Install(a, what) => {
                format!("adapter {a} {what} ; queue {a:02x}.* reset-polls 0")
            }
            Self::Uninstall(a) => format!("adapter {a} none"),
            Self::State(a, state) => format!("adapter {a} state {state}"),
            Self::Break(q) => format!("queue {} zapq rc=42", name_of(*q)),
            Self::Slow(q, n) => format!("queue {} reset-polls {n}", name_of(*q)),
            Self::Busy(q, n) => format!("queue {} zapq rc=05 times={n}", name_of(*q)),
            Self::Mend(q) => {
                let q = name_of(*q);
                format!("queue {q} zapq clear ; queue {q} reset-polls 0")
            }
            _ => return None,
        })
    }

    /// Returns the name of the mdev, the attribute and the text, if the operation is a write to an
    /// mdev.
    fn attribute(&self) -> Option<(Name, String, String)> {
        match self {
            Self::Assign(name, kind, n, on) => {
                let verb = if *on { "assign" } else { "unassign" };
                let attribute = format!("{verb}_{}", kind.word());
                Some((*name, attribute, n.to_string()))
            }
            Self::Configure(name, sets) => Some((*name, "ap_config".into(), matrix(sets))),
            _ => None,
        }
    }

    /// Returns the file in `/sys/bus/ap` and the text, if the operation is a write to the bus.
    fn file(&self) -> Option<(String, String)> {
        match self {
            Self::Bind(q) => Some(("drivers/vfio_ap/bind".into(), name_of(*q))),
            Self::Unbind(q) => Some(("drivers/vfio_ap/unbind".into(), name_of(*q))),
            Self::Config(a, on) => {
                let file = format!("devices/card{a:02x}/config");
                Some((file, u8::from(*on).to_string()))
            }
            _ => None,
        }
    }

    /// Returns a line for a scenario, with functions of `scenarios/lib.sh` where they exist.
    pub fn words(&self) -> String {
        if let Some(command) = self.command() {
            return format!("machine \"{command}\"");
        }
        if let Some((file, text)) = self.file() {
            return format!("ktry write $ap/{file} {text}");
        }
        match self {
            Self::Create(name) => format!("mdev {name}"),
            Self::Remove(name) => format!("remove_mdev {name}"),
            Self::Assign(name, kind, n, on) => {
                let verb = if *on { "assign" } else { "unassign" };
                format!("{verb} {name} {} {n}", kind.word())
            }
            Self::Configure(name, sets) => format!("set_attr {name} ap_config {}", matrix(sets)),
            Self::Open(name, false) => format!("vm_open {name}"),
            Self::Open(name, true) => format!("vm_open {name} iommufd"),
            Self::Close(name) => format!("vm_close {name}"),
            Self::Reset(name) => format!("vm {name} reset"),
            Self::Replace(name) => format!("vm {name} replace"),
            Self::Detach(name) => format!("vm {name} detach ; vm {name} attach"),
            Self::Plug(name) => ["add", "map", "unmap", "remove"]
                .map(|how| format!("vm {name} slot {how}"))
                .join(" ; "),
            Self::Reserve(kind, n, on) => {
                format!("ktry write $ap/{} {}{n}", kind.reservation(), sign(*on))
            }
            _ => "scan".into(),
        }
    }
}

/// Writes the operation in the syntax of `apwalk`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(command) = self.command() {
            return write!(f, "machine {command}");
        }
        if let Some((name, attribute, text)) = self.attribute() {
            return write!(f, "{name} write {attribute} {text}");
        }
        if let Some((file, text)) = self.file() {
            return write!(f, "ap {file} {text}");
        }
        match self {
            Self::Create(name) => write!(f, "{name} create"),
            Self::Remove(name) => write!(f, "{name} remove"),
            Self::Open(name, false) => write!(f, "{name} open group"),
            Self::Open(name, true) => write!(f, "{name} open iommufd"),
            Self::Close(name) => write!(f, "{name} close"),
            Self::Reset(name) => write!(f, "{name} reset"),
            Self::Replace(name) => write!(f, "{name} replace"),
            Self::Detach(name) => write!(f, "{name} detach"),
            Self::Plug(name) => write!(f, "{name} plug"),
            Self::Reserve(kind, n, on) => {
                write!(f, "reserve {} {}{n}", kind.reservation(), sign(*on))
            }
            _ => f.write_str("scan"),
        }
    }
}
