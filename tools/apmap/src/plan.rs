// SPDX-License-Identifier: GPL-2.0
//! Plans: the writes that give the requested queues to a mediated device, in their order, and the
//! obstacles.
//!
//! This module knows the rules of the AP bus for reservations. The driver's functional core,
//! applied to the planned state of the host, computes the resulting matrix of the guest.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::Result;
use serde::Serialize;
use uuid::Uuid;
use vfio_ap_core::mask::{Apqn, Mask};
use vfio_ap_core::matrix::{Matrix, QueueSet};

use crate::cli::PlanArgs;
use crate::draw;
use crate::explain::{self, Cause, Filtered, Reason, Trouble};
use crate::host::{BUS, Host, MATRIX, VFIO_AP};
use crate::json::Sets;
use crate::migrate::Guest;
use crate::names;
use crate::request::By;

/// An obstacle.
#[derive(Serialize)]
pub struct Obstacle {
    /// True if the kernel would refuse a write because of the obstacle.
    refused: bool,
    /// True if the host would lose queues that were not requested, without `--take-others`. If this
    /// and `refused` are false, only a part of the request is not fulfilled.
    unasked: bool,
    text: String,
}

impl Obstacle {
    /// Returns true if the plan must not be executed.
    fn stops(&self) -> bool {
        self.refused || self.unasked
    }
}

/// A step of a plan.
#[derive(Serialize)]
pub struct Step {
    why: String,
    #[serde(flatten)]
    action: Action,
}

/// The method of a step.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Write { file: String, value: String },
    Run(String),
}

/// The steps in their order, and the obstacles.
#[derive(Serialize)]
pub struct Plan {
    mdev: Uuid,
    asked: Vec<String>,
    obstacles: Vec<Obstacle>,
    /// The requested queues that reach the guest automatically when the host gets them.
    later: Vec<String>,
    notes: Vec<String>,
    steps: Vec<Step>,
    guest: Sets,
    #[serde(skip)]
    title: String,
    #[serde(skip)]
    outcome: Matrix,
}

impl Plan {
    /// Makes a plan.
    ///
    /// # Errors
    ///
    /// Returns an error if the name of the mdev is unknown or ambiguous, or if the guest of another
    /// host cannot be read.
    pub fn new(host: &Host, args: &PlanArgs) -> Result<Self> {
        let uuid = args.mdev.find(host)?;
        let guest = args.migrate.as_deref();
        let guest = guest.map(|from| Guest::read(from, args.guest.as_ref(), uuid));
        Ok(Planner::new(host, uuid, guest.transpose()?, args).plan(args))
    }

    /// Returns true if there is no obstacle.
    pub fn is_clear(&self) -> bool {
        self.obstacles.is_empty()
    }
}

/// A plan in preparation.
struct Planner<'a> {
    host: &'a Host,
    uuid: Uuid,
    /// The index of the mdev, if it exists.
    place: Option<usize>,
    /// The guest of another host that is to migrate to the mdev.
    migrant: Option<Guest>,
    asked: BTreeSet<Apqn>,
    /// The queues that the host's own drivers lose.
    taken: BTreeSet<Apqn>,
    /// The current assignment, and the requested one.
    old: Matrix,
    new: Matrix,
    obstacles: Vec<Obstacle>,
    later: Vec<String>,
    notes: Vec<String>,
    steps: Vec<Step>,
}

impl<'a> Planner<'a> {
    fn new(host: &'a Host, uuid: Uuid, migrant: Option<Guest>, args: &PlanArgs) -> Self {
        let mut asked: BTreeSet<Apqn> = args.queues.iter().flat_map(|set| set.queues()).collect();
        let place = host.mdevs.iter().position(|mdev| mdev.uuid == uuid);
        let old = place.map_or(Matrix::EMPTY, |place| host.mdevs[place].assigned);
        let control = args.control.unwrap_or(Mask::EMPTY);
        let mut new = old;
        if args.only {
            new.apm = Mask::EMPTY;
            new.aqm = Mask::EMPTY;
            new.adm = args.control.unwrap_or(old.adm);
        }
        for set in &args.queues {
            new.apm = new.apm | set.adapters();
            new.aqm = new.aqm | set.domains();
        }
        new.adm = new.adm | control;
        if let Some(guest) = &migrant {
            new = new.union(&guest.masks);
            asked.extend(QueueSet::new(&guest.masks, &Matrix::EMPTY).queues());
        }
        Self {
            host,
            uuid,
            place,
            migrant,
            asked,
            taken: BTreeSet::new(),
            old,
            new,
            obstacles: Vec::new(),
            later: Vec::new(),
            notes: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn plan(mut self, args: &PlanArgs) -> Plan {
        self.check_limits();
        self.check_conflicts();
        self.note_what_comes_and_goes();
        self.take_from_host(args.by);
        self.check_consent(args.take_others);
        self.assign();
        let outcome = self.outcome();
        self.check_migrant(&outcome);
        Plan {
            mdev: self.uuid,
            asked: self.asked.iter().map(Apqn::to_string).collect(),
            title: format!(
                "{}{} for mdev {}",
                match &self.migrant {
                    Some(guest) => format!("The guest of mdev {} with ", guest.name),
                    None => String::new(),
                },
                names::queues(&self.asked),
                match self.place {
                    Some(place) => names::mdev(place, &self.uuid),
                    None => format!("{}, which is not there yet", self.uuid),
                }
            ),
            obstacles: self.obstacles,
            later: self.later,
            notes: self.notes,
            steps: self.steps,
            guest: (&outcome).into(),
            outcome,
        }
    }

    fn refused(&mut self, text: String) {
        self.obstacles.push(Obstacle {
            refused: true,
            unasked: false,
            text,
        });
    }

    fn missing(&mut self, text: String) {
        self.obstacles.push(Obstacle {
            refused: false,
            unasked: false,
            text,
        });
    }

    fn write(&mut self, why: &str, file: String, value: impl Into<String>) {
        self.steps.push(Step {
            why: why.into(),
            action: Action::Write {
                file: format!("/sys/{file}"),
                value: value.into(),
            },
        });
    }

    /// Returns all queues of the requested product.
    fn product(&self) -> impl Iterator<Item = Apqn> + use<> {
        QueueSet::new(&self.new, &Matrix::EMPTY).queues()
    }

    fn check_limits(&mut self) {
        let limits = self.host.limits;
        if !limits.allow(&self.new) {
            self.refused(format!(
                "this machine has no numbers beyond adapter {:02x} and domain {:02x}",
                limits.apid, limits.apqi
            ));
        }
    }

    fn check_conflicts(&mut self) {
        let host = self.host;
        for (place, other) in host.mdevs.iter().enumerate() {
            if Some(place) == self.place {
                continue;
            }
            let shared = self.new.intersect(&other.assigned);
            let queues: Vec<Apqn> = QueueSet::new(&shared, &Matrix::EMPTY).queues().collect();
            if !queues.is_empty() {
                self.refused(format!(
                    "{} assigned to mdev {}{}: unassign there first",
                    is_are(&queues),
                    names::mdev(place, &other.uuid),
                    if other.is_in_use() {
                        ", which a guest uses"
                    } else {
                        ""
                    },
                ));
            }
        }
    }

    fn note_what_comes_and_goes(&mut self) {
        let more: Vec<Apqn> = QueueSet::new(&self.new, &self.old)
            .queues()
            .filter(|apqn| !self.asked.contains(apqn))
            .collect();
        if !more.is_empty() {
            self.notes.push(format!(
                "with these {} come: a guest has each domain on each of its adapters",
                names::queues(&more)
            ));
        }
        let less: Vec<Apqn> = QueueSet::new(&self.old, &self.new).queues().collect();
        if !less.is_empty() {
            self.notes
                .push(format!("the mdev loses {}", names::queues(&less)));
        }
        if self.new != self.old
            && self
                .place
                .is_some_and(|place| self.host.mdevs[place].is_in_use())
        {
            self.notes
                .push("a guest uses the mdev: this takes effect in it at once".into());
        }
        for (apid, adapter) in &self.host.adapters {
            let Some(trouble) = Trouble::of(adapter) else {
                continue;
            };
            if self.new.apm.contains(*apid) {
                self.notes.push(format!(
                    "adapter {:02x} does not work ({}): it can be assigned all the same",
                    apid.0,
                    trouble.text()
                ));
            }
        }
    }

    /// Returns true if the bus reserves a queue for the host's own drivers.
    fn is_hosts(&self, apqn: Apqn) -> bool {
        match self.host.queues.get(&apqn) {
            Some(queue) if queue.driver_override.is_some() => {
                queue.driver.is_some() && !queue.is_with_vfio_ap()
            }
            _ => self.host.is_reserved(apqn),
        }
    }

    /// Returns true if a queue is bound to one of the host's own drivers.
    fn is_bound_by_host(&self, apqn: Apqn) -> bool {
        let queue = self.host.queues.get(&apqn);
        queue.is_some_and(|queue| queue.driver.is_some() && !queue.is_with_vfio_ap())
    }

    /// Adds the steps after which vfio_ap has all requested queues of the host.
    fn take_from_host(&mut self, by: By) {
        let host = self.host;
        let hosts: BTreeSet<Apqn> = self.product().filter(|apqn| self.is_hosts(*apqn)).collect();
        let overridden = host
            .queues
            .iter()
            .filter(|(_, queue)| queue.driver_override.is_some());
        let overridden: Vec<Apqn> = overridden.map(|(apqn, _)| *apqn).collect();
        let masked = host.apmask != Mask::ALL || host.aqmask != Mask::ALL;
        let by_masks = match by {
            By::Auto => overridden.is_empty(),
            By::Masks => true,
            By::Override => false,
        };
        let bound = hosts.iter().filter(|apqn| self.is_bound_by_host(**apqn));
        self.taken = bound.copied().collect();
        if !hosts.is_empty() {
            if by_masks && !overridden.is_empty() {
                self.refused(format!(
                    "the kernel refuses to change the masks as long as a queue has a driver_override: {}",
                    names::queues(&overridden)
                ));
            } else if !by_masks && masked {
                self.refused(
                    "the kernel refuses a driver_override as long as apmask or aqmask is not all ones".into(),
                );
            }
            if by_masks {
                self.write_mask(&hosts);
            }
        }
        if host.vfio_ap.is_none() {
            self.steps.push(Step {
                why: "Load the driver".into(),
                action: Action::Run("modprobe vfio_ap".into()),
            });
        }
        let (mut without_device, mut unbind, mut bind) = (Vec::new(), Vec::new(), Vec::new());
        for apqn in self.product() {
            let is_hosts = hosts.contains(&apqn);
            let Some(queue) = host.queues.get(&apqn) else {
                if is_hosts && !by_masks {
                    without_device.push(apqn);
                }
                continue;
            };
            if queue.is_with_vfio_ap() {
                continue;
            }
            if is_hosts && !by_masks {
                let file = format!("{BUS}/devices/{apqn}/driver_override");
                self.write("Let vfio_ap have queues, and nobody else", file, VFIO_AP);
            } else if (is_hosts && queue.driver.is_some()) || host.vfio_ap.is_none() {
                // The bus binds the queue after the change of the mask or the load of the driver.
                continue;
            }
            if queue.driver.is_some() {
                unbind.push(apqn);
            }
            bind.push(apqn);
        }
        for apqn in unbind {
            let file = format!("{BUS}/devices/{apqn}/driver/unbind");
            self.write("Take them from their driver", file, apqn.to_string());
        }
        for apqn in bind {
            let file = format!("{BUS}/drivers/{VFIO_AP}/bind");
            self.write("Bind queues that no driver has", file, apqn.to_string());
        }
        if !without_device.is_empty() {
            self.refused(format!(
                "{} reserved for the host's drivers by the masks, and without a device to override that",
                is_are(&without_device)
            ));
        }
    }

    /// Checks that all queues that the host's own drivers lose are requested or allowed.
    fn check_consent(&mut self, is_given: bool) {
        let unasked: Vec<Apqn> = self.taken.difference(&self.asked).copied().collect();
        if unasked.is_empty() {
            return;
        }
        let text = format!(
            "the host's own drivers lose {} as well",
            names::queues(&unasked)
        );
        if is_given {
            self.notes.push(text);
        } else {
            self.obstacles.push(Obstacle {
                refused: false,
                unasked: true,
                text: format!("{text}, which was not asked for: --take-others agrees to that"),
            });
        }
    }

    /// Takes queues from the host's drivers by the mask that takes the fewest other queues.
    fn write_mask(&mut self, hosts: &BTreeSet<Apqn>) {
        let (mut apm, mut aqm) = (Mask::EMPTY, Mask::EMPTY);
        for apqn in hosts {
            apm.insert(apqn.apid);
            aqm.insert(apqn.apqi);
        }
        let assigned = self.new;
        // The other queues of these adapters or domains.
        let others = |of: &dyn Fn(Apqn) -> bool| -> Vec<Apqn> {
            let queues = self.host.queues.keys().copied();
            queues
                .filter(|apqn| of(*apqn) && self.host.is_reserved(*apqn))
                .filter(|apqn| !assigned.has_queue(*apqn) && self.is_bound_by_host(*apqn))
                .collect()
        };
        let with_adapters = others(&|apqn| apm.contains(apqn.apid));
        let with_domains = others(&|apqn| aqm.contains(apqn.apqi));
        let (what, file, ids, others) = if with_adapters.len() <= with_domains.len() {
            ("adapters", "apmask", names::ids(apm), with_adapters)
        } else {
            ("domains", "aqmask", names::ids(aqm), with_domains)
        };
        let why = format!(
            "Take {what} {} from the host's drivers",
            names::ranges(&ids)
        );
        self.write(&why, format!("{BUS}/{file}"), without(&ids));
        self.taken.extend(others);
    }

    fn assign(&mut self) {
        let (old, new) = (self.old, self.new);
        if self.place.is_none() {
            let types = format!("{MATRIX}/mdev_supported_types");
            let file = format!("{types}/{VFIO_AP}-passthrough/create");
            self.write("Create the mdev", file, self.uuid.to_string());
        }
        if old == new {
            return;
        }
        let mdev = format!("{MATRIX}/{}", self.uuid);
        let features = self.host.vfio_ap.as_deref().unwrap_or_default();
        if features.split_whitespace().any(|word| word == "ap_config") {
            let why = format!("Assign in one step {}", names::matrix(&new));
            let value = format!("{},{},{}", new.apm, new.aqm, new.adm);
            self.write(&why, format!("{mdev}/ap_config"), value);
            return;
        }
        let kinds = [
            (
                "adapter",
                names::ids(old.apm - new.apm),
                names::ids(new.apm - old.apm),
            ),
            (
                "domain",
                names::ids(old.aqm - new.aqm),
                names::ids(new.aqm - old.aqm),
            ),
            (
                "control_domain",
                names::ids(old.adm - new.adm),
                names::ids(new.adm - old.adm),
            ),
        ];
        for (kind, less, _) in &kinds {
            for id in less {
                self.write(
                    "Unassign",
                    format!("{mdev}/unassign_{kind}"),
                    format!("{id:#04x}"),
                );
            }
        }
        for (kind, _, more) in &kinds {
            for id in more {
                self.write(
                    "Assign",
                    format!("{mdev}/assign_{kind}"),
                    format!("{id:#04x}"),
                );
            }
        }
    }

    /// Adds the reasons for which the driver would refuse a guest that migrates.
    fn check_migrant(&mut self, outcome: &Matrix) {
        let Some(guest) = &self.migrant else {
            return;
        };
        let refusals = guest.refusals(self.host, outcome);
        let more: Vec<Apqn> = QueueSet::new(outcome, &guest.masks).queues().collect();
        for text in refusals {
            self.missing(text);
        }
        if !more.is_empty() {
            self.notes.push(format!(
                "the guest also gets {}, which it does not have there",
                names::queues(&more)
            ));
        }
    }

    /// Returns the matrix of the guest after all steps, and adds the reasons for missing parts.
    fn outcome(&mut self) -> Matrix {
        let host = self.host;
        let rules = host.rules(self.new.apm, self.new.aqm);
        let mut guest = rules.permitted(&self.new);

        let adapters = self.new.apm - host.config.apm;
        let domains = self.new.aqm - host.config.aqm;
        for (what, ids) in [
            ("adapters", names::ids(adapters)),
            ("domains", names::ids(domains)),
        ] {
            if !ids.is_empty() {
                self.later.push(format!(
                    "{what} {} not in the host configuration: can be assigned, and come to the \
                     guest when the host gets them",
                    names::ranges(&ids)
                ));
            }
        }
        let absent: Vec<Apqn> = self
            .product()
            .filter(|apqn| host.config.has_queue(*apqn) && !host.queues.contains_key(apqn))
            .collect();
        if !absent.is_empty() {
            self.missing(format!(
                "{} {}: the whole adapter is kept from the guest",
                names::queues(&absent),
                Reason::NoDevice
            ));
        }
        if let Some(place) = self.place {
            for Filtered { apid, cause } in explain::filtered(host, &host.mdevs[place]) {
                // The causes that the steps do not change.
                let text = match &cause {
                    Cause::Missing(queues) => draw::by_reason(queues),
                    cause => cause.text().into(),
                };
                let stays = match &cause {
                    Cause::Missing(queues) => queues.iter().any(|(_, reason)| {
                        matches!(reason, Reason::NotReset | Reason::ResetFailed)
                    }),
                    Cause::Leaving | Cause::Withheld => true,
                    Cause::NotInHost => false,
                };
                if stays && guest.apm.contains(apid) {
                    guest.apm.remove(apid);
                    self.missing(format!("adapter {:02x}: {text}", apid.0));
                }
            }
        }
        guest
    }
}

/// Returns the text for some queues, with the form of the verb for their number.
fn is_are(queues: &[Apqn]) -> String {
    let verb = if queues.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names::queues(queues))
}

/// Returns the change that removes these numbers from a mask of the bus. (In this format, `-1-2` is
/// a range.)
fn without(ids: &[u8]) -> String {
    let runs = ids.chunk_by(|a, b| u16::from(*a) + 1 == u16::from(*b));
    let texts = runs.map(|run| match run {
        [id] => format!("-{id:#04x}"),
        _ => format!("-{:#04x}-{:#04x}", run[0], run[run.len() - 1]),
    });
    texts.collect::<Vec<_>>().join(",")
}

/// Writes a shell script. The script executes nothing if the kernel would refuse a part of it, or
/// if the host would lose queues that were not requested.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}", self.title)?;
        for (title, texts) in [
            (
                "In the way:",
                self.obstacles
                    .iter()
                    .map(|obstacle| &obstacle.text)
                    .collect::<Vec<_>>(),
            ),
            ("Later:", self.later.iter().collect()),
            ("Note:", self.notes.iter().collect()),
        ] {
            if !texts.is_empty() {
                writeln!(f, "#\n# {title}")?;
            }
            for text in texts {
                writeln!(f, "#   - {text}")?;
            }
        }
        let refused = self.obstacles.iter().any(|obstacle| obstacle.refused);
        let stopped = self.obstacles.iter().any(Obstacle::stops);
        let mark = if stopped { "# " } else { "" };
        if refused {
            f.write_str("#\n# As it stands, the kernel would refuse a part of this:\n")?;
        } else if stopped {
            f.write_str("#\n# This is what would be done:\n")?;
        }
        let mut last = "";
        for Step { why, action } in &self.steps {
            if why != last {
                writeln!(f, "{}# {why}", if stopped { "# " } else { "\n" })?;
                last = why;
            }
            match action {
                Action::Write { file, value } => writeln!(f, "{mark}echo {value} >{file}")?,
                Action::Run(command) => writeln!(f, "{mark}{command}")?,
            }
        }
        if self.steps.is_empty() {
            f.write_str("\n# There is nothing to do.\n")?;
        }
        if !stopped {
            writeln!(f, "\n# A guest then has {}", names::matrix(&self.outcome))?;
        }
        Ok(())
    }
}
