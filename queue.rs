// SPDX-License-Identifier: GPL-2.0

//! What the AP bus tells the driver: queues that come and go, and the host configuration.

use kernel::{
    device,
    fmt::Write,
    prelude::*,
    sync::Arc,
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    }, //
};

use crate::{
    ap_bus::{
        self,
        QueueData, //
    },
    driver::{
        Driver,
        Patience,
        State, //
    },
    guest,
    mask::{
        Apid,
        Apqi,
        Apqn,
        Mask, //
    },
    matrix::Product,
    module_global,
    pqap::{
        self,
        ConfigInfo, //
    },
    queues::{
        Entry,
        Progress,
        Reset, //
    },
    sysfs, //
};

/// A queue that is bound to the driver.
pub(crate) struct Queue {
    apqn: Apqn,
    driver: Arc<Driver>,
}

/// The driver as the bus sees it.
pub(crate) struct QueueDriver;

impl ap_bus::Driver for QueueDriver {
    type Data = Queue;

    fn attributes() -> &'static sysfs::Groups<QueueData<Queue>> {
        &ATTRIBUTES
    }

    fn prepare(queue: &ap_bus::Queue<device::Core<'_>>) -> Result<Queue> {
        let driver = module_global::get().ok_or(ENODEV)?;
        let apqn = queue.apqn();
        driver
            .state
            .lock()
            .host
            .queues
            .make_room(apqn, |entries| entries.push(Entry::NONE, GFP_KERNEL))?;
        Ok(Queue { apqn, driver })
    }

    fn bound(queue: &Queue) {
        queue.driver.state.lock().host.queues.bind(queue.apqn);
        queue.driver.proceed();
        // Whoever binds a queue of an mdev by hand expects it to be there. In a scan, resets go on in
        // parallel.
        queue.driver.wait_while(Patience::Bus, &|state: &State| {
            !state.host.is_scanning()
                && state.host.queues.is_pending(queue.apqn)
                && state.owner(queue.apqn).is_some()
        });
    }

    fn unbound(queue: &Queue) {
        let still_there = {
            let host = &mut queue.driver.state.lock().host;
            host.unbind(queue.apqn);
            host.config().has_queue(queue.apqn)
        };
        queue.driver.proceed();
        // No guest has it any more. What is not in the host configuration cannot be reset by us,
        // and needs not: the machine does that before anybody gets it.
        if still_there {
            reset_before_release(queue.apqn);
        }
        let interruption = {
            let mut state = queue.driver.state.lock();
            state.interruptions.remove_node(&queue.apqn.to_raw())
        };
        drop(interruption);
    }

    fn may_reserve(apm: Mask<Apid>, aqm: Mask<Apqi>) -> Result {
        match (module_global::get(), Product::new(apm, aqm)) {
            (Some(driver), Some(queues)) => {
                guest::check_not_assigned(&driver.state.lock(), &queues)
            }
            _ => Ok(()),
        }
    }

    fn config_changed(config: &ConfigInfo) {
        if let Some(driver) = module_global::get() {
            driver.state.lock().host.scan_begins(config.matrix());
        }
    }

    fn scan_complete(config: &ConfigInfo) {
        if let Some(driver) = module_global::get() {
            driver.state.lock().host.scan_ends(config.matrix());
            driver.proceed();
            driver.wait_while(Patience::Bus, &|state: &State| {
                let mut mdevs = state.mdevs().iter();
                mdevs.any(|mdev| state.host.is_unsettled(&mdev.masks(state).assigned))
            });
        }
    }
}

/// Resets a queue before the bus may give it to another driver.
fn reset_before_release(apqn: Apqn) {
    let start = Instant::<Monotonic>::now();
    let mut reset = Reset::default();
    loop {
        let waited = start.elapsed().as_millis();
        match reset.step(apqn, &mut pqap::Machine) {
            Progress::Done => return,
            Progress::Pending if waited < Patience::Bus as i64 => {
                // Most resets are short.
                fsleep(Delta::from_millis(if waited < 20 { 1 } else { 20 }));
            }
            Progress::Pending => {
                pr_warn!("queue {apqn} released before its reset has finished\n");
                return;
            }
            Progress::Failed(code) => {
                pr_warn!(
                    "queue {apqn} released without a reset, which failed with response code {code:02x}\n"
                );
                return;
            }
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
        let state = queue.driver.state.lock();
        page.write_str(match state.owner(queue.apqn) {
            None => "unassigned\n",
            Some(masks) if masks.granted.has_queue(queue.apqn) => "in use\n",
            Some(_) => "assigned\n",
        })?;
        Ok(())
    }
}
