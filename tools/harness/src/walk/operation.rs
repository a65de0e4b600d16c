// SPDX-License-Identifier: GPL-2.0
//! The operations of a walk, as input of `apwalk` and as lines of a scenario.

use std::fmt;

use vfio_ap_core::specification::{Queue, Sets};

/// The name of an mdev: A to C.
pub type Name = char;

/// What can be assigned, and what the host configuration has.
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
    /// As in `assign_adapter`.
    fn word(self) -> &'static str {
        match self {
            Self::Adapter => "adapter",
            Self::Domain => "domain",
            Self::ControlDomain => "control_domain",
        }
    }

    /// The mask of the host configuration.
    fn mask(self) -> &'static str {
        match self {
            Self::Adapter => "apm",
            Self::Domain => "aqm",
            Self::ControlDomain => "adm",
        }
    }

    /// The mask of what is reserved for the host's drivers.
    fn reservation(self) -> &'static str {
        match self {
            Self::Adapter => "apmask",
            Self::Domain | Self::ControlDomain => "aqmask",
        }
    }
}

/// One thing that is done. Each can be done at any time, though it may be refused: so what
/// is left of a walk when some of it is left out is a walk again.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Create an mdev.
    Create(Name),
    /// Remove an mdev. Nothing is done while it is open.
    Remove(Name),
    /// Assign something (`true`) or unassign it.
    Assign(Name, Kind, u16, bool),
    /// Assign all at once, by `ap_config`.
    Configure(Name, Sets),
    /// Open it, by an iommufd (`true`) or by its group.
    Open(Name, bool),
    /// Close it.
    Close(Name),
    /// `VFIO_DEVICE_RESET`.
    Reset(Name),
    /// Give it another I/O address space; only an iommufd has any.
    Replace(Name),
    /// Take the I/O address space away, and give it back.
    Detach(Name),
    /// Let it get at more memory, and take that away again.
    Plug(Name),
    /// Add something to the host configuration (`true`) or remove it; seen by the next scan.
    Host(Kind, u8, bool),
    /// Have the AP bus look.
    Scan,
    /// Bind a queue by hand.
    Bind(Queue),
    /// Unbind it.
    Unbind(Queue),
    /// Reserve an adapter or a domain for the host's drivers (`true`), or no longer.
    Reserve(Kind, u8, bool),
    /// Install an adapter of a type, or exchange it.
    Install(u8, &'static str),
    /// Uninstall an adapter, which stays in the host configuration.
    Uninstall(u8),
    /// Put an adapter into a state: `online`, `deconfigured` or `checkstopped`.
    State(u8, &'static str),
    /// Configure an adapter from Linux (`true`), or deconfigure it.
    Config(u8, bool),
    /// All resets of a queue fail.
    Break(Queue),
    /// Resets of a queue take so many looks.
    Slow(Queue, u32),
    /// A queue is busy so many times before it takes a reset.
    Busy(Queue, u32),
    /// A queue is as good as new.
    Mend(Queue),
}

fn name_of((adapter, domain): Queue) -> String {
    format!("{adapter:02x}.{domain:04x}")
}

/// A mask as in `ap_config`: number 0 is the leftmost bit of 256.
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
    /// What the machine is told, if it is the machine that is told something.
    fn command(&self) -> Option<String> {
        Some(match self {
            Self::Host(kind, n, on) => format!("{} {} {n}", kind.mask(), sign(*on)),
            // Resets take no time, unless something else is said.
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

    /// The attribute of an mdev that is written to, and the text.
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

    /// The file in `/sys/bus/ap` that is written to, and the text.
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

    /// As `scenarios/lib.sh` has it, but for what it does not have a word for.
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

/// As `apwalk` takes it.
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
