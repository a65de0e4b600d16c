// SPDX-License-Identifier: GPL-2.0

//! The state that all of the driver shares, and the step in which every event ends.
//!
//! An event (a queue is bound, the host configuration changes, a reset ends …) changes the state under
//! the lock and then calls [`Driver::proceed`]: resets go on as far as they can without waiting, and it
//! is decided what each guest has to have. So no event needs to know what another one did before it.
//!
//! A decision is carried out by the work of the mdev that it concerns, or by its user. Nobody else does
//! anything for an mdev that may take long: its user can hold the locks that this takes.
//!
//! Nothing here waits for hardware but [`Driver::wait_while`], which holds no lock.
//! See `Documentation/locking.rst` for the order of locks.

pub(crate) mod aqic;
mod attributes;
pub(crate) mod guest;
mod ioctl;
pub(crate) mod module_global;
pub(crate) mod queue;
mod report;

use kernel::{
    alloc::KVVec,
    fmt,
    impl_has_delayed_work,
    new_delayed_work,
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
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
    ap_bus::{
        debug_feature::DebugFeature,
        pqap, //
    },
    driver::{
        aqic::{
            Interruptions,
            MdevId, //
        },
        guest::MatrixMdev, //
    },
    linux::{
        debugfs::Dir,
        vfio,
        work, //
    },
    matrix::{
        mask::{
            Apid,
            Apqn,
            Mask, //
        },
        queues::{
            response::NOT_AVAILABLE,
            Entry,
            Progress,
            Queues, //
        },
        users::Users,
        Host,
        Limits,
        Lost,
        Masks,
        Matrix, //
    }, //
};

/// A mediated device.
pub(crate) type Mdev = vfio::Device<MatrixMdev>;

/// Time between two looks at pending resets, in milliseconds.
const LOOK_INTERVAL: u32 = 20;

/// Looks between two calls of [`Queues::grow_old`]: a reset is overdue after one to two seconds.
const LOOKS_PER_AGE: u32 = 50;

/// How many mdevs there is room for when there is the first one.
const SLOTS_AT_FIRST: usize = 64;

/// Time after which resets that failed are tried again, in milliseconds.
const RETRY_INTERVAL: u32 = 5_000;

/// For how long one waits for hardware, or for the users of mdevs, in milliseconds.
///
/// The architecture sets no limit to resets. What is not reset by then stays out of everybody's reach,
/// but does not hold up anybody.
#[derive(Clone, Copy)]
#[repr(i64)]
pub(crate) enum Patience {
    /// The bus, for resets: longer than one takes on any hardware that works.
    Bus = 1_000,
    /// Everybody but a user who has asked for a reset: the bus, administrators, and users who close.
    Other = 2_000,
    /// A user who has asked for a reset.
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
    /// By slots; those without one are free.
    mdevs: KVVec<Option<ARef<Mdev>>>,
    /// Which mdevs have an adapter assigned, or in the reach of their guest.
    users: Users<KVVec<u64>>,
    last_mdev: MdevId,
    looks: u32,
    /// The task that scans the bus, from the announcement of a change to the end.
    scanner: Option<usize>,
    /// When somebody last began to wait for resets of queues that leave the driver.
    release_began: Option<Instant<Monotonic>>,
    /// The host configuration that the AP bus has told of last. The bus tells of nothing that changes
    /// and changes back between two of its scans.
    config_of_bus: Matrix,
    /// A reset has told otherwise than the configuration.
    is_configuration_doubtful: bool,
    /// No more work: the driver goes.
    stopping: bool,
}

impl State {
    /// All mdevs.
    pub(crate) fn mdevs(&self) -> impl Iterator<Item = &ARef<Mdev>> {
        self.mdevs.iter().flatten()
    }

    /// The mdevs that have to do with one of these adapters.
    pub(crate) fn mdevs_of(&self, apm: Mask<Apid>) -> impl Iterator<Item = &ARef<Mdev>> {
        let slots = self.users.of(apm);
        slots.filter_map(|slot| self.mdevs.get(slot)?.as_ref())
    }

    /// The adapters that an mdev has to do with were `old`, and are `new` from now on.
    pub(crate) fn note_use(&mut self, slot: usize, old: &Mask<Apid>, new: &Mask<Apid>) {
        self.users.change(slot, old, new);
    }

    /// A number for a new mdev. There is none 0.
    pub(crate) fn new_mdev_id(&mut self) -> MdevId {
        self.last_mdev = self.last_mdev.wrapping_add(1).max(1);
        self.last_mdev
    }

    /// Makes an mdev known. Returns false if there is no room.
    fn try_add_mdev(&mut self, mdev: &ARef<Mdev>) -> bool {
        let Some(slot) = self.mdevs.iter().position(Option::is_none) else {
            return false;
        };
        self.mdevs[slot] = Some(mdev.clone());
        mdev.set_slot(self, slot);
        true
    }

    /// Forgets an mdev.
    pub(crate) fn remove_mdev(&mut self, mdev: &Mdev) -> Option<ARef<Mdev>> {
        let is_it =
            |it: &Option<ARef<Mdev>>| it.as_ref().is_some_and(|it| core::ptr::eq(&**it, mdev));
        let slot = self.mdevs.iter().position(is_it)?;
        let adapters = mdev.masks(self).adapters();
        self.note_use(slot, &adapters, &Mask::EMPTY);
        self.mdevs[slot].take()
    }

    /// The masks of the mdev that a queue is assigned to.
    pub(crate) fn owner(&self, apqn: Apqn) -> Option<&Masks> {
        self.mdevs_of(Mask::only(apqn.apid))
            .map(|mdev| mdev.masks(self))
            .find(|masks| masks.assigned.has_queue(apqn))
    }

    /// The masks of all mdevs.
    pub(crate) fn all_masks(&self) -> impl Iterator<Item = &Masks> {
        self.mdevs().map(|mdev| mdev.masks(self))
    }

    /// Returns true if a guest may be able to use a queue.
    pub(crate) fn is_in_reach(&self, apqn: Apqn) -> bool {
        self.mdevs_of(Mask::only(apqn.apid))
            .any(|mdev| mdev.masks(self).may_reach(apqn))
    }

    /// Decides what each guest has to have, as far as that may have changed, and has the work of its
    /// mdev carry it out.
    fn decide(&mut self) {
        // Who loses queues changes what others are decided by.
        while self.host.is_to_be_followed() {
            let concerned = (!self.host.is_reconfigured()).then(|| *self.host.queues.changed());
            self.for_each(concerned, |mdev, state| mdev.follow(state));
            self.host.forget_changes();
            self.for_each(concerned, |mdev, state| {
                mdev.carry_out(state);
            });
        }
    }

    /// Does something to the mdevs that have to do with one of these adapters; with [`None`], to all.
    fn for_each(&mut self, apm: Option<Mask<Apid>>, act: impl Fn(&Mdev, &mut Self)) {
        let mdevs = core::mem::take(&mut self.mdevs);
        match apm {
            None => mdevs.iter().flatten().for_each(|mdev| act(mdev, self)),
            Some(apm) => {
                let users = core::mem::replace(&mut self.users, Users::new(KVVec::new()));
                for mdev in users.of(apm).filter_map(|slot| mdevs.get(slot)?.as_ref()) {
                    act(mdev, self);
                }
                self.users = users;
            }
        }
        self.mdevs = mdevs;
    }

    /// Returns true if the machine was asked about its configuration, and the bus knows another one.
    fn is_ahead_of_bus(&self) -> bool {
        *self.host.config() != self.config_of_bus
    }

    /// Takes note of the end of a reset: it tells whether the machine has the queue. Returns true if the
    /// host configuration says otherwise, of which [`Driver::proceed`] asks the machine.
    pub(crate) fn doubt_configuration(&mut self, apqn: Apqn, progress: Progress) -> bool {
        let contradicts = contradicts(self.host.config(), apqn, progress);
        self.is_configuration_doubtful |= contradicts;
        contradicts
    }

    /// Asks the machine about its configuration, if that is in doubt: it may have changed and changed
    /// back between two scans, of which the bus does not tell.
    fn ask_about_configuration(&mut self) {
        if core::mem::take(&mut self.is_configuration_doubtful) && !self.host.is_scanning() {
            if let Some(info) = pqap::qci() {
                self.host.reconfigure(info.matrix());
            }
        }
    }

    /// A scan of the bus begins, by the current task.
    pub(crate) fn scan_begins(&mut self, config: Matrix) {
        self.scanner = Some(current_task());
        self.config_of_bus = config;
        self.host.scan_begins(config);
    }

    /// The scan is complete.
    pub(crate) fn scan_ends(&mut self, config: Matrix) {
        self.scanner = None;
        self.config_of_bus = config;
        self.host.scan_ends(config);
    }

    /// Returns true if the current task is the one that scans the bus.
    pub(crate) fn is_scanner(&self) -> bool {
        self.scanner == Some(current_task())
    }

    /// For how long one may wait for the reset of a queue that leaves the driver, in milliseconds.
    /// All that leave in a row share one second.
    pub(crate) fn release_patience(&mut self) -> i64 {
        const ROW: i64 = 5 * Patience::Bus as i64;

        let elapsed = |began: &Instant<Monotonic>| began.elapsed().as_millis();
        match self.release_began.as_ref().map(elapsed) {
            Some(waited) if waited < ROW => (Patience::Bus as i64 - waited).max(0),
            _ => {
                self.release_began = Some(Instant::now());
                Patience::Bus as i64
            }
        }
    }
}

/// Returns true if a reset tells otherwise than `config` whether the machine has a queue.
fn contradicts(config: &Matrix, apqn: Apqn, progress: Progress) -> bool {
    (progress != Progress::Failed(NOT_AVAILABLE)) != config.has_queue(apqn)
}

fn current_task() -> usize {
    kernel::task::Task::current_raw().addr()
}

/// The driver.
#[pin_data]
pub(crate) struct Driver {
    /// Innermost lock. Held for a bounded time, never while waiting for anything.
    #[pin]
    pub(crate) state: Mutex<State>,
    #[pin]
    look_again: DelayedWork<Driver>,
    #[pin]
    retry: DelayedWork<Driver, RETRY>,
    /// For those who look for the reason of something.
    pub(crate) debug: DebugFeature,
    /// Where each mdev has its [`Report`](crate::driver::report::Report).
    pub(crate) reports: Dir,
}

const RETRY: u64 = 1;

impl_has_delayed_work! {
    impl HasDelayedWork<Self> for Driver { self.look_again }
    impl HasDelayedWork<Self, RETRY> for Driver { self.retry }
}

impl WorkItem for Driver {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.grow_old();
        this.proceed();
        let remain = {
            let State {
                host,
                interruptions,
                ..
            } = &mut *this.state.lock();
            interruptions.step(|apqn| host.queues.is_pending(apqn))
        };
        if remain {
            this.look_later();
        }
        loop {
            let unpinned = this.state.lock().interruptions.take_unpinned();
            if unpinned.is_none() {
                break;
            }
            // Dropped without the lock: it may be the last that is held of a virtual machine.
        }
    }
}

impl WorkItem<RETRY> for Driver {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        {
            let state = &mut *this.state.lock();
            state.host.queues.retry_failed();
            state.is_configuration_doubtful |= state.is_ahead_of_bus();
        }
        this.proceed();
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
            mdevs: KVVec::new(),
            users: Users::new(KVVec::new()),
            last_mdev: 0,
            looks: 0,
            scanner: None,
            release_began: None,
            config_of_bus: config,
            is_configuration_doubtful: false,
            stopping: false,
        };
        Arc::pin_init(
            pin_init!(Self {
                state <- new_mutex!(state, "vfio_ap::state"),
                look_again <- new_delayed_work!("vfio_ap::look_again"),
                retry <- new_delayed_work!("vfio_ap::retry"),
                debug,
                reports: Dir::new(c"vfio_ap"),
            }),
            GFP_KERNEL,
        )
    }

    /// Makes an mdev known.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn add_mdev(&self, mdev: &ARef<Mdev>) -> Result {
        loop {
            let slots = {
                let mut state = self.state.lock();
                if state.try_add_mdev(mdev) {
                    return Ok(());
                }
                state.mdevs.len()
            };
            // Nothing is allocated under the lock.
            let more = (2 * slots).max(SLOTS_AT_FIRST);
            let words = Users::<KVVec<u64>>::words_for(more);
            let words = KVVec::from_elem(0, words, GFP_KERNEL)?;
            let mut room = KVVec::with_capacity(more, GFP_KERNEL)?;
            let old = {
                let mut state = self.state.lock();
                if state.mdevs.len() != slots {
                    continue;
                }
                let mut taken = state.mdevs.drain_all();
                while room.push_within_capacity(taken.next().flatten()).is_ok() {}
                drop(taken);
                core::mem::swap(&mut state.mdevs, &mut room);
                state.users.grow(words)
            };
            drop((room, old));
        }
    }

    /// Makes room for a queue.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn make_room(&self, apqn: Apqn) -> Result {
        loop {
            if self.state.lock().host.queues.has_room(apqn) {
                return Ok(());
            }
            // Nothing is allocated under the lock.
            let entries = usize::from(apqn.apid.0) + 1;
            let entries = KVVec::from_elem(Entry::NONE, entries, GFP_KERNEL)?;
            let old = self.state.lock().host.queues.move_to(entries);
            drop(old);
        }
    }

    /// The driver goes: ends its work. There are no queues and no mdevs any more.
    pub(crate) fn stop(self: &Arc<Self>) {
        self.state.lock().stopping = true;
        work::cancel_delayed_sync::<_, 0>(self);
        work::cancel_delayed_sync::<_, RETRY>(self);
        let left = self.state.lock().interruptions.forget_all();
        if left != 0 {
            pr_warn!(
                "the machine may still interrupt guests by {left} queues: their memory is kept\n"
            );
        }
    }

    /// The driver is registered. The bus tells of changes of the configuration from now on, and not of
    /// those before.
    pub(crate) fn registered(self: &Arc<Self>) {
        self.state.lock().is_configuration_doubtful = true;
        self.proceed();
    }

    /// The step in which every event ends.
    pub(crate) fn proceed(self: &Arc<Self>) {
        // The lock is given back after each adapter, for others to get on.
        let busy = self.state.lock().host.queues.busy();
        for apid in busy.iter() {
            self.step(&mut self.state.lock(), apid);
        }
        let (remain, retries) = {
            let state = &mut *self.state.lock();
            state.ask_about_configuration();
            state.decide();
            let queues = &state.host.queues;
            let retries =
                queues.any_failed() || state.interruptions.any_ending() || state.is_ahead_of_bus();
            (!queues.busy().is_empty(), retries)
        };
        if remain {
            self.look_later();
        }
        if retries {
            self.retry_later();
        }
    }

    /// Takes the pending resets of an adapter further.
    pub(crate) fn step(&self, state: &mut State, apid: Apid) {
        let State {
            host,
            interruptions,
            is_configuration_doubtful,
            ..
        } = state;
        let config = *host.config();
        host.step(apid, &mut pqap::Machine, |apqn, progress, is_news| {
            *is_configuration_doubtful |= contradicts(&config, apqn, progress);
            if let Progress::Failed(code) = progress {
                self.report_failure(apqn, code, is_news);
                if code != NOT_AVAILABLE {
                    interruptions.end(apqn);
                    return;
                }
            }
            interruptions.release(apqn);
        });
    }

    /// Has all done in a while that can wait, or has to.
    pub(crate) fn look_later(self: &Arc<Self>) {
        self.later::<0>(LOOK_INTERVAL);
    }

    fn retry_later(self: &Arc<Self>) {
        self.later::<RETRY>(RETRY_INTERVAL);
    }

    fn later<const ID: u64>(self: &Arc<Self>, milliseconds: u32)
    where
        Self: workqueue::HasDelayedWork<Self, ID> + WorkItem<ID, Pointer = Arc<Self>>,
    {
        if !self.state.lock().stopping {
            // If it is queued already, then so much the better.
            let _ = workqueue::system_long()
                .enqueue_delayed::<_, ID>(self.clone(), msecs_to_jiffies(milliseconds));
        }
    }

    /// Waits as long as something is `unfinished`, or until patience is at its end; where a person
    /// waits, until there is a signal, too. Returns true if it is finished.
    ///
    /// Nobody has to wake who waits here: it looks by itself. Must be called without any lock.
    pub(crate) fn wait_while(
        self: &Arc<Self>,
        patience: Patience,
        is_interruptible: bool,
        unfinished: &dyn Fn(&State) -> bool,
    ) -> bool {
        let mut start = None;
        loop {
            if !unfinished(&self.state.lock()) {
                return true;
            }
            let start = start.get_or_insert_with(Instant::<Monotonic>::now);
            let waited = start.elapsed().as_millis();
            if waited >= patience as i64 || is_interruptible && kernel::current!().signal_pending()
            {
                return false;
            }
            // Most resets take less than the time until the next look.
            if waited < i64::from(LOOK_INTERVAL) {
                fsleep(Delta::from_millis(1));
                self.proceed();
            } else {
                fsleep(Delta::from_millis(5));
            }
        }
    }

    /// The guest cannot reach these queues any more: resets those of them that wait for that.
    pub(crate) fn reset_lost(self: &Arc<Self>, lost: &Lost) {
        if !lost.is_empty() {
            self.state.lock().host.queues.reset_held(lost);
            self.proceed();
        }
    }

    fn report_failure(&self, apqn: Apqn, code: u8, is_news: bool) {
        if is_news {
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
