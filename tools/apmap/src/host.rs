// SPDX-License-Identifier: GPL-2.0
//! The host in sysfs: adapters, queues, mediated devices, and reservations.
//!
//! This module knows the layout of sysfs and the meaning of its files. Other modules draw
//! conclusions, mostly with the driver's functional core.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use uuid::Uuid;
use vfio_ap_core::mask::{Apid, Apqi, Apqn, IDS, Mask};
use vfio_ap_core::matrix::{self, Limits, Matrix};
use vfio_ap_core::migration::QueueInfo;
use vfio_ap_core::queues::{self, Instructions, Queues, response};
use vfio_ap_core::text;

use crate::report::{DEBUGFS, Report, User};
use crate::sysfs::{Access, Openers, PROC, Sysfs};

/// The directory of the AP bus, relative to the root of sysfs.
pub const BUS: &str = "bus/ap";
/// The parent of the mediated devices.
pub const MATRIX: &str = "devices/vfio_ap/matrix";
/// The name of the driver that passes queues to guests.
pub const VFIO_AP: &str = "vfio_ap";

/// The directory of the files that users of VFIO open.
const VFIO: &str = "/dev/vfio";

/// The maximum length of a text of the C driver, which is a page.
const PAGE: usize = 4095;

/// A host.
pub struct Host {
    /// The host configuration.
    pub config: Matrix,
    /// The greatest adapter and domain numbers of the machine.
    pub limits: Limits,
    /// The adapters that are reserved for the host's own drivers (`apmask`). A queue is reserved if
    /// its adapter is in `apmask` and its domain is in `aqmask`.
    pub apmask: Mask<Apid>,
    /// The domains that are reserved for the host's own drivers (see [`Self::apmask`]).
    pub aqmask: Mask<Apqi>,
    /// The adapters that the AP bus has found.
    pub adapters: BTreeMap<Apid, Adapter>,
    /// The queues that the AP bus has found.
    pub queues: BTreeMap<Apqn, Queue>,
    /// The mediated devices, sorted by UUID.
    pub mdevs: Vec<Mdev>,
    /// The features that the driver `vfio_ap` reports, or `None` if it is not loaded.
    pub vfio_ap: Option<String>,
    /// The version of the driver in Rust. The C driver has none.
    pub version: Option<String>,
    /// The release of the kernel.
    pub kernel: Option<String>,
    /// The boot time and the current time.
    pub clock: Option<Clock>,
}

/// The reference times of other times, in seconds since 1970.
#[derive(Clone, Copy)]
pub struct Clock {
    /// The time of the boot.
    pub booted: i64,
    /// The current time.
    pub now: i64,
}

/// An adapter.
pub struct Adapter {
    /// The type, such as `CEX7C`.
    pub kind: String,
    /// False if the adapter is deconfigured.
    pub configured: bool,
    /// True if the adapter is in check stop.
    pub checkstopped: bool,
    /// The properties of its queues, or `None` if a recording does not have them.
    pub info: Option<QueueInfo>,
}

/// A queue.
pub struct Queue {
    /// The driver that the queue is bound to.
    pub driver: Option<String>,
    /// The only driver that the queue may be bound to.
    pub driver_override: Option<String>,
    /// True if a guest has the queue.
    pub in_use: bool,
}

/// A mediated device.
pub struct Mdev {
    /// The name.
    pub uuid: Uuid,
    /// The assigned matrix.
    pub assigned: Matrix,
    /// The matrix of the guest, or of the next guest.
    pub guest: Matrix,
    /// The user, or `None` if it is unknown.
    pub user: Option<User>,
    /// The program of the user.
    pub process: Option<Process>,
    /// The report of the driver in debugfs.
    pub report: Option<Report>,
    /// True if only other users may read the report.
    pub is_report_denied: bool,
}

/// A process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Process {
    /// The number.
    pub pid: u32,
    /// The name of the program, of which the kernel keeps 15 characters.
    pub name: String,
}

/// Hardware on which all resets have succeeded. All queues of vfio_ap count as usable, because
/// sysfs does not contain the results of resets.
struct AlwaysReset;

impl Instructions for AlwaysReset {
    fn zapq(&mut self, _: Apqn) -> u8 {
        response::NORMAL
    }

    fn tapq(&mut self, _: Apqn) -> u8 {
        response::NORMAL
    }
}

/// The part of the functional core that decides about guests.
pub type Rules = matrix::Host<Vec<queues::Entry>>;

impl Host {
    /// Reads a host.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no AP bus, or if a file has an unknown format.
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
            // On a machine without PQAP(QCI), only the queues of the bus are known.
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

    /// Reads a mediated device. The device may have been removed in the meantime.
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
            // The kernel has no `ap_config`.
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
            // No attribute has the control domains of the guest. They depend only on the assignment
            // and the host.
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
            // No other file shows a guest that has lost all its queues.
            let openers = openers.get_or_init(|| sysfs.openers(Path::new(VFIO)));
            mdev.process = process(sysfs, &mdev.uuid, openers)?;
            mdev.user = match &mdev.process {
                Some(_) => Some(User::Guest),
                None => openers.is_complete.then_some(User::Nobody),
            };
        }
        Ok(Some(mdev))
    }

    /// Returns the user of a mediated device, as far as the files of the driver show it.
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
    ///
    /// # Errors
    ///
    /// Returns an error if a file of procfs cannot be read.
    pub fn find_process(&mut self, sysfs: &Sysfs, place: usize) -> Result<()> {
        let mdev = &mut self.mdevs[place];
        if mdev.process.is_none() && mdev.user != Some(User::Nobody) {
            let openers = sysfs.openers(Path::new(VFIO));
            mdev.process = process(sysfs, &mdev.uuid, &openers)?;
        }
        Ok(())
    }

    /// Returns true if the loaded driver is the C driver.
    pub fn is_c(&self) -> bool {
        self.vfio_ap.is_some()
            && self.version.is_none()
            && self.mdevs.iter().all(|mdev| mdev.report.is_none())
    }

    /// Returns the rules by which the driver decides about guests. They are applied to the queues
    /// of vfio_ap, and to the queues of the host in the product of `apm` and `aqm`.
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

    /// Returns the mediated device that has a queue, and its index in [`Self::mdevs`].
    pub fn owner(&self, apqn: Apqn) -> Option<(usize, &Mdev)> {
        self.mdevs
            .iter()
            .enumerate()
            .find(|(_, mdev)| mdev.assigned.has_queue(apqn))
    }

    /// Returns true if the masks of the bus reserve a queue for the host's own drivers.
    pub fn is_reserved(&self, apqn: Apqn) -> bool {
        self.apmask.contains(apqn.apid) && self.aqmask.contains(apqn.apqi)
    }
}

impl Mdev {
    /// Returns true if a guest is known to use the device.
    pub fn is_in_use(&self) -> bool {
        matches!(self.user, Some(User::Guest | User::Leaving))
    }

    /// Returns true if the guest, or the next guest, has a queue.
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

/// Returns the program that has a mediated device open, by its group or by its own file.
fn process(sysfs: &Sysfs, uuid: &Uuid, openers: &Openers) -> Result<Option<Process>> {
    let mdev = format!("{MATRIX}/{uuid}");
    let mut files = Vec::new();
    if let Some(group) = sysfs.link(&format!("{mdev}/iommu_group"))? {
        files.push(Path::new(VFIO).join(group));
    }
    for name in sysfs.names(&format!("{mdev}/vfio-dev"))? {
        // This read adds the name to a recording.
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
            // The card has no driver that would show its type. The hardware type gives the
            // generation.
            None => match attribute("hwtype")?.map(|text| text.trim().parse::<u8>()) {
                Some(Ok(hwtype @ 10..)) => format!("CEX{}", hwtype - 6),
                _ => "?".into(),
            },
        };
        Ok(Self {
            kind,
            configured: flag("config")?.unwrap_or(true),
            checkstopped: flag("chkstop")?.unwrap_or(false),
            info: queue_info([
                attribute("ap_functions")?,
                attribute("raw_hwtype")?,
                attribute("max_msg_size")?,
            ]),
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

    /// Returns true if the queue is bound to vfio_ap.
    pub fn is_with_vfio_ap(&self) -> bool {
        self.driver.as_deref() == Some(VFIO_AP)
    }
}

/// Returns the properties of the queues of a card: the functions, the type, and the maximum length
/// of a message in bytes.
///
/// The bus reads them from a queue by PQAP(TAPQ), as the driver does.
fn queue_info(attributes: [Option<String>; 3]) -> Option<QueueInfo> {
    let [functions, kind, length] = attributes;
    let functions = functions?.trim().strip_prefix("0x").map(str::to_owned);
    let functions = u32::from_str_radix(&functions?, 16).ok()?;
    let kind: u8 = kind?.trim().parse().ok()?;
    let length: u64 = length?.trim().parse().ok()?;
    let length = (length / 4096).min(15);
    Some(QueueInfo(
        u64::from(functions) << 32 | u64::from(kind) << 24 | length << 8,
    ))
}

/// Parses three masks in the format of the bus.
fn masks(texts: [&str; 3]) -> Result<Matrix> {
    let text = texts.map(str::trim).join(",");
    text::parse_matrix(text.as_bytes()).map_err(|_| anyhow!("these are no masks: {text}"))
}

/// Parses the name of a queue, such as `01.0003`.
fn parse_apqn(name: &str) -> Option<Apqn> {
    let (apid, apqi) = name.split_once('.')?;
    Some(Apqn::new(
        Apid(parse_id(apid).ok()?),
        Apqi(parse_id(apqi).ok()?),
    ))
}

/// Parses a number in the name of a queue.
///
/// # Errors
///
/// Returns an error if the text is not a number from 00 to ff.
pub fn parse_id(text: &str) -> Result<u8> {
    u8::from_str_radix(text, 16).map_err(|_| {
        anyhow!("{text:?} is no number of an adapter or domain: 00 to ff, hexadecimal")
    })
}

/// Parses the text of `matrix` or `guest_matrix`: lines such as `01.0002`, or `01.` or `.0002` if
/// one part is empty.
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
