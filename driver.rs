// SPDX-License-Identifier: GPL-2.0

//! The shared state of the driver, and the function at the end of every event.
//!
//! An event (a queue is bound, the host configuration changes, a reset ends, …) changes the state under
//! its lock, and then calls [`VfioAp::reconcile`]. That function advances resets as far as possible
//! without waiting, and computes the masks that each guest is due. Events do not depend on each other.
//!
//! Commits of masks are made by the work of an mdev, or by the user of the mdev. The user can hold the
//! locks that a commit takes, so no other task commits.
//!
//! No task waits for hardware with a lock held: see [`Wait`]. `Documentation/locking.rst` has the order
//! of locks.

pub(crate) mod ap_driver;
pub(crate) mod aqic;
mod attributes;
mod interruptions;
mod ioctl;
pub(crate) mod matrix_mdev;
mod migration;
pub(crate) mod module_global;
mod pages;
mod report;
mod wait;

use kernel::{
    alloc::KVVec,
    fmt,
    impl_has_delayed_work,
    new_delayed_work,
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        lock::{
            mutex::MutexBackend,
            Guard, //
        },
        Arc,
        Mutex, //
    },
    time::{
        msecs_to_jiffies,
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
        pqap,
        trace, //
    },
    driver::{
        interruptions::{
            Interruptions,
            MdevId, //
        },
        matrix_mdev::MatrixMdev,
        wait::{
            Wait,
            BUS_TIMEOUT, //
        }, //
    },
    linux::{
        debugfs::Dir,
        mdev,
        vfio,
        work, //
    },
    matrix::{
        cause::{
            Text,
            Variables, //
        },
        mask::{
            Apid,
            Apqn,
            Mask, //
        },
        mdev_index::{
            MdevIndex,
            Slots,
            SLOTS, //
        },
        migration::{
            Malformed,
            Refusal, //
        },
        queues::{
            response::NOT_AVAILABLE,
            Entry,
            Progress,
            Queues, //
        },
        Host,
        Limits,
        Masks,
        Matrix,
        QueueSet, //
    }, //
};

/// A mediated device.
pub(crate) type Mdev = vfio::Device<MatrixMdev>;

/// Time between two polls of pending resets, in milliseconds.
const POLL_INTERVAL: u32 = 20;

/// Polls between two calls of [`Host::age_resets`]. A reset is overdue after one to two seconds.
const POLLS_PER_AGE: u32 = 50;

/// The maximum number of [`Group`]s, which is enough for [`MatrixMdev::MAX_INSTANCES`].
///
/// [`MatrixMdev::MAX_INSTANCES`]: crate::linux::mdev::Driver::MAX_INSTANCES
const MAX_GROUPS: usize = <MatrixMdev as mdev::Driver>::MAX_INSTANCES as usize / SLOTS;

/// Time between two checks, in milliseconds. A check repeats failed resets, and looks at the adapters of
/// guests.
///
/// It executes one TAPQ for each adapter of guests, because an adapter is deconfigured or in check stop
/// as a whole. The AP bus executes one for each queue of the machine every 30 seconds, and does not tell
/// drivers the result.
const WATCH_INTERVAL: u32 = 5_000;

/// The data that [`VfioAp::state`] protects.
pub(crate) struct State {
    /// The host configuration and the queues.
    pub(crate) host: Host<KVVec<Entry>>,
    /// The limits of the machine.
    pub(crate) limits: Limits,
    /// The interruptions of guests.
    pub(crate) interruptions: Interruptions,
    /// All mdevs. The capacity is [`MAX_GROUPS`].
    groups: Groups,
    /// The number of the newest mdev.
    last_mdev: MdevId,
    /// The number of polls, for [`POLLS_PER_AGE`].
    polls: u32,
    /// The task that scans the bus, from the start to the end of a scan with a changed configuration.
    scanner: Option<usize>,
    /// The start of the current series of waits for queues that leave the driver.
    release_start: Option<Instant<Monotonic>>,
    /// The host configuration that the AP bus has reported last. The bus does not report a configuration
    /// that changes, and changes back, between two scans.
    bus_config: Matrix,
    /// The result of a reset contradicts the host configuration.
    config_suspect: bool,
    /// The driver is being unloaded, and must not queue work.
    stopping: bool,
}

/// [`SLOTS`] mdevs at most, and the index of their adapters.
struct Group {
    index: MdevIndex,
    mdevs: [Option<ARef<Mdev>>; SLOTS],
}

/// All mdevs. The slots of a group follow those of the group before it.
type Groups = KVec<KBox<Group>>;

/// An iterator over mdevs. See [`State::mdevs`].
struct Mdevs<'a> {
    groups: core::slice::Iter<'a, KBox<Group>>,
    apm: Option<Mask<Apid>>,
    mdevs: &'a [Option<ARef<Mdev>>],
    slots: Slots,
}

impl<'a> Mdevs<'a> {
    fn new(groups: &'a Groups, apm: Option<Mask<Apid>>) -> Self {
        Self {
            groups: groups.iter(),
            apm,
            mdevs: &[],
            slots: Slots::default(),
        }
    }
}

impl<'a> Iterator for Mdevs<'a> {
    type Item = &'a Mdev;

    fn next(&mut self) -> Option<&'a Mdev> {
        loop {
            if let Some(slot) = self.slots.next() {
                return self.mdevs.get(slot)?.as_deref();
            }
            let group = self.groups.next()?;
            self.mdevs = &group.mdevs;
            self.slots = group.index.slots(self.apm.as_ref());
        }
    }
}

impl State {
    /// Returns the mdevs that have one of some adapters: assigned, or in the APCB of the guest. Returns
    /// all mdevs for [`None`].
    pub(crate) fn mdevs(&self, apm: Option<Mask<Apid>>) -> impl Iterator<Item = &Mdev> {
        Mdevs::new(&self.groups, apm)
    }

    /// Replaces the adapters of an mdev in the index.
    pub(crate) fn index_adapters(&mut self, slot: usize, old: &Mask<Apid>, new: &Mask<Apid>) {
        if let Some(group) = self.groups.get_mut(slot / SLOTS) {
            group.index.change(slot % SLOTS, old, new);
        }
    }

    /// Returns a number for a new mdev. It is unique.
    pub(crate) fn new_mdev_id(&mut self) -> MdevId {
        self.last_mdev += 1;
        self.last_mdev
    }

    /// Adds an mdev. Returns false if no group has a free slot.
    fn try_add_mdev(&mut self, mdev: &ARef<Mdev>) -> bool {
        for (i, group) in self.groups.iter_mut().enumerate() {
            if let Some(slot) = group.index.take_slot() {
                group.mdevs[slot] = Some(mdev.clone());
                mdev.set_slot(self, i * SLOTS + slot);
                return true;
            }
        }
        false
    }

    /// Removes an mdev. Returns the reference that the state owned.
    pub(crate) fn remove_mdev(&mut self, mdev: &Mdev) -> Option<ARef<Mdev>> {
        let slot = mdev.slot(self);
        let adapters = mdev.masks(self).adapters();
        self.index_adapters(slot, &adapters, &Mask::EMPTY);
        let group = self.groups.get_mut(slot / SLOTS)?;
        group.index.free_slot(slot % SLOTS);
        group.mdevs[slot % SLOTS].take()
    }

    /// Returns the masks of the mdev that a queue is assigned to.
    pub(crate) fn owner(&self, apqn: Apqn) -> Option<&Masks> {
        self.mdevs(Some(Mask::only(apqn.apid)))
            .map(|mdev| mdev.masks(self))
            .find(|masks| masks.assigned.has_queue(apqn))
    }

    /// Returns true if a commit is due or under way.
    pub(crate) fn any_uncommitted(&self) -> bool {
        self.mdevs(None)
            .any(|mdev| !mdev.masks(self).is_committed())
    }

    /// Returns true if a guest may get queues when resets have ended.
    pub(crate) fn any_awaits_resets(&self) -> bool {
        self.mdevs(None)
            .any(|mdev| self.host.awaits_resets(&mdev.masks(self).assigned))
    }

    /// Returns true if the APCB of a guest may have a queue.
    pub(crate) fn is_reachable(&self, apqn: Apqn) -> bool {
        self.mdevs(Some(Mask::only(apqn.apid)))
            .any(|mdev| mdev.masks(self).may_reach(apqn))
    }

    /// Computes the masks that are due for each guest that changes of the host may affect, and queues
    /// the commits.
    fn update_guests(&mut self) {
        // Revoking queues of one guest is a change that may affect another guest.
        while self.host.needs_update() {
            let concerned = (!self.host.affects_all()).then(|| *self.host.queues.changed());
            self.for_each(concerned, &Mdev::update_due);
            self.host.clear_changes();
            self.for_each(concerned, &Mdev::apply_update);
        }
    }

    /// Calls `act` for some mdevs, see [`Self::mdevs`]. `act` must not change the adapters of an mdev.
    #[inline(never)]
    fn for_each(&mut self, apm: Option<Mask<Apid>>, act: &dyn Fn(&Mdev, &mut Self)) {
        let groups = core::mem::take(&mut self.groups);
        for mdev in Mdevs::new(&groups, apm) {
            act(mdev, self);
        }
        self.groups = groups;
    }

    /// Returns true if the host configuration was queried, and is not the one that the bus has reported.
    fn is_ahead_of_bus(&self) -> bool {
        *self.host.config() != self.bus_config
    }

    /// Records the end of a reset, which shows if the machine has the queue. Returns true if that
    /// contradicts the host configuration, which [`VfioAp::reconcile`] queries then.
    pub(crate) fn check_config(&mut self, apqn: Apqn, progress: Progress) -> bool {
        let contradicts = contradicts(self.host.config(), apqn, progress);
        self.config_suspect |= contradicts;
        contradicts
    }

    /// Queries the configuration of the machine if the known one is suspect.
    fn recheck_config(&mut self) {
        if core::mem::take(&mut self.config_suspect) && !self.host.is_scanning() {
            if let Some(info) = pqap::qci() {
                self.host.set_config(info.matrix());
            }
        }
    }

    /// Returns the adapters of guests.
    fn granted_adapters(&self) -> Mask<Apid> {
        self.mdevs(None)
            .fold(Mask::EMPTY, |apm, mdev| apm | mdev.masks(self).granted.apm)
    }

    /// Executes TAPQ for an adapter. Records a new state for each guest that has the adapter.
    fn check_adapter(&mut self, apid: Apid) {
        let Some(apqi) = self.host.queues.bound(apid).iter().next() else {
            return;
        };
        let code = pqap::tapq(Apqn::new(apid, apqi)).code();
        if let Some(cause) = self.host.note_state(apid, code) {
            self.for_each(Some(Mask::only(apid)), &|mdev, state| {
                mdev.record_adapter_state(state, apid, cause);
            });
        }
    }

    /// Records that the current task begins a scan of the bus.
    pub(crate) fn scan_begins(&mut self, config: Matrix) {
        self.scanner = Some(current_task());
        self.bus_config = config;
        self.host.scan_begins(config);
    }

    /// Records that the scan is complete.
    pub(crate) fn scan_ends(&mut self, config: Matrix) {
        self.scanner = None;
        self.bus_config = config;
        self.host.scan_ends(config);
    }

    /// Returns true if the current task scans the bus.
    pub(crate) fn is_scanner(&self) -> bool {
        self.scanner == Some(current_task())
    }

    /// Returns the timeout for the reset of a queue that leaves the driver, in milliseconds.
    ///
    /// The queues that leave within a few seconds share one [`BUS_TIMEOUT`].
    pub(crate) fn release_timeout(&mut self) -> i64 {
        const ROW: i64 = 5 * BUS_TIMEOUT;

        let elapsed = |began: &Instant<Monotonic>| began.elapsed().as_millis();
        match self.release_start.as_ref().map(elapsed) {
            Some(waited) if waited < ROW => (BUS_TIMEOUT - waited).max(0),
            _ => {
                self.release_start = Some(Instant::now());
                BUS_TIMEOUT
            }
        }
    }
}

/// Returns true if the end of a reset contradicts a configuration.
fn contradicts(config: &Matrix, apqn: Apqn, progress: Progress) -> bool {
    (progress != Progress::Failed(NOT_AVAILABLE)) != config.has_queue(apqn)
}

fn current_task() -> usize {
    kernel::task::Task::current_raw().addr()
}

/// The object that all parts of the driver share.
#[pin_data]
pub(crate) struct VfioAp {
    /// The innermost lock. No task waits for anything while it holds this lock.
    #[pin]
    pub(crate) state: Mutex<State>,
    #[pin]
    poll_work: DelayedWork<VfioAp>,
    #[pin]
    watch_work: DelayedWork<VfioAp, WATCH>,
    /// The area of the debug feature.
    pub(crate) debug: DebugFeature,
    /// The directory of the [reports](crate::driver::report::Report) of mdevs.
    pub(crate) reports: Dir,
}

const WATCH: u64 = 1;

impl_has_delayed_work! {
    impl HasDelayedWork<Self> for VfioAp { self.poll_work }
    impl HasDelayedWork<Self, WATCH> for VfioAp { self.watch_work }
}

impl WorkItem for VfioAp {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.age_resets();
        this.reconcile();
        let remain = {
            let State {
                host,
                interruptions,
                ..
            } = &mut *this.state();
            // The end of a reset ends interruptions as well.
            interruptions.step(|it| it.state.is_ending() && !host.queues.is_pending(it.apqn));
            interruptions.any_ending()
        };
        if remain {
            this.schedule_poll();
        }
        this.release_unpinned();
    }
}

impl WorkItem<WATCH> for VfioAp {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let adapters = {
            let state = &mut *this.state();
            state.host.queues.retry_failed();
            state.config_suspect |= state.is_ahead_of_bus();
            state.granted_adapters()
        };
        for apid in adapters.iter() {
            // The lock is released after each adapter, so that others can take it.
            this.state().check_adapter(apid);
        }
        this.reconcile();
        if !adapters.is_empty() {
            this.schedule_watch();
        }
    }
}

impl VfioAp {
    /// Creates the object, without queues and mdevs.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is no memory.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let (config, limits) = match pqap::qci() {
            Some(info) => (info.matrix(), info.limits()),
            // Without QCI the configuration is unknown, and no queue can be passed to a guest.
            None => (Matrix::EMPTY, Limits::WITHOUT_APXA),
        };
        let debug = DebugFeature::new()?;
        // The bus has no queues beyond these limits.
        let entries = KVVec::from_elem(Entry::NONE, usize::from(limits.apid) + 1, GFP_KERNEL)?;
        let state = State {
            host: Host::new(config, Queues::new(entries)),
            limits,
            interruptions: Interruptions::new(),
            groups: KVec::with_capacity(MAX_GROUPS, GFP_KERNEL)?,
            last_mdev: 0,
            polls: 0,
            scanner: None,
            release_start: None,
            bus_config: config,
            config_suspect: false,
            stopping: false,
        };
        Arc::pin_init(
            pin_init!(Self {
                state <- new_mutex!(state, "vfio_ap::state"),
                poll_work <- new_delayed_work!("vfio_ap::poll_work"),
                watch_work <- new_delayed_work!("vfio_ap::watch_work"),
                debug,
                reports: Dir::new(c"vfio_ap"),
            }),
            GFP_KERNEL,
        )
    }

    /// Adds an mdev.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is no memory.
    pub(crate) fn add_mdev(&self, mdev: &ARef<Mdev>) -> Result {
        while !self.state().try_add_mdev(mdev) {
            // The allocation is done without the lock. Other mdevs may take all slots of the new group
            // before the next attempt.
            let group = KBox::init(
                init!(Group {
                    index: MdevIndex::NONE,
                    mdevs <- pin_init::init_array_from_fn(|_| None),
                }),
                GFP_KERNEL,
            )?;
            let full = self.state().groups.push_within_capacity(group);
            full.map_err(|_| ENOMEM)?;
        }
        Ok(())
    }

    /// Locks the state.
    // Not inlined: it has two calls, and more than forty callers.
    #[inline(never)]
    pub(crate) fn state(&self) -> Guard<'_, State, MutexBackend> {
        self.state.lock()
    }

    /// Ends all work, for unloading. There must be no queues and no mdevs any more.
    pub(crate) fn stop(self: &Arc<Self>) {
        self.state().stopping = true;
        work::cancel_delayed_sync::<_, 0>(self);
        work::cancel_delayed_sync::<_, WATCH>(self);
        self.release_unpinned();
        let left = self.state().interruptions.forget_all();
        if left != 0 {
            pr_warn!(
                "the machine may still interrupt guests by {left} queues: their memory is kept\n"
            );
        }
    }

    /// Drops the targets of interruptions that have ended after their page was unpinned.
    fn release_unpinned(&self) {
        loop {
            let unpinned = self.state().interruptions.take_released(None);
            if unpinned.is_none() {
                break;
            }
            // Dropped without the lock, as it may own the last reference to a virtual machine.
        }
    }

    /// Called when the driver is registered. The bus reports changes of the configuration from then on.
    pub(crate) fn registered(self: &Arc<Self>) {
        self.state().config_suspect = true;
        self.reconcile();
    }

    /// Advances resets, and computes the masks that are due. Every event calls this function.
    pub(crate) fn reconcile(self: &Arc<Self>) {
        // The lock is released after each adapter, so that others can take it.
        let busy = self.state().host.queues.resetting();
        for apid in busy.iter() {
            self.step(&mut self.state(), apid);
        }
        let (is_resetting, watch) = {
            let state = &mut *self.state();
            state.recheck_config();
            state.update_guests();
            let queues = &state.host.queues;
            let watch =
                queues.any_failed() || state.interruptions.any_ending() || state.is_ahead_of_bus();
            (!queues.resetting().is_empty(), watch)
        };
        if is_resetting {
            self.schedule_poll();
        }
        if watch {
            self.schedule_watch();
        }
    }

    /// Advances the pending resets of an adapter.
    pub(crate) fn step(&self, state: &mut State, apid: Apid) {
        let State {
            host,
            interruptions,
            config_suspect,
            ..
        } = state;
        let config = *host.config();
        host.step(apid, &mut pqap::Machine, |apqn, progress, is_new| {
            *config_suspect |= contradicts(&config, apqn, progress);
            trace::reset_end(apqn, progress);
            if let Progress::Failed(code) = progress {
                self.report_failure(apqn, code, is_new);
                if code != NOT_AVAILABLE {
                    interruptions.end(apqn);
                    return;
                }
            }
            interruptions.release(apqn);
        });
    }

    /// Queues the work that polls resets and interruptions.
    pub(crate) fn schedule_poll(self: &Arc<Self>) {
        self.schedule::<0>(POLL_INTERVAL);
    }

    /// Queues the work that repeats failed resets and checks the adapters of guests.
    pub(crate) fn schedule_watch(self: &Arc<Self>) {
        self.schedule::<WATCH>(WATCH_INTERVAL);
    }

    fn schedule<const ID: u64>(self: &Arc<Self>, milliseconds: u32)
    where
        Self: workqueue::HasDelayedWork<Self, ID> + WorkItem<ID, Pointer = Arc<Self>>,
    {
        if !self.is_stopping() {
            // An error means that the work is queued already.
            let _ = workqueue::system_long()
                .enqueue_delayed::<_, ID>(self.clone(), msecs_to_jiffies(milliseconds));
        }
    }

    // Not inlined: it is in each instance of `schedule`.
    #[inline(never)]
    fn is_stopping(&self) -> bool {
        self.state().stopping
    }

    /// Sleeps before the caller checks its condition again. Returns false at the end of the wait.
    ///
    /// Polls resets at the beginning of a wait, as most resets are short. Must be called without locks.
    pub(crate) fn sleep(self: &Arc<Self>, wait: &Wait) -> bool {
        let is_early = wait.is_early();
        let is_going_on = wait.sleep();
        if is_going_on && is_early {
            self.reconcile();
        }
        is_going_on
    }

    /// Waits until `is_done` returns true, or until the timeout.
    pub(crate) fn wait_until(self: &Arc<Self>, timeout: i64, is_done: fn(&State) -> bool) {
        let wait = Wait::new(timeout);
        loop {
            if is_done(&self.state()) {
                return;
            }
            if !self.sleep(&wait) {
                return;
            }
        }
    }

    /// Resets revoked queues, after the commit that has taken them from their guest.
    pub(crate) fn reset_revoked(self: &Arc<Self>, revoked: &QueueSet) {
        if !revoked.is_empty() {
            self.state().host.queues.reset_revoked(revoked);
            self.reconcile();
        }
    }

    fn report_failure(&self, apqn: Apqn, code: u8, is_new: bool) {
        if is_new {
            self.debug.reset_failed(apqn, code);
            pr_warn!("reset of queue {apqn} failed with response code {code:02x}: not passed on\n");
        }
    }

    fn age_resets(&self) {
        let mut state = self.state();
        state.polls = state.polls.wrapping_add(1);
        if state.polls % POLLS_PER_AGE == 0 {
            state
                .host
                .age_resets(|apqn| pr_notice!("still waiting for reset of queue {apqn}\n"));
        }
    }
}

/// Lets kernel messages format values of the functional core.
macro_rules! display_in_messages {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }
    )*};
}
display_in_messages!(Apqn, Malformed, Refusal, Text<'_>, Variables);
