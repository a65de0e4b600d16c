// SPDX-License-Identifier: GPL-2.0

//! A mediated device, and the guest that uses it.
//!
//! Owns the hook of a virtual machine, the commits to its APCB, and the order in which queues are taken
//! from a guest: they are revoked, a commit removes them from the APCB, and then they are reset.

use kernel::{
    fmt,
    fs,
    new_mutex,
    new_work,
    prelude::*,
    str::Formatter,
    sync::{
        aref::ARef,
        lock::{
            mutex::MutexBackend,
            Guard, //
        },
        Arc,
        LockedBy,
        Mutex, //
    },
    uaccess::UserPtr,
    workqueue::{
        self,
        Work,
        WorkItem, //
    }, //
};

use crate::{
    ap_bus::{
        self,
        kvm::Hook,
        trace,
        ApAttrGuard, //
    },
    driver::{
        attributes,
        interruptions::MdevId,
        ioctl,
        migration,
        module_global,
        pages::{
            self,
            Pins, //
            PIN_WORK,
        },
        report::{
            History,
            Report, //
        },
        wait::{
            Wait,
            DEFAULT_TIMEOUT,
            RESET_TIMEOUT, //
        },
        Mdev,
        State, //
        VfioAp,
    },
    linux::{
        debugfs::File,
        eventfd::EventFd,
        kvm::Kvm,
        mdev,
        migration::State as MigrationState,
        ratelimit,
        sysfs,
        vfio,
        work, //
    },
    matrix::{
        cause::{
            Cause,
            Text,
            Variables, //
        },
        mask::{
            Apid,
            Apqn, //
        },
        Change,
        Edit,
        Masks,
        Matrix,
        QueueSet,
        User, //
    }, //
};

/// The maximum number of queues in messages about one refused request. There can be thousands in
/// conflict.
const NAMED_QUEUES: usize = 16;

/// The eventfds of the user of an mdev.
#[derive(Default)]
pub(crate) struct EventFds {
    /// Signalled to request the mdev from the user.
    pub(crate) request: Option<EventFd>,
    /// Signalled after a change of the AP configuration of the guest.
    pub(crate) config_changed: Option<EventFd>,
}

/// The data of an mdev that the lock of [`State`] protects.
#[derive(Default)]
struct MdevState {
    masks: Masks,
    /// The slot in the index of mdevs.
    slot: usize,
    /// The masks that are due, from [`Mdev::update_due`] until [`Mdev::apply_update`].
    new_due: Option<Matrix>,
    /// The cause of the masks that are due.
    cause: Cause,
    /// The cause of a change whose effect on the masks waits for resets.
    pending_cause: Option<Cause>,
    /// The number of queues that the next commit takes from the guest.
    revoked: u32,
    /// The cause of the last change, if a uevent is due for it.
    uevent_due: Option<Cause>,
    history: History,
    pins: Pins,
}

impl MdevState {
    /// Sets the cause of masks that are due from now on.
    fn set_cause(&mut self, cause: Cause, due: &Matrix) {
        if *due != self.masks.due {
            self.cause = cause.of_masks(&self.masks.due, due);
        }
    }
}

/// The data of an mdev.
#[pin_data]
pub(crate) struct MatrixMdev {
    /// The shared object of the driver.
    pub(crate) driver: Arc<VfioAp>,
    pub(crate) id: MdevId,
    /// The hook of the virtual machine. The lock serialises commits. A commit waits for `kvm->lock`,
    /// which the user can hold, so only the user and the work of the mdev take this lock.
    #[pin]
    hook: Mutex<Option<Hook<ARef<Mdev>>>>,
    #[pin]
    eventfds: Mutex<EventFds>,
    /// The progress of a migration. Taken before `hook`.
    #[pin]
    pub(crate) migration: Mutex<migration::Progress>,
    state: LockedBy<MdevState, State>,
    /// Serialises PQAP(AQIC) of the guest.
    #[pin]
    pub(crate) aqic: Mutex<()>,
    /// The file in debugfs, until the mdev is removed.
    #[pin]
    report: Mutex<Option<File<Report>>>,
    #[pin]
    commit_work: Work<Mdev, COMMIT_WORK>,
    #[pin]
    pin_work: Work<Mdev, PIN_WORK>,
}

/// The work item of an mdev that commits masks.
const COMMIT_WORK: u64 = 1;

vfio::embed_work!(MatrixMdev, 1, commit_work);
vfio::embed_work!(MatrixMdev, 2, pin_work);

impl WorkItem<COMMIT_WORK> for Mdev {
    type Pointer = ARef<Self>;

    fn run(mdev: ARef<Self>) {
        let uevent = {
            let hook = mdev.hook.lock();
            MatrixMdev::commit(&mdev, &hook);
            mdev.take_uevent_due()
        };
        if let Some(cause) = uevent {
            send_uevent(&mdev, cause);
        }
    }
}

impl Mdev {
    /// Computes the masks that are due if changes of the host affect the mdev. [`Self::apply_update`]
    /// applies them, after they have been computed for all mdevs.
    pub(crate) fn update_due(&self, state: &mut State) {
        let mdev_state = self.mdev_state(state);
        let masks = &mdev_state.masks;
        match masks.due_if_affected(&state.host) {
            Some(due) if due != masks.due => {
                let cause = state.host.cause(masks, &due, mdev_state.pending_cause);
                let mdev_state = self.mdev_state_mut(state);
                mdev_state.set_cause(cause, &due);
                mdev_state.pending_cause = None;
                mdev_state.new_due = Some(due);
            }
            _ => {}
        }
    }

    /// Returns the slot in the index of mdevs.
    pub(crate) fn slot(&self, state: &State) -> usize {
        self.mdev_state(state).slot
    }

    /// Sets the slot in the index of mdevs.
    pub(crate) fn set_slot(&self, state: &mut State, slot: usize) {
        self.mdev_state_mut(state).slot = slot;
    }

    /// Changes the masks, and updates the index of mdevs.
    fn change_masks<R>(&self, state: &mut State, change: impl FnOnce(&mut Masks) -> R) -> R {
        let MdevState { masks, slot, .. } = self.mdev_state_mut(state);
        let (slot, old) = (*slot, masks.adapters());
        let result = change(masks);
        let new = masks.adapters();
        if new != old {
            state.index_adapters(slot, &old, &new);
        }
        result
    }

    /// Applies the result of [`Self::update_due`].
    pub(crate) fn apply_update(&self, state: &mut State) {
        if let Some(due) = self.mdev_state_mut(state).new_due.take() {
            self.apply_due(state, due);
        }
    }

    /// Sets the masks that are due, and revokes queues that the guest is to lose. Queues the work that
    /// commits. Returns the revoked queues.
    fn apply_due(&self, state: &mut State, due: Matrix) -> QueueSet {
        let masks = &mut self.mdev_state_mut(state).masks;
        let revoked = masks.set_due(due);
        let is_committed = masks.is_committed();
        let count = state.host.queues.revoke(&revoked);
        self.mdev_state_mut(state).revoked += count;
        if !is_committed {
            self.schedule_commit();
        }
        revoked
    }

    fn schedule_commit(&self) {
        // An error means that the work is queued already.
        let _ = workqueue::system_long().enqueue::<ARef<Self>, COMMIT_WORK>(self.into());
    }

    /// Records a new state of an adapter, if the guest has the adapter.
    pub(crate) fn record_adapter_state(&self, state: &mut State, apid: Apid, cause: Cause) {
        let granted = self.masks(state).granted;
        if !granted.row(apid).is_empty() {
            self.record(state, cause, &granted);
            self.schedule_commit();
        }
    }

    /// Records a change of the guest, and the masks that it has then.
    fn record(&self, state: &mut State, cause: Cause, guest: &Matrix) {
        let mdev_state = self.mdev_state_mut(state);
        mdev_state.history.add(cause, guest);
        mdev_state.uevent_due = Some(cause);
        let name = self.parent().name();
        self.driver.debug.guest_changed(name, cause, guest);
        trace::guest_changed(name, cause, guest);
        // A user can open and close a device without limit.
        if !cause.event.is_of_user() && ratelimit::admits_change() {
            let text = Text { cause, guest };
            dev_info!(self.parent(), "guest: {text}\n");
        }
    }
}

impl MatrixMdev {
    // Not inlined: `access` checks that the state is the owner, and there are twenty callers.
    #[inline(never)]
    fn mdev_state<'a>(&'a self, state: &'a State) -> &'a MdevState {
        self.state.access(state)
    }

    #[inline(never)]
    fn mdev_state_mut<'a>(&'a self, state: &'a mut State) -> &'a mut MdevState {
        self.state.access_mut(state)
    }

    /// Returns the masks.
    pub(crate) fn masks<'a>(&'a self, state: &'a State) -> &'a Masks {
        &self.mdev_state(state).masks
    }

    /// Returns the pages that do not belong to interruptions.
    pub(crate) fn pins_mut<'a>(&'a self, state: &'a mut State) -> &'a mut Pins {
        &mut self.mdev_state_mut(state).pins
    }

    /// Returns the history of commits.
    pub(crate) fn history<'a>(&'a self, state: &'a State) -> &'a History {
        &self.mdev_state(state).history
    }

    /// Locks the eventfds.
    pub(crate) fn eventfds(&self) -> Guard<'_, EventFds, MutexBackend> {
        self.eventfds.lock()
    }

    /// Applies a change to the masks. Returns the queues that are revoked by that.
    fn apply_change(mdev: &Mdev, change: &Change) -> QueueSet {
        let state = &mut *mdev.driver.state();
        let mut masks = *mdev.masks(state);
        let assigned = match change {
            Change::Assign(matrix) => *matrix,
            _ => masks.assigned,
        };
        for apid in assigned.apm.iter() {
            state.host.queues.retry_failed_in(apid, assigned.aqm);
        }
        let due = masks.apply(change, &state.host);
        let cause = Cause::of_change(change);
        let is_pending = state.host.awaits_resets(&masks.assigned);
        let mdev_state = mdev.mdev_state_mut(state);
        mdev_state.pending_cause = is_pending.then_some(cause);
        mdev_state.set_cause(cause, &due);
        mdev.change_masks(state, |it| *it = masks);
        mdev.apply_due(state, due)
    }

    /// Applies a change to the masks, and commits it. Returns the queues that are revoked by that.
    pub(crate) fn change_and_commit(mdev: &Mdev, change: &Change) -> QueueSet {
        let hook = mdev.hook.lock();
        let revoked = Self::apply_change(mdev, change);
        Self::commit(mdev, &hook);
        revoked
    }

    /// Commits the masks that are due, until none are.
    fn commit(mdev: &Mdev, hook: &Option<Hook<ARef<Mdev>>>) {
        loop {
            let (due, is_used) = {
                let state = &mut *mdev.driver.state();
                let Some(due) = mdev.change_masks(state, Masks::begin_commit) else {
                    return;
                };
                let mdev_state = mdev.mdev_state_mut(state);
                let revoked = core::mem::take(&mut mdev_state.revoked);
                mdev_state.history.count_commit(revoked);
                let cause = mdev_state.cause;
                let is_used = mdev_state.masks.user != User::Nobody;
                mdev.record(state, cause, &due);
                (due, is_used)
            };
            if let Some(hook) = hook {
                if is_used {
                    hook.kvm().set_masks(&due);
                    if let Some(eventfd) = &mdev.eventfds().config_changed {
                        eventfd.signal();
                    }
                } else {
                    hook.kvm().clear_masks();
                }
            }
            let revoked = mdev.change_masks(&mut mdev.driver.state(), Masks::end_commit);
            mdev.driver.reset_revoked(&revoked);
            if is_used {
                mdev.driver.schedule_watch();
            }
        }
    }

    fn take_uevent_due(&self) -> Option<Cause> {
        let mut state = self.driver.state();
        self.mdev_state_mut(&mut state).uevent_due.take()
    }

    /// Waits until the masks are committed, and until these queues and those that the guest is about to
    /// get are reset.
    pub(crate) fn wait_until_ready(&self, wait: &Wait, revoked: &QueueSet) {
        while !self.is_ready(revoked) && self.driver.sleep(wait) {}
    }

    fn is_ready(&self, revoked: &QueueSet) -> bool {
        let state = self.driver.state();
        let (host, masks) = (&state.host, self.masks(&state));
        masks.is_committed()
            && (host.queues.resetting().is_empty()
                || !host.queues.any_pending_in(revoked)
                    && (host.is_scanning() || !host.awaits_resets(&masks.assigned)))
    }

    /// Changes the assigned matrix, after validating the queues that are new in it.
    ///
    /// # Errors
    ///
    /// - `EADDRNOTAVAIL` if a queue is reserved for the host's drivers.
    /// - `EADDRINUSE` if a queue is assigned to another mdev.
    /// - `ENODEV` if a number is beyond the limits of the machine.
    pub(crate) fn assign(mdev: &Mdev, edit: &Edit) -> Result {
        let ap_attr = ap_bus::lock_ap_attr();
        let (old, new, is_possible) = {
            let state = mdev.driver.state();
            let old = mdev.masks(&state).assigned;
            let new = old.edited(edit);
            let numbers = match edit {
                Edit::Assign(numbers) | Edit::Unassign(numbers) => numbers,
                Edit::Replace(_) => &new,
            };
            (old, new, state.limits.allow(numbers))
        };
        // For a whole matrix, the C driver checks the limits last.
        if !is_possible && !matches!(edit, Edit::Replace(_)) {
            return Err(ENODEV);
        }
        // `ap_attr` protects the assigned matrices of all mdevs.
        let new_queues = QueueSet::new(&new, &old);
        check_not_reserved(mdev, &ap_attr, &new_queues)?;
        check_not_assigned(&mdev.driver.state(), &new_queues, Some(mdev))?;
        if !is_possible {
            return Err(ENODEV);
        }
        let revoked = Self::apply_change(mdev, &Change::Assign(new));
        drop(ap_attr);
        mdev.driver.reconcile();
        mdev.wait_until_ready(&Wait::interruptible(DEFAULT_TIMEOUT), &revoked);
        Ok(())
    }

    /// Resets the queues of the guest. The guest keeps them.
    ///
    /// # Errors
    ///
    /// `EIO` if a reset has failed, or has not ended in time.
    pub(crate) fn reset(&self) -> Result {
        let queues = {
            let mut state = self.driver.state();
            let assigned = self.masks(&state).assigned;
            let queues = QueueSet::new(&self.masks(&state).granted, &Matrix::EMPTY);
            for apid in assigned.apm.iter() {
                state.host.queues.retry_failed_in(apid, assigned.aqm);
            }
            for (apid, row) in queues.rows() {
                state.host.queues.reset_in_place(apid, row);
            }
            queues
        };
        self.driver.reconcile();
        self.wait_until_ready(&Wait::new(RESET_TIMEOUT), &queues);
        let state = self.driver.state();
        let all_reset = queues
            .rows()
            .all(|(apid, row)| row.is_subset(&state.host.queues.reset_done(apid)));
        if all_reset {
            Ok(())
        } else {
            Err(EIO)
        }
    }
}

/// Sends a uevent about a change of the guest of an mdev.
fn send_uevent(mdev: &Mdev, cause: Cause) {
    use fmt::Write;

    let mut variables = [0; 80];
    // The buffer has room for the longest variables.
    let _ = write!(
        Formatter::new(&mut variables),
        "EVENT=guest_matrix\0{}",
        Variables(cause)
    );
    mdev.send_uevent(&variables);
}

/// Checks that no queue is reserved for the host's own drivers.
///
/// A queue that is bound to this driver, and that is not in the masks, is not reserved. The bus is asked
/// about other queues only, as it searches all its queues for each answer.
///
/// # Errors
///
/// `EADDRNOTAVAIL` if a queue is reserved.
fn check_not_reserved(mdev: &Mdev, ap_attr: &ApAttrGuard, queues: &QueueSet) -> Result {
    let reserved = ap_bus::reserved_masks(ap_attr);
    for (apid, row) in queues.rows() {
        let bound = mdev.driver.state().host.queues.bound(apid);
        let doubtful = row - (bound - reserved.row(apid));
        for apqi in doubtful.iter() {
            if ap_bus::is_reserved(ap_attr, Apqn::new(apid, apqi))? {
                return Err(EADDRNOTAVAIL);
            }
        }
    }
    Ok(())
}

/// Checks that no queue is assigned to an mdev. The queues are about to be assigned to mdev `to`, or
/// to be reserved for the host's own drivers. Logs some of the queues in conflict.
///
/// # Errors
///
/// `EADDRINUSE` if a queue is assigned to an mdev other than `to`.
fn check_not_assigned(state: &State, queues: &QueueSet, to: Option<&Mdev>) -> Result {
    let mut named = 0;
    let mut result = Ok(());
    for mdev in state.mdevs(Some(queues.apm())) {
        if to.is_some_and(|to| core::ptr::eq(to, mdev)) {
            continue;
        }
        let assigned = &mdev.masks(state).assigned;
        for (apid, row) in queues.rows() {
            for apqi in (row & assigned.row(apid)).iter() {
                result = Err(EADDRINUSE);
                if named == NAMED_QUEUES {
                    return result;
                }
                named += 1;
                let apqn = Apqn::new(apid, apqi);
                match to {
                    Some(to) => dev_warn!(
                        to.parent(),
                        "Userspace may not assign queue {apqn} to mdev: already assigned to {}\n",
                        mdev.parent().name()
                    ),
                    None => dev_warn!(
                        mdev.parent(),
                        "Can not reserve queue {apqn} for host driver: in use by mdev\n"
                    ),
                }
            }
        }
    }
    result
}

/// Checks that no queue is in use, before queues are reserved for the host's own drivers.
///
/// # Errors
///
/// `EADDRINUSE` if a queue is assigned to an mdev, or if the APCB of a guest may have it.
pub(crate) fn check_not_in_use(state: &State, queues: &QueueSet) -> Result {
    check_not_assigned(state, queues, None)?;
    let mut mdevs = state.mdevs(Some(queues.apm()));
    if mdevs.any(|mdev| mdev.masks(state).may_reach_any(queues)) {
        return Err(EADDRINUSE);
    }
    Ok(())
}

impl vfio::Driver for MatrixMdev {
    const NAME: &'static CStr = c"vfio_ap";

    fn new() -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(|| {
            let driver = module_global::get().ok_or(ENODEV)?;
            let id = driver.state().new_mdev_id();
            let state = MdevState {
                history: History::new()?,
                ..MdevState::default()
            };
            Ok(try_pin_init!(Self {
                state: LockedBy::new(&driver.state, state),
                aqic <- new_mutex!((), "vfio_ap::aqic"),
                driver,
                id,
                hook <- new_mutex!(None, "vfio_ap::hook"),
                eventfds <- new_mutex!(EventFds::default(), "vfio_ap::eventfds"),
                migration <- new_mutex!(migration::Progress::default(), "vfio_ap::migration"),
                report <- new_mutex!(None, "vfio_ap::report"),
                commit_work <- new_work!("vfio_ap::commit_work"),
                pin_work <- new_work!("vfio_ap::pin_work"),
            }))
        })
    }

    fn open(mdev: &Mdev, kvm: Option<Kvm>) -> Result {
        let installed = Hook::install(kvm.ok_or(EINVAL)?, mdev.into())?;
        {
            let mut hook = mdev.hook.lock();
            *hook = Some(installed);
            Self::apply_change(mdev, &Change::Open);
            Self::commit(mdev, &hook);
        }
        mdev.driver.reconcile();
        mdev.wait_until_ready(&Wait::new(RESET_TIMEOUT), &QueueSet::NONE);
        Ok(())
    }

    fn close(mdev: &Mdev) {
        migration::close(mdev);
        let revoked = Self::apply_change(mdev, &Change::Close);
        let installed = {
            let mut hook = mdev.hook.lock();
            Self::commit(mdev, &hook);
            hook.take()
        };
        // Dropped without the lock: this waits for handlers of instructions, which may wait for locks
        // that the user holds.
        drop(installed);
        let eventfds = core::mem::take(&mut *mdev.eventfds());
        drop(eventfds);
        mdev.wait_until_ready(&Wait::new(DEFAULT_TIMEOUT), &revoked);
        pages::unpin_all(mdev);
    }

    fn ioctl(mdev: &Mdev, cmd: u32, arg: UserPtr) -> Result<isize> {
        ioctl::execute(mdev, cmd, arg).map(|()| 0)
    }

    fn dma_unmap(mdev: &Mdev, iova: u64, length: u64) {
        pages::unmap(mdev, iova, length);
    }

    fn request(mdev: &Mdev, count: u32) {
        Self::apply_change(mdev, &Change::Leave);
        mdev.driver.reconcile();
        if let Some(eventfd) = &mdev.eventfds().request {
            if count % 10 == 0 {
                dev_notice!(
                    mdev.parent(),
                    "Relaying device request to user (#{count})\n"
                );
            }
            eventfd.signal();
        } else if count == 0 {
            dev_notice!(
                mdev.parent(),
                "No device request registered, blocked until released by user\n"
            );
        }
    }

    fn set_migration_state(mdev: &Mdev, new: MigrationState) -> Result<Option<ARef<fs::File>>> {
        migration::set_state(mdev, new)
    }

    fn migration_state(mdev: &Mdev) -> MigrationState {
        migration::state(mdev)
    }

    fn migration_data_size(mdev: &Mdev) -> usize {
        migration::data_size(mdev)
    }
}

impl mdev::Driver for MatrixMdev {
    const API: &'static CStr = c"vfio-ap";
    const TYPE_NAME: &'static CStr = c"passthrough";
    const PRETTY_NAME: &'static CStr = c"VFIO AP Passthrough Device";
    /// The number of queues of the architecture.
    const MAX_INSTANCES: u32 = 65536;

    fn attributes() -> &'static sysfs::Groups<Mdev> {
        &attributes::MDEV
    }

    fn created(mdev: &ARef<Mdev>) -> Result {
        mdev.driver.add_mdev(mdev)?;
        *mdev.report.lock() = Report::publish(&mdev.driver.reports, mdev);
        Ok(())
    }

    fn removed(mdev: &ARef<Mdev>) {
        let removed = mdev.driver.state().remove_mdev(mdev);
        // The work is not queued again, as events do not find the mdev any more.
        work::cancel_sync::<_, COMMIT_WORK>(mdev);
        work::cancel_sync::<_, PIN_WORK>(mdev);
        let report = mdev.report.lock().take();
        drop((removed, report));
    }
}
