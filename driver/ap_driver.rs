// SPDX-License-Identifier: GPL-2.0

//! The driver for queues: callbacks of the AP bus for queues and for the host configuration.

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
        trace,
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
        cause::Event,
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

/// The `struct ap_driver`.
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
            state.host.note(Event::Bind, queue.apqn);
            if state.is_reachable(queue.apqn) {
                state.host.queues.bind_revoked(queue.apqn);
            } else {
                state.host.queues.bind(queue.apqn);
            }
        }
        queue.driver.reconcile();
        // When an administrator binds a queue of an mdev, the guest should have it at the end. In a scan
        // this does not wait, so that resets of several queues overlap.
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
            // The bus scans in a kernel thread. A scan that a user forces counts as unbinding.
            let is_bus = kernel::current!().mm().is_none();
            let event = if is_bus { Event::Gone } else { Event::Unbind };
            state.host.note(event, *apqn);
            state.host.unbind(*apqn, how);
            how
        };
        driver.reconcile();
        // The bus does not create a removed queue before the next scan. The end of this scan takes the
        // queue from its guest.
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
    /// Returns true if a guest is about to get the queue.
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
/// This has no timeout, as another driver may get the queue next. It takes long only if the user of the
/// guest holds the lock of the virtual machine.
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

/// Resets a queue that no guest can use any more, and ends its interruptions. Another driver may get the
/// queue after that.
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
    trace::reset_end(apqn, result);
    // The machine resets a queue that is not available before it comes back.
    let is_reset = matches!(result, Progress::Done | Progress::Failed(NOT_AVAILABLE));
    let is_config_suspect = {
        let mut state = driver.state();
        if is_reset {
            state.interruptions.release(apqn);
        } else {
            state.interruptions.end_after(apqn, &reset);
        }
        state.check_config(apqn, result)
    };
    if is_config_suspect {
        driver.reconcile();
    }
    if is_reset {
        return;
    }
    match result {
        Progress::Failed(code) => pr_warn!(
            "queue {apqn} released without a reset, which failed with response code {code:02x}\n"
        ),
        // One message is enough for queues that leave within a few seconds.
        _ if timeout == BUS_TIMEOUT => {
            pr_warn!("queue {apqn} released before its reset has finished\n");
        }
        _ => {}
    }
    interruptions::orphan(driver, apqn);
}

sysfs::attribute_groups! {
    static ATTRIBUTES: QueueData<Queue> = { text: { c"status": Status = Status, }, long: {}, };
}

/// The attribute `status`: the use of the queue by an mdev or a guest.
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
