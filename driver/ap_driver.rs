// SPDX-License-Identifier: GPL-2.0

//! What the AP bus tells the driver: queues that come and go, and the host configuration.

use kernel::{
    device,
    device_id::IdArray,
    fmt::Write,
    prelude::*,
    sync::Arc, //
};

use crate::{
    ap_bus::{
        self,
        pqap::{
            self,
            ConfigInfo, //
        },
        DeviceId,
        QueueData, //
    },
    bindings as b,
    driver::{
        interruptions,
        matrix_mdev,
        module_global,
        wait::{
            Wait,
            BUS_TIMEOUT,
            DEFAULT_TIMEOUT, //
        },
        VfioAp, //
    },
    linux::sysfs,
    matrix::{
        mask::{
            Apid,
            Apqi,
            Apqn,
            Mask, //
        },
        queues::{
            response::NOT_AVAILABLE,
            Progress,
            Reset, //
        },
        Matrix,
        QueueSet,
        Unbinding, //
    }, //
};

/// A queue that is bound to the driver.
pub(crate) struct Queue {
    apqn: Apqn,
    driver: Arc<VfioAp>,
}

/// The driver as the bus sees it.
pub(crate) struct QueueDriver;

/// Queues of type 10 (CEX4) and newer.
static IDS: IdArray<DeviceId, (), 5> = IdArray::new_without_index([
    DeviceId::queue(b::AP_DEVICE_TYPE_CEX4),
    DeviceId::queue(b::AP_DEVICE_TYPE_CEX5),
    DeviceId::queue(b::AP_DEVICE_TYPE_CEX6),
    DeviceId::queue(b::AP_DEVICE_TYPE_CEX7),
    DeviceId::queue(b::AP_DEVICE_TYPE_CEX8),
]);

impl ap_bus::Driver for QueueDriver {
    type Data = Queue;
    const ID_TABLE: ap_bus::IdTable = &IDS;

    fn attributes() -> &'static sysfs::Groups<QueueData<Queue>> {
        &ATTRIBUTES
    }

    fn probe(queue: &ap_bus::Queue<device::Core<'_>>) -> Result<Queue> {
        let driver = module_global::get().ok_or(ENODEV)?;
        let apqn = queue.apqn();
        Ok(Queue { apqn, driver })
    }

    fn bound(queue: &Queue) {
        {
            let state = &mut *queue.driver.state();
            if state.is_reachable(queue.apqn) {
                state.host.queues.bind_revoked(queue.apqn);
            } else {
                state.host.queues.bind(queue.apqn);
            }
        }
        queue.driver.reconcile();
        // An administrator who binds a queue of an mdev expects the guest to have it then. In a scan,
        // resets go on in parallel.
        let wait = Wait::new(BUS_TIMEOUT);
        while queue.is_awaited() && queue.driver.sleep(&wait) {}
    }

    fn unbind(queue: &Queue) {
        let Queue { apqn, driver } = queue;
        let how = {
            let mut state = driver.state();
            let how = if state.is_scanner() && !state.host.config().has_queue(*apqn) {
                Unbinding::ByScan
            } else {
                Unbinding::ByHand
            };
            state.host.unbind(*apqn, how);
            how
        };
        driver.reconcile();
        // The bus creates a queue that has gone in the next scan at the earliest. The end of this scan
        // takes it from its guest before that.
        if how == Unbinding::ByHand {
            wait_until_unreachable(driver, *apqn);
        }
        release(driver, *apqn);
    }

    fn in_use(apm: Mask<Apid>, aqm: Mask<Apqi>) -> Result {
        let Some(driver) = module_global::get() else {
            return Ok(());
        };
        let adm = Mask::EMPTY;
        let queues = QueueSet::new(&Matrix { apm, aqm, adm }, &Matrix::EMPTY);
        let state = driver.state();
        matrix_mdev::check_not_in_use(&state, &queues)
    }

    fn on_config_changed(config: &ConfigInfo) {
        if let Some(driver) = module_global::get() {
            driver.state().scan_begins(config.matrix());
        }
    }

    fn on_scan_complete(config: &ConfigInfo) {
        if let Some(driver) = module_global::get() {
            driver.state().scan_ends(config.matrix());
            driver.reconcile();
            driver.wait_until(BUS_TIMEOUT, |state| !state.any_awaits_resets());
            driver.state().host.end_grace();
            driver.reconcile();
            driver.wait_until(BUS_TIMEOUT, |state| !state.any_uncommitted());
        }
    }
}

impl Queue {
    /// Returns true if a guest is about to get it, and has not.
    fn is_awaited(&self) -> bool {
        let state = self.driver.state();
        !state.host.is_scanning()
            && state.owner(self.apqn).is_some_and(|masks| {
                state.host.queues.is_pending(self.apqn) || !masks.is_committed()
            })
    }
}

/// Waits until no guest can use a queue.
///
/// That has no bound: the queue may be another driver's next. Its guest's user holds the lock of the
/// virtual machine if it takes long.
fn wait_until_unreachable(driver: &Arc<VfioAp>, apqn: Apqn) {
    let mut wait = Wait::new(DEFAULT_TIMEOUT);
    let mut is_told = false;
    while is_reachable(driver, apqn) {
        if driver.sleep(&wait) {
            continue;
        }
        if !is_told {
            is_told = true;
            pr_warn!("queue {apqn} cannot be released yet: its guest does not give it back\n");
        }
        wait = Wait::new(DEFAULT_TIMEOUT);
    }
}

fn is_reachable(driver: &VfioAp, apqn: Apqn) -> bool {
    driver.state().is_reachable(apqn)
}

/// Resets a queue before the bus may give it to another driver, and ends its interruptions. No guest
/// has it any more.
fn release(driver: &Arc<VfioAp>, apqn: Apqn) {
    let timeout = driver.state().release_timeout();
    let wait = Wait::new(timeout);
    let mut reset = Reset::default();
    let result = loop {
        let progress = reset.step(apqn, &mut pqap::Machine);
        if progress != Progress::Pending || !wait.sleep() {
            break progress;
        }
    };
    let mut state = driver.state();
    match result {
        // The machine resets what comes back.
        Progress::Done | Progress::Failed(NOT_AVAILABLE) => state.interruptions.release(apqn),
        Progress::Pending | Progress::Failed(_) => {
            state.interruptions.end_after(apqn, &reset);
            drop(state);
            match result {
                Progress::Failed(code) => pr_warn!(
                    "queue {apqn} released without a reset, which failed with response code {code:02x}\n"
                ),
                // Those that come in a row are told of once.
                _ if timeout == BUS_TIMEOUT => {
                    pr_warn!("queue {apqn} released before its reset has finished\n");
                }
                _ => {}
            }
            interruptions::orphan(driver, apqn);
        }
    }
}

sysfs::attribute_groups! {
    static ATTRIBUTES: QueueData<Queue> = { text: { c"status": Status = Status, }, long: {}, };
}

/// Whether an mdev has the queue, and a guest.
struct Status;

#[vtable]
impl sysfs::Attribute for Status {
    type Device = QueueData<Queue>;

    fn show(&self, queue: &QueueData<Queue>, page: &mut sysfs::Page<'_>) -> Result {
        let state = queue.driver.state();
        page.write_str(match state.owner(queue.apqn) {
            None => "unassigned\n",
            Some(masks) if masks.granted.has_queue(queue.apqn) => "in use\n",
            Some(_) => "assigned\n",
        })?;
        Ok(())
    }
}
