// SPDX-License-Identifier: GPL-2.0
//! A guest on another host, which is to migrate to this one.
//!
//! The driver's functional core decides if queues fit. This module finds the guest in a recording
//! of its host, and applies the decision to all queues.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use uuid::Uuid;
use vfio_ap_core::mask::{Apid, Apqi, Apqn};
use vfio_ap_core::matrix::{Matrix, QueueSet};
use vfio_ap_core::migration::{Mismatch, QueueInfo, Refusal};

use crate::host::Host;
use crate::names;
use crate::request::MdevName;
use crate::sysfs::Sysfs;

/// A guest on another host.
pub struct Guest {
    /// The name of its mediated device.
    pub name: String,
    /// The queues and control domains of the guest.
    pub masks: Matrix,
    /// The properties of the queues of its adapters.
    infos: BTreeMap<Apid, QueueInfo>,
}

impl Guest {
    /// Reads a guest from a recording of its host. Without a name, returns the guest of the mediated
    /// device with the same UUID, or the only guest.
    ///
    /// # Errors
    ///
    /// Returns an error if the recording cannot be read, does not have the guest, or does not have
    /// the properties of its queues.
    pub fn read(path: &Path, name: Option<&MdevName>, uuid: Uuid) -> Result<Self> {
        let host = Host::read(&Sysfs::open(path)?)?;
        let place = find(&host, name, uuid).with_context(|| path.display().to_string())?;
        let mdev = &host.mdevs[place];
        let info = |apid: Apid| {
            let info = host.adapters.get(&apid).and_then(|adapter| adapter.info);
            Some((apid, info?))
        };
        let infos: BTreeMap<_, _> = mdev.guest.apm.iter().filter_map(info).collect();
        if let Some(apid) = mdev.guest.apm.iter().find(|it| !infos.contains_key(it)) {
            bail!(
                "{} does not have the properties of adapter {apid:02x}: record it again",
                path.display(),
                apid = apid.0
            );
        }
        Ok(Self {
            name: names::mdev(place, &mdev.uuid),
            masks: mdev.guest,
            infos,
        })
    }

    /// Returns the reasons for which a host does not take the guest if it can give it the queues and
    /// control domains of `permitted`. A reason that several queues share is returned once.
    pub fn refusals(&self, host: &Host, permitted: &Matrix) -> Vec<String> {
        let mut reasons: BTreeMap<String, Vec<Apqn>> = BTreeMap::new();
        for apqn in QueueSet::new(&self.masks, &Matrix::EMPTY).queues() {
            if let Err(Refusal::Queue(apqn, mismatch)) = self.check(host, permitted, apqn) {
                reasons.entry(mismatch.to_string()).or_default().push(apqn);
            }
        }
        let queues = reasons.into_iter().map(|(reason, queues)| {
            let what = if queues.len() == 1 { "queue" } else { "queues" };
            format!("{what} {}: {reason}", names::queues(&queues))
        });
        let missing = self.masks.adm - permitted.adm;
        let domains = missing
            .iter()
            .map(|domain: Apqi| Refusal::ControlDomain(domain).to_string());
        queues
            .chain(domains)
            .map(|reason| format!("the driver refuses the guest: {reason}"))
            .collect()
    }

    fn check(&self, host: &Host, permitted: &Matrix, apqn: Apqn) -> Result<(), Refusal> {
        let there = host.adapters.get(&apqn.apid).and_then(|it| it.info);
        let there = there.filter(|_| permitted.has_queue(apqn));
        let here = self.infos.get(&apqn.apid);
        here.zip(there)
            .ok_or(Mismatch::Missing)
            .and_then(|(here, there)| here.fits(there))
            .map_err(|mismatch| Refusal::Queue(apqn, mismatch))
    }
}

/// Returns the index of the mediated device of a guest.
fn find(host: &Host, name: Option<&MdevName>, uuid: Uuid) -> Result<usize> {
    let place = |uuid| host.mdevs.iter().position(|mdev| mdev.uuid == uuid);
    if let Some(name) = name {
        return place(name.find(host)?).context("there is no such mediated device");
    }
    let mut used = (0..host.mdevs.len()).filter(|place| host.mdevs[*place].is_in_use());
    match (place(uuid), used.next(), used.next()) {
        (Some(place), ..) | (None, Some(place), None) => Ok(place),
        (None, None, _) => bail!("no guest uses a mediated device: name one with --guest"),
        (None, ..) => bail!("several guests use mediated devices: name one with --guest"),
    }
}
