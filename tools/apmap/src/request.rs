// SPDX-License-Identifier: GPL-2.0
//! The requests to `apmap plan`, and their syntax on the command line.

use std::str::FromStr;

use anyhow::{Context, Error, Result, bail};
use clap::ValueEnum;
use uuid::Uuid;
use vfio_ap_core::mask::{Apid, Apqi, Apqn, Mask};
use vfio_ap_core::matrix::{self, Matrix};

use crate::host::{Host, parse_id};
use crate::names;

/// The method of taking queues from the host's drivers. The kernel refuses a mixture of both.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum By {
    /// The method in use; masks if none is in use
    Auto,
    /// apmask or aqmask, for whole adapters or domains
    Masks,
    /// driver_override, for each queue
    Override,
}

/// A mediated device as the user names it.
#[derive(Clone, Debug)]
pub struct MdevName(String);

impl FromStr for MdevName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if name.is_empty() {
            bail!("a letter of the picture, or a UUID or its beginning");
        }
        Ok(Self(name.to_lowercase()))
    }
}

impl MdevName {
    /// Returns the UUID. A complete UUID need not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if the name is unknown or ambiguous.
    pub fn find(&self, host: &Host) -> Result<Uuid> {
        let Self(name) = self;
        for (place, mdev) in host.mdevs.iter().enumerate() {
            if *name == names::letter(place).to_lowercase() {
                return Ok(mdev.uuid);
            }
        }
        if let Ok(uuid) = name.parse() {
            return Ok(uuid);
        }
        let mut matching = host
            .mdevs
            .iter()
            .map(|mdev| mdev.uuid)
            .filter(|uuid| uuid.to_string().starts_with(name));
        match (matching.next(), matching.next()) {
            (Some(uuid), None) => Ok(uuid),
            (Some(_), Some(_)) => {
                bail!("several mediated devices begin with {name:?}: give more of the UUID")
            }
            (None, _) => bail!(
                "there is no mediated device {name:?}: give a letter of the picture, or a whole UUID for a new one"
            ),
        }
    }
}

/// The subject of `apmap why`.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A queue.
    Queue(Apqn),
    /// A mediated device.
    Mdev(MdevName),
}

impl FromStr for Subject {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('.') {
            Some((apid, apqi)) => Ok(Self::Queue(Apqn::new(
                Apid(parse_id(apid)?),
                Apqi(parse_id(apqi)?),
            ))),
            None => text.parse().map(Self::Mdev),
        }
    }
}

/// All queues of some adapters and domains, as in `01-03,0a.0003`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueSet(Matrix);

impl FromStr for QueueSet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (adapters, domains) = text
            .split_once('.')
            .context("a queue is ADAPTER.DOMAIN, such as 01.0003 or 01-03.0003,0004")?;
        Ok(Self(Matrix {
            apm: parse_set(adapters)?,
            aqm: parse_set(domains)?,
            adm: Mask::EMPTY,
        }))
    }
}

impl QueueSet {
    /// Returns the adapters.
    pub fn adapters(&self) -> Mask<Apid> {
        self.0.apm
    }

    /// Returns the domains.
    pub fn domains(&self) -> Mask<Apqi> {
        self.0.aqm
    }

    /// Returns all queues.
    pub fn queues(&self) -> impl Iterator<Item = Apqn> {
        matrix::QueueSet::new(&self.0, &Matrix::EMPTY).queues()
    }
}

/// Parses domains, as in `00-03,0a`.
///
/// # Errors
///
/// Returns an error if the text is not a list of domains.
pub fn parse_domains(text: &str) -> Result<Mask<Apqi>> {
    parse_set(text)
}

fn parse_set<I: Copy + From<u8> + Into<u8>>(text: &str) -> Result<Mask<I>> {
    let mut mask = Mask::EMPTY;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (parse_id(first)?, parse_id(last)?);
        if first > last {
            bail!("{part:?} is no range: it ends before it begins");
        }
        for id in first..=last {
            mask.insert(id.into());
        }
    }
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(text: &str) -> String {
        let set: QueueSet = text.parse().unwrap();
        let all: Vec<_> = set.queues().map(|apqn| apqn.to_string()).collect();
        all.join(" ")
    }

    #[test]
    fn queues_are_named_as_in_sysfs() {
        assert_eq!(queues("01.0003"), "01.0003");
        assert_eq!(queues("1.3"), "01.0003");
        assert_eq!(queues("0a-0b.0003,0010"), "0a.0003 0a.0010 0b.0003 0b.0010");
        assert_eq!(queues("00.fe-ff"), "00.00fe 00.00ff");
    }

    #[test]
    fn other_names_are_refused() {
        for text in [
            "", "01", ".", "01.", ".01", "01.g", "01.0100", "3-1.0", "1,.0", "0x1.0",
        ] {
            assert!(text.parse::<QueueSet>().is_err(), "{text:?}");
        }
    }
}
