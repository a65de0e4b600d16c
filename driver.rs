// SPDX-License-Identifier: GPL-2.0

//! The state that all of the driver shares, and the step in which every event ends.
//!
//! An event (a queue is bound, the host configuration changes, a reset ends …) changes the state
//! under the lock and then calls [`Driver::proceed`]: resets go on as far as they can without
//! waiting, and every guest whose APCB is not what it has to be gets one commit. So no event needs
//! to know what another one did before it.
//!
//! Nothing here waits for hardware but [`Driver::wait_while`], which holds no lock.
//! See `Documentation/locking.rst` for the order of locks.

use kernel::{
    alloc::KVVec,
    fmt,
    impl_has_delayed_work,
    new_condvar,
    new_delayed_work,
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        CondVar,
        Mutex, //
    },
    time::{
        delay::fsleep,
        msecs_to_jiffies,
        Delta,
        Instant,
        Monotonic, //
    },
    workqueue::{
        self,
        DelayedWork,
        WorkItem, //
    }, //
};

use crate::{
    debug_feature::DebugFeature,
    debugfs::Dir,
    guest::MatrixMdev,
    interrupts::Interruptions,
    mask::Apqn,
    matrix::{
        Host,
        Limits,
        Masks,
        Matrix, //
    },
    pqap,
    queues::{
        response::NOT_AVAILABLE,
        Entry,
        Progress,
        Queues, //
    },
    vfio, //
};

/// A mediated device.
pub(crate) type Mdev = vfio::Device<MatrixMdev>;

/// Time between two looks at pending resets, in milliseconds.
const LOOK_INTERVAL: u32 = 20;

/// Looks between two calls of [`Queues::grow_old`]: a reset is overdue after one to two seconds.
const LOOKS_PER_AGE: u32 = 50;

/// For how long one waits for resets, in milliseconds.
///
/// The architecture sets no limit. What is not reset by then stays out of everybody's reach, but
/// does not hold up anybody.
#[derive(Clone, Copy)]
#[repr(i64)]
pub(crate) enum Patience {
    /// The bus: longer than a reset takes on any hardware that works.
    Bus = 1_000,
    /// A user who has asked for it.
    User = 10_000,
}

/// What [`Driver::state`] protects.
pub(crate) struct State {
    /// The host configuration and the queues.
    pub(crate) host: Host<KVVec<Entry>>,
    /// The greatest numbers that can be assigned.
    pub(crate) limits: Limits,
    /// What the machine needs for the interruptions that it may make.
    pub(crate) interruptions: Interruptions,
    mdevs: KVec<ARef<Mdev>>,
    looks: u32,
}

impl State {
    /// All mdevs.
    pub(crate) fn mdevs(&self) -> &[ARef<Mdev>] {
        &self.mdevs
    }

    /// Makes an mdev known.
    pub(crate) fn add_mdev(&mut self, mdev: ARef<Mdev>) -> Result {
        self.mdevs.push(mdev, GFP_KERNEL)?;
        Ok(())
    }

    /// Forgets an mdev.
    pub(crate) fn remove_mdev(&mut self, mdev: &Mdev) -> Option<ARef<Mdev>> {
        let i = self.mdevs.iter().position(|m| core::ptr::eq(&**m, mdev))?;
        self.mdevs.remove(i).ok()
    }

    /// The masks of the mdev that a queue is assigned to.
    pub(crate) fn owner(&self, apqn: Apqn) -> Option<&Masks> {
        self.mdevs
            .iter()
            .map(|mdev| mdev.masks(self))
            .find(|masks| masks.assigned.has_queue(apqn))
    }

    /// The first mdev from number `from` on whose guest does not have what it has to have, or is
    /// just getting it.
    fn find_unsettled(&mut self, from: usize) -> Option<(usize, ARef<Mdev>)> {
        if self.host.is_to_be_followed() {
            let mdevs = core::mem::take(&mut self.mdevs);
            for mdev in &mdevs {
                mdev.follow(self);
            }
            self.mdevs = mdevs;
            self.host.forget_changes();
        }
        let (i, mdev) = self
            .mdevs
            .iter()
            .enumerate()
            .skip(from)
            .find(|(_, mdev)| !mdev.is_settled(self))?;
        Some((i, mdev.clone()))
    }
}

/// Something that holds in some states and not in others.
///
/// A closure, without the code by which a `dyn Fn` could be called once and never again.
pub(crate) trait Condition {
    /// Whether it does.
    fn holds(&self, state: &State) -> bool;
}

impl<F: Fn(&State) -> bool> Condition for F {
    fn holds(&self, state: &State) -> bool {
        self(state)
    }
}

/// The driver.
#[pin_data]
pub(crate) struct Driver {
    /// Innermost lock. Held for a bounded time, never while waiting for anything.
    #[pin]
    pub(crate) state: Mutex<State>,
    /// Notified after each look at pending resets.
    #[pin]
    looked: CondVar,
    #[pin]
    look_again: DelayedWork<Driver>,
    /// For those who look for the reason of something.
    pub(crate) debug: DebugFeature,
    /// Where each mdev has its [`Report`](crate::report::Report).
    pub(crate) reports: Dir,
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self> for Driver { self.look_again }
}

impl WorkItem for Driver {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.grow_old();
        this.proceed();
        this.announce();
    }
}

impl Driver {
    /// A driver without any queues and mdevs.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let (config, limits) = match pqap::qci() {
            Some(info) => (info.matrix(), info.limits()),
            // Without QCI it is not known what the machine has: nothing can be passed on.
            None => (Matrix::EMPTY, Limits::WITHOUT_APXA),
        };
        let debug = DebugFeature::new()?;
        let state = State {
            host: Host::new(config, Queues::new(KVVec::new())),
            limits,
            interruptions: Interruptions::new(),
            mdevs: KVec::new(),
            looks: 0,
        };
        Arc::pin_init(
            pin_init!(Self {
                state <- new_mutex!(state, "vfio_ap::state"),
                looked <- new_condvar!("vfio_ap::looked"),
                look_again <- new_delayed_work!("vfio_ap::look_again"),
                debug,
                reports: Dir::new(c"vfio_ap"),
            }),
            GFP_KERNEL,
        )
    }

    /// The step in which every event ends.
    ///
    /// Must be called without any lock of an mdev.
    pub(crate) fn proceed(self: &Arc<Self>) {
        loop {
            self.look();
            if !self.settle() {
                return;
            }
        }
    }

    /// Takes pending resets further, and sees to it that this goes on if any remain.
    fn look(self: &Arc<Self>) {
        let busy = self.state.lock().host.queues.busy();
        if busy.is_empty() {
            return;
        }
        let mut remain = false;
        for apid in busy.iter() {
            // A reset has disabled interruptions. What they needed is dropped without the lock.
            let mut released = Interruptions::new();
            // The lock is given back after each adapter, for others to get on.
            let State {
                host,
                interruptions,
                ..
            } = &mut *self.state.lock();
            host.step(apid, &mut pqap::Machine, |apqn, progress| {
                self.report_end(apqn, progress);
                if matches!(progress, Progress::Done | Progress::Failed(NOT_AVAILABLE)) {
                    if let Some(node) = interruptions.remove_node(&apqn.to_raw()) {
                        released.insert(node);
                    }
                }
            });
            remain = !host.queues.busy().is_empty();
        }
        self.looked.notify_all();
        if remain {
            self.look_later();
        }
    }

    /// Has all done in a while that can wait, or has to.
    pub(crate) fn look_later(self: &Arc<Self>) {
        // If it is queued already, then so much the better.
        let _ =
            workqueue::system_long().enqueue_delayed(self.clone(), msecs_to_jiffies(LOOK_INTERVAL));
    }

    /// Tells userspace of commits: of several to a guest, once.
    fn announce(&self) {
        loop {
            let unannounced = {
                let state = self.state.lock();
                let mut mdevs = state.mdevs.iter();
                mdevs.find(|mdev| mdev.is_unannounced(&state)).cloned()
            };
            match unannounced {
                Some(mdev) => MatrixMdev::announce(&mdev),
                None => return,
            }
        }
    }

    /// Commits what is due to each guest, and waits for commits that others make: whether a guest
    /// has lost queues, which are to be reset then.
    fn settle(&self) -> bool {
        let mut from = 0;
        let mut lost = false;
        loop {
            let unsettled = self.state.lock().find_unsettled(from);
            let Some((i, mdev)) = unsettled else {
                return lost;
            };
            lost |= !MatrixMdev::settle(&mdev).is_empty();
            from = i + 1;
        }
    }

    /// Waits for resets: as long as they are `unfinished`, or until patience is at its end.
    ///
    /// Must be called without any lock.
    pub(crate) fn wait_while(self: &Arc<Self>, patience: Patience, unfinished: &dyn Condition) {
        let mut start = None;
        loop {
            let mut state = self.state.lock();
            if !unfinished.holds(&state) {
                return;
            }
            let start = start.get_or_insert_with(Instant::<Monotonic>::now);
            let waited = start.elapsed().as_millis();
            if waited >= patience as i64 {
                return;
            }
            // Most resets take less than the time until the next look.
            if waited < i64::from(LOOK_INTERVAL) {
                drop(state);
                fsleep(Delta::from_millis(1));
                self.proceed();
            } else {
                self.looked.wait(&mut state);
            }
        }
    }

    fn report_end(&self, apqn: Apqn, progress: Progress) {
        if let Progress::Failed(code) = progress {
            self.debug.reset_failed(apqn, code);
            pr_warn!("reset of queue {apqn} failed with response code {code:02x}: not passed on\n");
        }
    }

    fn grow_old(&self) {
        let mut state = self.state.lock();
        state.looks = state.looks.wrapping_add(1);
        if state.looks % LOOKS_PER_AGE == 0 {
            state
                .host
                .queues
                .grow_old(|apqn| pr_notice!("still waiting for reset of queue {apqn}\n"));
        }
    }
}

/// Lets kernel messages name queues.
impl fmt::Display for Apqn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}
