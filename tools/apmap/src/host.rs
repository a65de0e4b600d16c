// SPDX-License-Identifier: GPL-2.0
//! The host as sysfs shows it: adapters, queues, mediated devices, and who may have
//! what.
//!
//! Owns the layout of sysfs and the meaning of its files. What follows from that is
//! for others to say, and mostly for the driver's own functional core.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use uuid::Uuid;
use vfio_ap_core::mask::{Apid, Apqi, Apqn, IDS, Mask};
use vfio_ap_core::matrix::{self, Limits, Matrix};
use vfio_ap_core::queues::{self, Instructions, Queues, response};
use vfio_ap_core::text;

use crate::report::{DEBUGFS, Report, User};
use crate::sysfs::{Access, Openers, PROC, Sysfs};

/// The AP bus, below the root of sysfs.
pub const BUS: &str = "bus/ap";
/// The parent of the mediated devices.
pub const MATRIX: &str = "devices/vfio_ap/matrix";
/// The driver that hands queues to guests.
pub const VFIO_AP: &str = "vfio_ap";

/// Where the files are that users of VFIO open.
const VFIO: &str = "/dev/vfio";

/// The C driver shows no more of a long text than fits into a page.
const PAGE: usize = 4095;

/// What a host has.
pub struct Host {
    /// The host configuration.
    pub config: Matrix,
    /// The greatest numbers that this machine can have.
    pub limits: Limits,
    /// The host's own drivers get the queues of these adapters (`apmask`) and
    /// domains (`aqmask`): those that are in both.
    pub apmask: Mask<Apid>,
    /// See [`Self::apmask`].
    pub aqmask: Mask<Apqi>,
    /// The adapters that the AP bus has found.
    pub adapters: BTreeMap<Apid, Adapter>,
    /// The queues that the AP bus has found.
    pub queues: BTreeMap<Apqn, Queue>,
    /// Sorted by UUID.
    pub mdevs: Vec<Mdev>,
    /// What the driver `vfio_ap` says it can do; none if it is not loaded.
    pub vfio_ap: Option<String>,
    /// The version of the driver in Rust; the C driver has none.
    pub version: Option<String>,
    /// The release of the kernel.
    pub kernel: Option<String>,
    /// When the machine has started, and what time it is, in seconds since 1970.
    pub clock: Option<Clock>,
}

/// The times that others are counted from, in seconds since 1970.
#[derive(Clone, Copy)]
pub struct Clock {
    /// When the machine has started.
    pub booted: i64,
    /// Now.
    pub now: i64,
}

/// An adapter.
pub struct Adapter {
    /// Such as `CEX7C`.
    pub kind: String,
    /// False if it was deconfigured.
    pub configured: bool,
    /// It is in check stop.
    pub checkstopped: bool,
}

/// A queue.
pub struct Queue {
    /// The driver that it is bound to.
    pub driver: Option<String>,
    /// The only driver that may have it.
    pub driver_override: Option<String>,
    /// A guest has it.
    pub in_use: bool,
}

/// A mediated device.
pub struct Mdev {
    /// Its name.
    pub uuid: Uuid,
    /// What is assigned to it.
    pub assigned: Matrix,
    /// What its guest has, or would have.
    pub guest: Matrix,
    /// Who uses it; none if that is not known.
    pub user: Option<User>,
    /// The program that uses it.
    pub process: Option<Process>,
    /// What the driver tells in debugfs.
    pub report: Option<Report>,
    /// What it tells is for others only.
    pub is_report_denied: bool,
}

/// A process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The name of its program, of which the kernel keeps 15 characters.
    pub name: String,
}

/// All queues that vfio_ap has are taken for usable: what it knows about their
/// resets is not in sysfs.
struct AlwaysReset;

impl Instructions for AlwaysReset {
    fn zapq(&mut self, _: Apqn) -> u8 {
        response::NORMAL
    }

    fn tapq(&mut self, _: Apqn) -> u8 {
        response::NORMAL
    }
}

/// What decides about guests, if these queues are bound to vfio_ap.
pub type Rules = matrix::Host<Vec<queues::Entry>>;

impl Host {
    /// Reads all of it.
    pub fn read(sysfs: &Sysfs) -> Result<Self> {
        let apmask = sysfs.text(&format!("{BUS}/apmask"))?;
        let Some(apmask) = apmask else {
            bail!(
                "there is no AP bus: {BUS}/apmask does not exist in sysfs (no IBM Z, or a kernel without CONFIG_AP)"
            );
        };
        let bus = |name: &str| -> Result<String> {
            let text = sysfs.text(&format!("{BUS}/{name}"))?;
            text.with_context(|| format!("{BUS}/{name} is missing"))
        };
        let reserved = masks([&apmask, &bus("aqmask")?, "0"]).context("apmask or aqmask")?;
        let last = |name| -> Result<u8> { bus(name)?.trim().parse().context(name) };

        let mut adapters = BTreeMap::new();
        let mut queues = BTreeMap::new();
        for name in sysfs.names(&format!("{BUS}/devices"))? {
            let path = format!("{BUS}/devices/{name}");
            if let Some(apid) = name.strip_prefix("card") {
                let apid = u8::from_str_radix(apid, 16).with_context(|| path.clone())?;
                adapters.insert(Apid(apid), Adapter::read(sysfs, &path)?);
            } else if let Some(apqn) = parse_apqn(&name) {
                queues.insert(apqn, Queue::read(sysfs, &path)?);
            }
        }

        let config = [
            bus("ap_adapter_mask")?,
            bus("ap_usage_domain_mask")?,
            bus("ap_control_domain_mask")?,
        ];
        let config = if config[0].starts_with("0x") {
            masks(config.each_ref().map(String::as_str)).context("host configuration")?
        } else {
            // A machine without PQAP(QCI): what the bus has found is all that is known.
            queues.keys().fold(Matrix::EMPTY, |mut config, apqn| {
                config.apm.insert(apqn.apid);
                config.aqm.insert(apqn.apqi);
                config
            })
        };

        let mut host = Self {
            config,
            limits: Limits {
                apid: last("ap_max_adapter_id")?,
                apqi: last("ap_max_domain_id")?,
            },
            apmask: reserved.apm,
            aqmask: reserved.aqm,
            adapters,
            queues,
            mdevs: Vec::new(),
            vfio_ap: sysfs.text(&format!("{MATRIX}/features"))?,
            version: trimmed(sysfs.text(&format!("module/{VFIO_AP}/version"))?),
            kernel: match sysfs.restricted(&format!("{PROC}/sys/kernel/osrelease"))? {
                Access::Text(text) => trimmed(Some(text)),
                _ => None,
            },
            clock: Clock::read(sysfs)?,
        };
        let rules = host.rules(Mask::EMPTY, Mask::EMPTY);
        let openers = OnceCell::new();
        for name in sysfs.names(MATRIX)? {
            if let Ok(uuid) = name.parse() {
                let mdev = host.read_mdev(sysfs, uuid, &rules, &openers)?;
                host.mdevs.extend(mdev);
            }
        }
        Ok(host)
    }

    /// Reads a mediated device; it may have gone in the meantime.
    fn read_mdev(
        &self,
        sysfs: &Sysfs,
        uuid: Uuid,
        rules: &Rules,
        openers: &OnceCell<Openers>,
    ) -> Result<Option<Mdev>> {
        let attribute = |name: &str| sysfs.text(&format!("{MATRIX}/{uuid}/{name}"));
        let assigned = if let Some(config) = attribute("ap_config")? {
            text::parse_matrix(config.as_bytes())
                .map_err(|_| anyhow!("ap_config of {uuid} is no matrix: {config:?}"))?
        } else if let (Some(matrix), Some(control)) =
            (attribute("matrix")?, attribute("control_domains")?)
        {
            // A kernel before ap_config.
            let mut assigned = parse_listing(&matrix)?;
            for domain in control.lines() {
                assigned.adm.insert(Apqi(parse_id(domain)?));
            }
            assigned
        } else {
            return Ok(None);
        };
        let Some(listing) = attribute("guest_matrix")? else {
            return Ok(None);
        };
        let permitted = rules.permitted(&assigned);
        let guest = if listing.len() < PAGE {
            let mut guest = parse_listing(&listing)?;
            // There is no attribute for these; they depend on nothing else.
            guest.adm = permitted.adm;
            guest
        } else {
            permitted
        };
        let report = sysfs.restricted(&format!("{DEBUGFS}/{uuid}"))?;
        let mut mdev = Mdev {
            uuid,
            assigned,
            guest,
            user: None,
            process: None,
            is_report_denied: report == Access::Denied,
            report: match report {
                Access::Text(text) => Report::parse(&text),
                _ => None,
            },
        };
        mdev.user = self.user(&mdev);
        if mdev.user.is_none() {
            // Nothing else tells of a guest that has lost all its queues.
            let openers = openers.get_or_init(|| sysfs.openers(Path::new(VFIO)));
            mdev.process = process(sysfs, &mdev.uuid, openers)?;
            mdev.user = match &mdev.process {
                Some(_) => Some(User::Guest),
                None => openers.is_complete.then_some(User::Nobody),
            };
        }
        Ok(Some(mdev))
    }

    /// Who uses a mediated device, as far as the drivers tell.
    fn user(&self, mdev: &Mdev) -> Option<User> {
        if let Some(report) = &mdev.report {
            return Some(report.user);
        }
        let mut is_known = false;
        for (apqn, queue) in &self.queues {
            if queue.in_use && mdev.assigned.has_queue(*apqn) {
                return Some(User::Guest);
            }
            is_known |= queue.is_with_vfio_ap() && mdev.guest.has_queue(*apqn);
        }
        is_known.then_some(User::Nobody)
    }

    /// Finds the program that uses a mediated device.
    pub fn find_process(&mut self, sysfs: &Sysfs, place: usize) -> Result<()> {
        let mdev = &mut self.mdevs[place];
        if mdev.process.is_none() && mdev.user != Some(User::Nobody) {
            let openers = sysfs.openers(Path::new(VFIO));
            mdev.process = process(sysfs, &mdev.uuid, &openers)?;
        }
        Ok(())
    }

    /// Whether the driver is loaded, and is the one in C.
    pub fn is_c(&self) -> bool {
        self.vfio_ap.is_some()
            && self.version.is_none()
            && self.mdevs.iter().all(|mdev| mdev.report.is_none())
    }

    /// The rules by which the driver decides what guests may have, applied to the
    /// queues that vfio_ap has, and to those of the product of `apm` and `aqm` that
    /// the host has.
    pub fn rules(&self, apm: Mask<Apid>, aqm: Mask<Apqi>) -> Rules {
        let mut queues = Queues::new(vec![queues::Entry::NONE; IDS]);
        for (&apqn, queue) in &self.queues {
            if queue.is_with_vfio_ap() || apm.contains(apqn.apid) && aqm.contains(apqn.apqi) {
                queues.bind(apqn);
            }
        }
        for apid in queues.resetting().iter() {
            queues.step(apid, &mut AlwaysReset, |_, _, _| {});
        }
        Rules::new(self.config, queues)
    }

    /// The mediated device that has a queue, and its place in [`Self::mdevs`].
    pub fn owner(&self, apqn: Apqn) -> Option<(usize, &Mdev)> {
        self.mdevs
            .iter()
            .enumerate()
            .find(|(_, mdev)| mdev.assigned.has_queue(apqn))
    }

    /// Whether a queue is reserved for the host's own drivers by the masks of the bus.
    pub fn is_reserved(&self, apqn: Apqn) -> bool {
        self.apmask.contains(apqn.apid) && self.aqmask.contains(apqn.apqi)
    }
}

impl Mdev {
    /// Whether a guest uses it, for all that is known.
    pub fn is_in_use(&self) -> bool {
        matches!(self.user, Some(User::Guest | User::Leaving))
    }

    /// Whether there is a queue that a guest has, or would have.
    pub fn has_queues(&self) -> bool {
        !self.guest.apm.is_empty() && !self.guest.aqm.is_empty()
    }
}

impl Clock {
    fn read(sysfs: &Sysfs) -> Result<Option<Self>> {
        const BOOTED: &str = "btime ";

        let stat = sysfs.restricted_part(&format!("{PROC}/stat"), |text| {
            let line = text.lines().find(|line| line.starts_with(BOOTED));
            line.unwrap_or_default().to_owned()
        })?;
        let uptime = sysfs.restricted(&format!("{PROC}/uptime"))?;
        let (Access::Text(stat), Access::Text(uptime)) = (stat, uptime) else {
            return Ok(None);
        };
        let booted = stat
            .strip_prefix(BOOTED)
            .and_then(|text| text.trim().parse().ok());
        let elapsed = uptime
            .split('.')
            .next()
            .and_then(|text| text.parse::<i64>().ok());
        Ok(booted.zip(elapsed).map(|(booted, elapsed)| Self {
            booted,
            now: booted + elapsed,
        }))
    }
}

/// The program that has a mediated device open, by its group or by itself.
fn process(sysfs: &Sysfs, uuid: &Uuid, openers: &Openers) -> Result<Option<Process>> {
    let mdev = format!("{MATRIX}/{uuid}");
    let mut files = Vec::new();
    if let Some(group) = sysfs.link(&format!("{mdev}/iommu_group"))? {
        files.push(Path::new(VFIO).join(group));
    }
    for name in sysfs.names(&format!("{mdev}/vfio-dev"))? {
        // Remembered, so that a recording has the name.
        sysfs.text(&format!("{mdev}/vfio-dev/{name}/dev"))?;
        files.push(Path::new(VFIO).join("devices").join(name));
    }
    let Some((pid, _)) = openers.found.iter().find(|(_, file)| files.contains(file)) else {
        return Ok(None);
    };
    let name = match sysfs.restricted(&format!("{PROC}/{pid}/comm"))? {
        Access::Text(name) => name.trim().to_owned(),
        _ => "?".into(),
    };
    Ok(Some(Process { pid: *pid, name }))
}

fn trimmed(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned())
}

impl Adapter {
    fn read(sysfs: &Sysfs, path: &str) -> Result<Self> {
        let attribute = |name: &str| sysfs.text(&format!("{path}/{name}"));
        let flag = |name| Ok::<_, anyhow::Error>(attribute(name)?.map(|text| text.trim() == "1"));
        let kind = match attribute("type")? {
            Some(kind) => kind.trim().to_owned(),
            // The card has no driver to tell it; the generation is known.
            None => match attribute("hwtype")?.map(|text| text.trim().parse::<u8>()) {
                Some(Ok(hwtype @ 10..)) => format!("CEX{}", hwtype - 6),
                _ => "?".into(),
            },
        };
        Ok(Self {
            kind,
            configured: flag("config")?.unwrap_or(true),
            checkstopped: flag("chkstop")?.unwrap_or(false),
        })
    }
}

impl Queue {
    fn read(sysfs: &Sysfs, path: &str) -> Result<Self> {
        let driver = sysfs.link(&format!("{path}/driver"))?;
        let status = match driver.as_deref() {
            Some(VFIO_AP) => sysfs.text(&format!("{path}/status"))?,
            _ => None,
        };
        let driver_override = sysfs.text(&format!("{path}/driver_override"))?;
        Ok(Self {
            driver,
            driver_override: driver_override
                .map(|name| name.trim().to_owned())
                // Older kernels print a null pointer.
                .filter(|name| !name.is_empty() && name != "(null)"),
            in_use: status.is_some_and(|status| status.trim() == "in use"),
        })
    }

    /// Whether it is bound to vfio_ap.
    pub fn is_with_vfio_ap(&self) -> bool {
        self.driver.as_deref() == Some(VFIO_AP)
    }
}

/// Three masks, as they stand in the attributes of the bus.
fn masks(texts: [&str; 3]) -> Result<Matrix> {
    let text = texts.map(str::trim).join(",");
    text::parse_matrix(text.as_bytes()).map_err(|_| anyhow!("these are no masks: {text}"))
}

/// The name of a queue, such as `01.0003`.
fn parse_apqn(name: &str) -> Option<Apqn> {
    let (apid, apqi) = name.split_once('.')?;
    Some(Apqn::new(
        Apid(parse_id(apid).ok()?),
        Apqi(parse_id(apqi).ok()?),
    ))
}

/// A number as it stands in the name of a queue.
pub fn parse_id(text: &str) -> Result<u8> {
    u8::from_str_radix(text, 16).map_err(|_| {
        anyhow!("{text:?} is no number of an adapter or domain: 00 to ff, hexadecimal")
    })
}

/// The text of `matrix` and `guest_matrix`: `01.0002`, or `01.` or `.0002` if there is
/// only one of both.
fn parse_listing(text: &str) -> Result<Matrix> {
    let mut matrix = Matrix::EMPTY;
    for line in text.lines() {
        let (apid, apqi) = line
            .split_once('.')
            .with_context(|| format!("{line:?} is no queue"))?;
        if !apid.is_empty() {
            matrix.apm.insert(Apid(parse_id(apid)?));
        }
        if !apqi.is_empty() {
            matrix.aqm.insert(Apqi(parse_id(apqi)?));
        }
    }
    Ok(matrix)
}
