// SPDX-License-Identifier: GPL-2.0
//! The output of `--json`, for programs. New versions may add fields, and keep all existing ones.
//! Adapters and domains are numbers. Queues have their names in sysfs.

use serde::Serialize;
use uuid::Uuid;
use vfio_ap_core::mask::Apqn;
use vfio_ap_core::matrix::{Matrix, QueueSet};

use crate::explain::{self, Cause, Owner, Share, Trouble};
use crate::host::Host;
use crate::names;
use crate::report::User;

/// A matrix.
#[derive(Serialize)]
pub struct Sets {
    adapters: Vec<u8>,
    domains: Vec<u8>,
    control_domains: Vec<u8>,
}

impl From<&Matrix> for Sets {
    fn from(matrix: &Matrix) -> Self {
        Self {
            adapters: names::ids(matrix.apm),
            domains: names::ids(matrix.aqm),
            control_domains: names::ids(matrix.adm),
        }
    }
}

/// A host.
#[derive(Serialize)]
pub struct Map<'a> {
    vfio_ap_loaded: bool,
    /// `rust` or `c`, or `None` if the driver is not loaded.
    vfio_ap_driver: Option<&'static str>,
    vfio_ap_version: Option<&'a str>,
    kernel: Option<&'a str>,
    host_configuration: Sets,
    /// The masks of the bus. Queues in both masks are reserved for the host's own drivers.
    apmask: Vec<u8>,
    aqmask: Vec<u8>,
    adapters: Vec<Adapter<'a>>,
    queues: Vec<Queue<'a>>,
    mdevs: Vec<Mdev>,
}

#[derive(Serialize)]
struct Adapter<'a> {
    adapter: u8,
    #[serde(rename = "type")]
    kind: &'a str,
    configured: bool,
    checkstopped: bool,
}

#[derive(Serialize)]
struct Queue<'a> {
    queue: String,
    adapter: u8,
    domain: u8,
    state: &'static str,
    /// The trouble of the adapter, if the adapter is installed.
    trouble: Option<&'static str>,
    driver: Option<&'a str>,
    driver_override: Option<&'a str>,
    mdev: Option<Uuid>,
}

#[derive(Serialize)]
struct Mdev {
    letter: String,
    uuid: Uuid,
    in_use: bool,
    /// `nobody`, `guest`, `guest, asked to leave` or `unknown`.
    user: &'static str,
    assigned: Sets,
    guest: Sets,
    filtered: Vec<Filtered>,
    /// The adapters of the guest that do not work.
    trouble: Vec<Broken>,
}

#[derive(Serialize)]
struct Filtered {
    adapter: u8,
    reason: &'static str,
    queues: Vec<Missing>,
}

#[derive(Serialize)]
struct Broken {
    adapter: u8,
    trouble: &'static str,
}

#[derive(Serialize)]
struct Missing {
    queue: String,
    reason: String,
}

/// Returns a word for the owner of a queue.
fn state(owner: Owner) -> &'static str {
    match owner {
        Owner::Absent => "absent",
        Owner::Unbound => "unbound",
        Owner::Host => "host",
        Owner::Free => "free",
        Owner::Mdev(_, Share::InUse | Share::Broken { in_use: true }) => "in use",
        Owner::Mdev(_, Share::Ready | Share::Broken { in_use: false }) => "assigned",
        Owner::Mdev(_, Share::Missing) => "missing",
        Owner::Mdev(_, Share::Filtered) => "filtered",
        Owner::Mdev(_, Share::NotInHost) => "not in host",
    }
}

/// Returns the text for the user of a mediated device.
pub fn user(user: Option<User>) -> &'static str {
    match user {
        Some(User::Nobody) => "nobody",
        Some(User::Guest) => "guest",
        Some(User::Leaving) => "guest, asked to leave",
        None => "unknown",
    }
}

/// Returns a word for the loaded driver.
pub fn driver(host: &Host) -> Option<&'static str> {
    host.vfio_ap.as_ref()?;
    Some(if host.is_c() { "c" } else { "rust" })
}

impl<'a> Map<'a> {
    /// Describes a host.
    pub fn new(host: &'a Host) -> Self {
        let mut names: Vec<Apqn> = host.queues.keys().copied().collect();
        for mdev in &host.mdevs {
            // This includes assigned queues that do not exist.
            names.extend(QueueSet::new(&mdev.assigned, &Matrix::EMPTY).queues());
        }
        names.sort_unstable();
        names.dedup();
        let queues = names.into_iter().map(|apqn| {
            let queue = host.queues.get(&apqn);
            Queue {
                queue: apqn.to_string(),
                adapter: apqn.apid.0,
                domain: apqn.apqi.0,
                state: state(explain::owner(host, apqn)),
                trouble: host
                    .adapters
                    .get(&apqn.apid)
                    .and_then(Trouble::of)
                    .map(Trouble::text),
                driver: queue.and_then(|queue| queue.driver.as_deref()),
                driver_override: queue.and_then(|queue| queue.driver_override.as_deref()),
                mdev: host.owner(apqn).map(|(_, mdev)| mdev.uuid),
            }
        });
        let adapters = host.adapters.iter().map(|(apid, adapter)| Adapter {
            adapter: apid.0,
            kind: &adapter.kind,
            configured: adapter.configured,
            checkstopped: adapter.checkstopped,
        });
        let mdevs = host.mdevs.iter().enumerate().map(|(place, mdev)| Mdev {
            letter: names::letter(place),
            uuid: mdev.uuid,
            in_use: mdev.is_in_use(),
            user: user(mdev.user),
            assigned: (&mdev.assigned).into(),
            guest: (&mdev.guest).into(),
            filtered: explain::filtered(host, mdev)
                .iter()
                .map(Filtered::new)
                .collect(),
            trouble: explain::broken(host, mdev)
                .iter()
                .map(|(apid, trouble)| Broken {
                    adapter: apid.0,
                    trouble: trouble.text(),
                })
                .collect(),
        });
        Self {
            vfio_ap_loaded: host.vfio_ap.is_some(),
            vfio_ap_driver: driver(host),
            vfio_ap_version: host.version.as_deref(),
            kernel: host.kernel.as_deref(),
            host_configuration: (&host.config).into(),
            apmask: names::ids(host.apmask),
            aqmask: names::ids(host.aqmask),
            adapters: adapters.collect(),
            queues: queues.collect(),
            mdevs: mdevs.collect(),
        }
    }
}

impl Filtered {
    fn new(filtered: &explain::Filtered) -> Self {
        let queues = match &filtered.cause {
            Cause::Missing(queues) => queues
                .iter()
                .map(|(apqn, reason)| Missing {
                    queue: apqn.to_string(),
                    reason: reason.to_string(),
                })
                .collect(),
            _ => Vec::new(),
        };
        Self {
            adapter: filtered.apid.0,
            reason: filtered.cause.text(),
            queues,
        }
    }
}
