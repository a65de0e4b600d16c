// SPDX-License-Identifier: GPL-2.0

//! One mdev and the guest that uses it.
//!
//! Owns the attachment to a virtual machine, the commits to its APCB, and the order of things when
//! queues change hands: first nobody may get them, then the guest loses them, then they are reset.

use kernel::{
    new_mutex,
    prelude::*,
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
    uaccess::UserPtr, //
};

use crate::{
    ap_bus::{
        self,
        Reservations, //
    },
    attributes,
    debugfs::File,
    driver::{
        Driver,
        Mdev,
        Patience,
        State, //
    },
    eventfd::EventFd,
    interrupts,
    ioctl,
    kvm::{
        Hook,
        Kvm, //
    },
    matrix::{
        Change,
        Edit,
        Lost,
        Masks,
        Matrix,
        Product,
        User, //
    },
    mdev,
    module_global,
    report::{
        History,
        Report, //
    },
    sysfs,
    vfio, //
};

/// Queues named in messages about one refused request; there can be thousands.
const NAMED_QUEUES: usize = 16;

/// What the users of an mdev have set up.
#[derive(Default)]
pub(crate) struct Session {
    hook: Option<Hook<ARef<Mdev>>>,
    /// Signalled when the mdev is wanted back.
    pub(crate) request: Option<EventFd>,
    /// Signalled when the AP configuration of the guest has changed.
    pub(crate) config_changed: Option<EventFd>,
    /// As long as the mdev can be used.
    report: Option<File<Report>>,
}

/// What is protected by the lock of [`State`].
#[derive(Default)]
struct Shared {
    masks: Masks,
    /// The guest has to get this instead of what it has.
    behind: Option<Matrix>,
    /// It is just getting what its masks say already.
    committing: bool,
    /// Userspace has not been told yet.
    unannounced: bool,
    history: History,
}

/// The data of an mdev.
#[pin_data]
pub(crate) struct MatrixMdev {
    /// The driver that it belongs to.
    pub(crate) driver: Arc<Driver>,
    /// Serialises the commits to the guest and all changes of `masks`.
    #[pin]
    session: Mutex<Session>,
    shared: LockedBy<Shared, State>,
    /// Held while a page is pinned: one at a time.
    #[pin]
    pub(crate) pinning: Mutex<()>,
}

/// Proof that nobody else changes an mdev.
type SessionGuard<'a> = Guard<'a, Session, MutexBackend>;

impl MatrixMdev {
    // Not inlined: each place would have the check that it is the right lock.
    #[inline(never)]
    fn shared<'a>(&'a self, state: &'a State) -> &'a Shared {
        self.shared.access(state)
    }

    #[inline(never)]
    fn shared_mut<'a>(&'a self, state: &'a mut State) -> &'a mut Shared {
        self.shared.access_mut(state)
    }

    /// What is assigned and granted.
    pub(crate) fn masks<'a>(&'a self, state: &'a State) -> &'a Masks {
        &self.shared(state).masks
    }

    /// Takes note of what has changed at the host.
    pub(crate) fn follow(&self, state: &mut State) {
        if let Some((masks, due)) = self.masks(state).following(&state.host) {
            let shared = self.shared_mut(state);
            shared.behind = (due != masks.granted).then_some(due);
            shared.masks = masks;
        }
    }

    /// Whether the guest has all that it has to have, and nothing else.
    pub(crate) fn is_settled(&self, state: &State) -> bool {
        let shared = self.shared(state);
        shared.behind.is_none() && !shared.committing
    }

    /// What has happened.
    pub(crate) fn history<'a>(&'a self, state: &'a State) -> &'a History {
        &self.shared(state).history
    }

    /// The settings of the users.
    pub(crate) fn session(&self) -> SessionGuard<'_> {
        self.session.lock()
    }

    /// Commits what is due; returns the queues that the guest has lost by that.
    pub(crate) fn settle(mdev: &Mdev) -> Lost {
        Self::update(mdev, &mdev.session(), None)
    }

    /// Changes the masks and makes the APCB follow; returns the queues that the guest has lost.
    ///
    /// The caller has to call [`Driver::proceed`] after giving back the session.
    fn update(mdev: &Mdev, session: &SessionGuard<'_>, change: Option<Change>) -> Lost {
        let mut state = mdev.driver.state.lock();
        let shared = mdev.shared_mut(&mut state);
        let (mut masks, behind) = (shared.masks, shared.behind.take());
        let due = match &change {
            Some(change) => masks.change(change, &state.host),
            None => match masks.following(&state.host) {
                Some((following, due)) => {
                    masks = following;
                    due
                }
                None => behind.unwrap_or(masks.granted),
            },
        };
        let lost = Lost::new(masks.granted, due);
        let takes = !lost.is_empty();
        let committing = masks.granted != due;
        masks.granted = due;
        let taken = if takes {
            state.host.queues.hold(&lost)
        } else {
            0
        };
        let shared = mdev.shared_mut(&mut state);
        shared.masks = masks;
        shared.committing = committing;
        if !committing {
            return lost;
        }
        shared.history.add(&due, taken);
        drop(state);

        if let Some(hook) = &session.hook {
            if masks.user == User::Nobody {
                hook.kvm().clear_masks();
            } else {
                hook.kvm().set_masks(&due);
                if let Some(eventfd) = &session.config_changed {
                    eventfd.signal();
                }
            }
        }
        mdev.driver.debug.committed(&due);

        let mut state = mdev.driver.state.lock();
        let shared = mdev.shared_mut(&mut state);
        shared.committing = false;
        shared.unannounced = true;
        if takes {
            state.host.queues.reset_held(&lost);
        }
        drop(state);
        mdev.driver.look_later();
        lost
    }

    /// Whether userspace is to be told of commits.
    pub(crate) fn is_unannounced(&self, state: &State) -> bool {
        self.shared(state).unannounced
    }

    /// Tells userspace that the guest has got something else, unless that was done meanwhile.
    pub(crate) fn announce(mdev: &Mdev) {
        // Keeps the mdev from being removed.
        let _session = mdev.session();
        if mdev.take_unannounced() {
            mdev.announce_change(c"EVENT=guest_matrix");
        }
    }

    fn take_unannounced(&self) -> bool {
        let mut state = self.driver.state.lock();
        core::mem::take(&mut self.shared_mut(&mut state).unannounced)
    }

    /// Waits until these queues are reset, and those that a guest is about to get.
    fn wait_for_resets(&self, lost: &Lost) {
        self.driver.wait_while(Patience::User, &|state: &State| {
            let host = &state.host;
            !host.queues.busy().is_empty()
                && (host.queues.any_pending_of(lost)
                    || !host.is_scanning() && host.is_being_reset(&self.masks(state).assigned))
        });
    }

    /// Assigns another matrix, after validating what is new in it.
    ///
    /// # Errors
    ///
    /// `EADDRNOTAVAIL` if a queue is reserved for the host's drivers, `EADDRINUSE` if it is
    /// assigned to another mdev, `ENODEV` if a number is beyond what this machine can have.
    pub(crate) fn assign(mdev: &Mdev, reservations: Reservations, edit: &Edit) -> Result {
        let session = mdev.session();
        // The session keeps it as it is.
        let (old, is_possible) = {
            let state = mdev.driver.state.lock();
            (mdev.masks(&state).assigned, state.limits.allow(edit))
        };
        if !is_possible && matches!(edit, Edit::One(..)) {
            return Err(ENODEV);
        }
        let new = old.edited(edit);

        let new_queues = new.new_queues(&old);
        for queues in new_queues.iter().flatten() {
            check_not_reserved(mdev, &reservations, queues, &new)?;
        }
        {
            let state = mdev.driver.state.lock();
            for queues in new_queues.iter().flatten() {
                check_not_shared(mdev, &state, queues)?;
            }
        }
        if !is_possible {
            return Err(ENODEV);
        }
        let lost = Self::update(mdev, &session, Some(Change::Assign(new)));
        drop(session);
        drop(reservations);
        mdev.driver.proceed();
        mdev.wait_for_resets(&lost);
        Ok(())
    }

    /// Resets the queues of the guest, which keeps them.
    ///
    /// # Errors
    ///
    /// `EIO` if one of them cannot be reset, or not in time.
    pub(crate) fn reset(&self) -> Result {
        let queues = {
            let mut state = self.driver.state.lock();
            let queues = Lost::new(self.masks(&state).granted, Matrix::EMPTY);
            for (apid, row) in queues.rows() {
                state.host.queues.reset_in_place(apid, row);
            }
            queues
        };
        self.driver.proceed();
        self.wait_for_resets(&queues);
        let state = self.driver.state.lock();
        let all_reset = queues
            .rows()
            .all(|(apid, row)| row.is_subset(&state.host.queues.reset(apid)));
        if all_reset {
            Ok(())
        } else {
            Err(EIO)
        }
    }
}

/// Refuses queues, which are to be assigned among others, that are reserved for the host's own
/// drivers.
///
/// What the driver has, and no mask reserves, is not: the bus is asked about the rest only, as it
/// looks at all its queues to find one.
fn check_not_reserved(
    mdev: &Mdev,
    reservations: &Reservations,
    queues: &Product,
    assigned: &Matrix,
) -> Result {
    let masked = queues.intersect(&ap_bus::reserving_masks(reservations));
    let unsure = {
        let mut state = mdev.driver.state.lock();
        let mut masks = *mdev.masks(&state);
        let unsure = masks.unsure(queues, assigned, &state.host);
        mdev.shared_mut(&mut state).masks = masks;
        unsure
    };
    for queues in [masked, unsure].iter().flatten() {
        for apqn in queues.queues() {
            if ap_bus::is_reserved(reservations, apqn)? {
                return Err(EADDRNOTAVAIL);
            }
        }
    }
    Ok(())
}

fn check_not_shared(mdev: &Mdev, state: &State, queues: &Product) -> Result {
    for other in state.mdevs() {
        if core::ptr::eq(&**other, mdev) {
            continue;
        }
        if let Some(shared) = queues.intersect(&other.masks(state).assigned) {
            for apqn in shared.queues().take(NAMED_QUEUES) {
                dev_warn!(
                    mdev.parent(),
                    "Userspace may not assign queue {apqn} to mdev: already assigned to {}\n",
                    other.parent().name()
                );
            }
            return Err(EADDRINUSE);
        }
    }
    Ok(())
}

/// Refuses to reserve queues that are assigned to an mdev.
///
/// # Errors
///
/// `EADDRINUSE` if one is.
pub(crate) fn check_not_assigned(state: &State, queues: &Product) -> Result {
    for mdev in state.mdevs() {
        if let Some(assigned) = queues.intersect(&mdev.masks(state).assigned) {
            for apqn in assigned.queues().take(NAMED_QUEUES) {
                dev_warn!(
                    mdev.parent(),
                    "Can not reserve queue {apqn} for host driver: in use by mdev\n"
                );
            }
            return Err(EADDRINUSE);
        }
    }
    Ok(())
}

impl vfio::Driver for MatrixMdev {
    const NAME: &'static CStr = c"vfio_ap";

    fn new() -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(|| {
            let driver = module_global::get().ok_or(ENODEV)?;
            Ok(try_pin_init!(Self {
                shared: LockedBy::new(&driver.state, Shared::default()),
                pinning <- new_mutex!((), "vfio_ap::pinning"),
                driver,
                session <- new_mutex!(Session::default(), "vfio_ap::session"),
            }))
        })
    }

    fn open(mdev: &Mdev, kvm: Option<Kvm>) -> Result {
        let hook = Hook::install(kvm.ok_or(EINVAL)?, mdev.into())?;
        let mut session = mdev.session();
        session.hook = Some(hook);
        Self::update(mdev, &session, Some(Change::Open));
        drop(session);
        mdev.driver.proceed();
        mdev.wait_for_resets(&Lost::NOTHING);
        Ok(())
    }

    fn close(mdev: &Mdev) {
        let mut session = mdev.session();
        let lost = Self::update(mdev, &session, Some(Change::Close));
        let hook = session.hook.take();
        let eventfds = (session.request.take(), session.config_changed.take());
        drop(session);
        drop((hook, eventfds));
        mdev.driver.proceed();
        mdev.wait_for_resets(&lost);
        interrupts::release_all(mdev);
    }

    fn ioctl(mdev: &Mdev, cmd: u32, arg: UserPtr) -> Result<isize> {
        ioctl::execute(mdev, cmd, arg).map(|()| 0)
    }

    fn dma_unmap(mdev: &Mdev, iova: u64, length: u64) {
        interrupts::unmap(mdev, iova, length);
    }

    fn request(mdev: &Mdev, count: u32) {
        let session = mdev.session();
        Self::update(mdev, &session, Some(Change::Leave));
        if let Some(eventfd) = &session.request {
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
        drop(session);
        mdev.driver.proceed();
    }
}

impl mdev::Driver for MatrixMdev {
    const API: &'static CStr = c"vfio-ap";
    const TYPE_NAME: &'static CStr = c"passthrough";
    const PRETTY_NAME: &'static CStr = c"VFIO AP Passthrough Device";
    /// As many as there are queues.
    const MAX_INSTANCES: u32 = 65536;

    fn attributes() -> &'static sysfs::Groups<Mdev> {
        &attributes::MDEV
    }

    fn created(mdev: &ARef<Mdev>) -> Result {
        mdev.driver.state.lock().add_mdev(mdev.clone())?;
        mdev.session().report = Report::publish(&mdev.driver.reports, mdev);
        Ok(())
    }

    fn removed(mdev: &ARef<Mdev>) {
        let removed = mdev.driver.state.lock().remove_mdev(mdev);
        let report = mdev.session().report.take();
        // Nobody who has found it in the list does anything to the device from now on.
        mdev.take_unannounced();
        drop((removed, report));
    }
}
