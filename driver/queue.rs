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
        pqap::{
            self,
            ConfigInfo, //
        },
        QueueData, //
    },
    driver::{
        aqic,
        guest,
        module_global,
        Driver,
        Patience,
        State, //
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
        Masks,
        Product,
        Unbinding, //
    }, //
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
        driver.make_room(apqn)?;
        Ok(Queue { apqn, driver })
    }

    fn bound(queue: &Queue) {
        {
            let state = &mut *queue.driver.state.lock();
            if state.is_in_reach(queue.apqn) {
                state.host.queues.bind_in_reach(queue.apqn);
            } else {
                state.host.queues.bind(queue.apqn);
            }
        }
        queue.driver.proceed();
        // An administrator who binds a queue of an mdev expects the guest to have it then. In a scan,
        // resets go on in parallel.
        queue
            .driver
            .wait_while(Patience::Bus, false, &|state: &State| {
                !state.host.is_scanning()
                    && state.owner(queue.apqn).is_some_and(|masks| {
                        state.host.queues.is_pending(queue.apqn) || !masks.is_committed()
                    })
            });
    }

    fn unbound(queue: &Queue) {
        let Queue { apqn, driver } = queue;
        let how = {
            let mut state = driver.state.lock();
            let how = if state.is_scanner() && !state.host.config().has_queue(*apqn) {
                Unbinding::ByScan
            } else {
                Unbinding::ByHand
            };
            state.host.unbind(*apqn, how);
            how
        };
        driver.proceed();
        // The bus creates a queue that has gone in the next scan at the earliest. The end of this scan
        // takes it from its guest before that.
        if how == Unbinding::ByHand {
            wait_until_out_of_reach(driver, *apqn);
        }
        release(driver, *apqn);
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
            driver.state.lock().scan_begins(config.matrix());
        }
    }

    fn scan_complete(config: &ConfigInfo) {
        if let Some(driver) = module_global::get() {
            driver.state.lock().scan_ends(config.matrix());
            driver.proceed();
            driver.wait_while(Patience::Bus, false, &|state: &State| {
                let mut all = state.all_masks();
                all.any(|masks| state.host.is_unsettled(&masks.assigned))
            });
            driver.state.lock().host.stop_settling();
            driver.proceed();
            driver.wait_while(Patience::Bus, false, &|state: &State| {
                !state.all_masks().all(Masks::is_committed)
            });
        }
    }
}

/// Waits until no guest can use a queue.
///
/// That has no bound: the queue may be another driver's next. Its guest's user holds the lock of the
/// virtual machine if it takes long.
fn wait_until_out_of_reach(driver: &Arc<Driver>, apqn: Apqn) {
    let mut is_told = false;
    while !driver.wait_while(Patience::Other, false, &|state| state.is_in_reach(apqn)) {
        if !is_told {
            is_told = true;
            pr_warn!("queue {apqn} cannot be released yet: its guest does not give it back\n");
        }
    }
}

/// Resets a queue before the bus may give it to another driver, and ends its interruptions. No guest
/// has it any more.
fn release(driver: &Arc<Driver>, apqn: Apqn) {
    let start = Instant::<Monotonic>::now();
    let patience = driver.state.lock().release_patience();
    let mut reset = Reset::default();
    let result = loop {
        let progress = reset.step(apqn, &mut pqap::Machine);
        let waited = start.elapsed().as_millis();
        if progress != Progress::Pending || waited >= patience {
            break progress;
        }
        // Most resets are short.
        fsleep(Delta::from_millis(if waited < 20 { 1 } else { 20 }));
    };
    // The machine resets what comes back.
    let is_reset = matches!(result, Progress::Done | Progress::Failed(NOT_AVAILABLE));
    let is_doubtful = {
        let mut state = driver.state.lock();
        if is_reset {
            state.interruptions.release(apqn);
        } else {
            state.interruptions.end_after(apqn, &reset);
        }
        state.doubt_configuration(apqn, result)
    };
    if is_doubtful {
        driver.proceed();
    }
    if is_reset {
        return;
    }
    match result {
        Progress::Failed(code) => pr_warn!(
            "queue {apqn} released without a reset, which failed with response code {code:02x}\n"
        ),
        // Those that come in a row are told of once.
        _ if patience == Patience::Bus as i64 => {
            pr_warn!("queue {apqn} released before its reset has finished\n");
        }
        _ => {}
    }
    aqic::leave(driver, apqn);
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
