// SPDX-License-Identifier: GPL-2.0

//! The functional core: the masks of guests.
//!
//! Owns the rule for the masks of a guest, which do not depend on the order of events:
//!
//! > guest masks = f(assigned matrix, host configuration, usable queues)
//!
//! Owns also the consequences of a change of these masks: the queues that a guest loses, and the changes
//! that wait for the end of an AP bus scan.
//!
//! The architecture gives a guest every queue in the product of its adapters and its domains. A single
//! queue can be withheld only by withholding its adapter or its domain. The driver always withholds the
//! adapter, as an adapter is a piece of hardware.
//!
//! The functional core is pure, and does not depend on the kernel. [`mask`] has the numbers and sets of
//! the architecture, [`queues`] the states and resets of queues, [`interrupts`] the states of
//! interruptions, [`cause`] the cause of a change, [`mdev_index`] an index of mdevs by adapter,
//! [`migration`] the description of a guest for another host, and [`text`] the formats of attributes.
//!
//! # Examples
//!
//! A guest gets an adapter when all queues of it are bound and reset:
//!
//! ```
//! use vfio_ap_core::{
//!     mask::{Apid, Apqi, Apqn, Mask},
//!     matrix::{Change, Host, Masks, Matrix},
//!     queues::{response, Entry, Instructions, Queues},
//! };
//!
//! /// Hardware with resets that end at once.
//! struct Hardware;
//!
//! impl Instructions for Hardware {
//!     fn zapq(&mut self, _: Apqn) -> u8 {
//!         response::NORMAL
//!     }
//!     fn tapq(&mut self, _: Apqn) -> u8 {
//!         response::NORMAL
//!     }
//! }
//!
//! let matrix = Matrix {
//!     apm: Mask::only(Apid(3)),
//!     aqm: Mask::only(Apqi(7)),
//!     adm: Mask::EMPTY,
//! };
//! let mut host = Host::new(matrix, Queues::new(vec![Entry::NONE; 4]));
//! let mut masks = Masks::default();
//! masks.apply(&Change::Assign(matrix), &host);
//! assert_eq!(masks.apply(&Change::Open, &host).apm, Mask::EMPTY);
//!
//! host.queues.bind(Apqn::new(Apid(3), Apqi(7)));
//! host.step(Apid(3), &mut Hardware, |_, _, _| {});
//! assert_eq!(masks.due_if_affected(&host), Some(matrix));
//! ```

// The paths are for `tools/vfio-ap-core`, which includes this file from another directory.
#[path = "matrix/cause.rs"]
pub mod cause;
#[path = "matrix/interrupts.rs"]
pub mod interrupts;
#[path = "matrix/mask.rs"]
pub mod mask;
#[path = "matrix/mdev_index.rs"]
pub mod mdev_index;
#[path = "matrix/migration.rs"]
pub mod migration;
#[path = "matrix/queues.rs"]
pub mod queues;
#[path = "matrix/text.rs"]
pub mod text;

use crate::{
    matrix::{
        cause::{
            Event,
            Events, //
        },
        mask::{
            Apid,
            Apqi,
            Apqn,
            Ids,
            Mask, //
        },
        queues::{
            Instructions,
            Progress,
            Queues,
            Storage, //
        }, //
    }, //
};

/// Adapters, usage domains and control domains of the host, of an mdev, or of an APCB.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Matrix {
    /// Adapters (APM).
    pub apm: Mask<Apid>,
    /// Usage domains (AQM).
    pub aqm: Mask<Apqi>,
    /// Control domains (ADM).
    pub adm: Mask<Apqi>,
}

impl Matrix {
    /// The empty matrix.
    pub const EMPTY: Self = Self {
        apm: Mask::EMPTY,
        aqm: Mask::EMPTY,
        adm: Mask::EMPTY,
    };

    /// Returns a matrix with one resource.
    pub fn only(resource: Resource, id: u8) -> Self {
        let mut matrix = Self::EMPTY;
        match resource {
            Resource::Adapter => matrix.apm.insert(Apid(id)),
            Resource::Domain => matrix.aqm.insert(Apqi(id)),
            Resource::ControlDomain => matrix.adm.insert(Apqi(id)),
        }
        matrix
    }

    /// Returns the matrix after an edit.
    pub fn edited(&self, edit: &Edit) -> Self {
        match edit {
            Edit::Assign(more) => self.union(more),
            Edit::Unassign(less) => self.minus(less),
            Edit::Replace(all) => *all,
        }
    }

    /// Returns the usage domains of an adapter. There are none if the matrix does not have the adapter.
    pub fn row(&self, apid: Apid) -> Mask<Apqi> {
        if self.apm.contains(apid) {
            self.aqm
        } else {
            Mask::EMPTY
        }
    }

    /// Returns true if a queue is in the product of adapters and usage domains.
    pub fn has_queue(&self, apqn: Apqn) -> bool {
        self.row(apqn.apid).contains(apqn.apqi)
    }

    /// Returns the union of two matrices.
    pub fn union(&self, other: &Self) -> Self {
        Self {
            apm: self.apm | other.apm,
            aqm: self.aqm | other.aqm,
            adm: self.adm | other.adm,
        }
    }

    /// Returns the intersection of two matrices.
    pub fn intersect(&self, other: &Self) -> Self {
        Self {
            apm: self.apm & other.apm,
            aqm: self.aqm & other.aqm,
            adm: self.adm & other.adm,
        }
    }

    /// Returns the resources of `self` that are not in `other`.
    pub fn minus(&self, other: &Self) -> Self {
        Self {
            apm: self.apm - other.apm,
            aqm: self.aqm - other.aqm,
            adm: self.adm - other.adm,
        }
    }
}

/// A kind of resource that can be assigned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resource {
    /// An adapter.
    Adapter,
    /// A usage domain.
    Domain,
    /// A control domain.
    ControlDomain,
}

/// An administrator's edit of the assigned matrix.
#[derive(Clone, Copy, Debug)]
pub enum Edit {
    /// Assigns these resources.
    Assign(Matrix),
    /// Unassigns these resources.
    Unassign(Matrix),
    /// Replaces the assigned matrix.
    Replace(Matrix),
}

/// The limits of the machine for numbers.
///
/// Source: PQAP(QCI) as in `struct ap_config_info` of `arch/s390/include/asm/ap.h`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The maximum APID.
    pub apid: u8,
    /// The maximum APQI, and the maximum number of a control domain.
    pub apqi: u8,
}

impl Limits {
    /// The limits without the extended addressing facility (APXA).
    pub const WITHOUT_APXA: Self = Self { apid: 63, apqi: 15 };

    /// Returns true if all numbers in a matrix are within the limits.
    pub fn allow(&self, matrix: &Matrix) -> bool {
        let domains = Mask::up_to(self.apqi);
        matrix.apm.is_subset(&Mask::up_to(self.apid))
            && matrix.aqm.is_subset(&domains)
            && matrix.adm.is_subset(&domains)
    }
}

/// The host: its configuration, and the queues that are bound to the driver.
pub struct Host<S> {
    config: Matrix,
    /// The queues that are bound to the driver.
    pub queues: Queues<S>,
    scanning: bool,
    /// The configuration has changed, or a scan or its grace period has ended, since
    /// [`Self::clear_changes`].
    reconfigured: bool,
    /// A queue that a guest may have was unbound, or its reset has failed, since then.
    queue_lost: bool,
    /// The adapters with a queue that was unbound during this scan by another task.
    pub unbound_by_hand: Mask<Apid>,
    /// The grace period after a scan: APCBs may still have resources that have left the host
    /// configuration.
    pub grace: bool,
    /// The last events of adapters.
    events: Events,
}

impl<S: Storage> Host<S> {
    /// Creates a host with a configuration.
    pub fn new(config: Matrix, queues: Queues<S>) -> Self {
        Self {
            config,
            queues,
            scanning: false,
            reconfigured: false,
            queue_lost: false,
            unbound_by_hand: Mask::EMPTY,
            grace: false,
            events: Events::NONE,
        }
    }

    /// Returns the host configuration, as PQAP(QCI) shows it.
    pub fn config(&self) -> &Matrix {
        &self.config
    }

    /// Returns true between the start and the end of a scan with a changed configuration.
    pub fn is_scanning(&self) -> bool {
        self.scanning
    }

    /// Sets the configuration, which may have changed without a scan.
    pub fn set_config(&mut self, config: Matrix) {
        self.reconfigured |= self.config != config;
        self.config = config;
    }

    /// Records the start of a scan with a changed configuration.
    pub fn scan_begins(&mut self, config: Matrix) {
        self.config = config;
        self.scanning = true;
        self.reconfigured = true;
    }

    /// Records the end of the scan, and repeats failed resets.
    ///
    /// The grace period begins. It lasts until [`Self::end_grace`].
    pub fn scan_ends(&mut self, config: Matrix) {
        self.config = config;
        self.scanning = false;
        self.grace = true;
        self.reconfigured = true;
        self.unbound_by_hand = Mask::EMPTY;
        self.queues.retry_failed();
    }

    /// Ends the grace period. The next scan may create queues of the host that have left the
    /// configuration, so APCBs must not have them any more.
    pub fn end_grace(&mut self) {
        self.reconfigured |= self.grace;
        self.grace = false;
    }

    /// Removes a queue that is no longer bound to the driver.
    pub fn unbind(&mut self, apqn: Apqn, how: Unbinding) {
        if how == Unbinding::ByHand || self.config.has_queue(apqn) {
            self.queue_lost = true;
            if !self.config.has_queue(apqn) {
                self.unbound_by_hand.insert(apqn.apid);
            }
        }
        self.queues.unbind(apqn);
    }

    /// Advances the pending resets of one adapter as far as possible without waiting.
    ///
    /// Calls `report` for each reset that has ended. See [`Queues::step`].
    pub fn step(
        &mut self,
        apid: Apid,
        ap: &mut impl Instructions,
        mut report: impl FnMut(Apqn, Progress, bool),
    ) {
        let Self {
            queues,
            queue_lost,
            events,
            ..
        } = self;
        // A reset that leaves its queue usable changes nothing for anybody.
        let usable = queues.usable(apid);
        queues.step(apid, ap, |apqn, progress, is_new| {
            // A guest may have the queue.
            let has_failed = matches!(progress, Progress::Failed(_));
            *queue_lost |= has_failed;
            if has_failed {
                events.note(Event::ResetFailed, apqn);
            } else if !usable.contains(apqn.apqi) {
                events.note(Event::Reset, apqn);
            }
            report(apqn, progress, is_new);
        });
    }

    /// Makes resets overdue that were pending at the last call. Calls `report` for each of them.
    pub fn age_resets(&mut self, mut report: impl FnMut(Apqn)) {
        let Self { queues, events, .. } = self;
        queues.age_resets(|apqn| {
            events.note(Event::ResetOverdue, apqn);
            report(apqn);
        });
    }

    /// Returns true if changes since the last call of [`Self::clear_changes`] can affect the masks that
    /// are due.
    ///
    /// During a scan, a guest loses only adapters with a queue that is missing though it is in the host
    /// configuration. Other changes have no effect before the end of the scan.
    pub fn needs_update(&self) -> bool {
        self.reconfigured || self.queue_lost || !self.scanning && !self.queues.changed().is_empty()
    }

    /// Returns true if the changes may affect every mdev.
    pub fn affects_all(&self) -> bool {
        self.reconfigured
    }

    /// Clears the changes, after the masks of all affected mdevs have been computed.
    pub fn clear_changes(&mut self) {
        self.reconfigured = false;
        self.queue_lost = false;
        self.queues.clear_changes();
    }

    /// Returns the masks that a guest may have for an assigned matrix. This is the rule of the driver.
    pub fn permitted(&self, assigned: &Matrix) -> Matrix {
        let mut matrix = assigned.intersect(&self.config);
        matrix.apm = self.queues.fully_usable(matrix.apm, matrix.aqm);
        matrix
    }

    /// Returns true if a guest with this assigned matrix may get queues when their resets have ended.
    ///
    /// Overdue resets do not count. Their queues cannot be passed to a guest before they end.
    pub fn awaits_resets(&self, assigned: &Matrix) -> bool {
        if !assigned.apm.intersects(&self.queues.resetting()) {
            return false;
        }
        let matrix = assigned.intersect(&self.config);
        (matrix.apm & self.queues.resetting())
            .iter()
            .any(|apid| self.queues.soon_usable(apid).intersects(&matrix.aqm))
    }

    /// Returns the masks that a guest retains during a scan, or while queues are being reset that it may
    /// get. It retains its masks except for resources that are not assigned any more, and for adapters
    /// with a queue that is missing though it is in the host configuration.
    ///
    /// Other changes wait. All changes of a scan reach the guest in one commit, and a guest does not lose
    /// its adapters while a queue in a new domain is being reset.
    ///
    /// Until the end of the grace period, an APCB may have resources that have left the host
    /// configuration. The machine gives a guest only resources that are in both, and the bus creates no
    /// queues of them before the next scan. A queue that another task unbinds is an exception, as it can
    /// get another driver at once.
    fn retained(&self, has: &Matrix, assigned: &Matrix) -> Matrix {
        let mut matrix = has.intersect(assigned);
        if !self.scanning && !self.grace {
            matrix = matrix.intersect(&self.config);
        }
        let there = matrix.apm & self.config.apm;
        let complete = self
            .queues
            .fully_usable(there, matrix.aqm & self.config.aqm);
        matrix.apm = matrix.apm - (there - complete) - self.unbound_by_hand;
        matrix
    }
}

/// The task that unbinds a queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unbinding {
    /// The task that scans the bus. The bus does not create the queue again before the next scan.
    ByScan,
    /// Another task. Another driver may get the queue at once.
    ByHand,
}

/// The user of an mdev.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum User {
    /// The mdev is not open.
    #[default]
    Nobody,
    /// A guest, which gets the masks that it may have.
    Guest,
    /// A guest that is stopped for a migration. Its masks are empty.
    Stopped,
    /// A guest that was asked to give the mdev back. Its masks are empty.
    Leaving,
}

/// The masks of one mdev.
///
/// Commits write the masks that are due to the APCB. The user of the guest can delay a commit. Queues
/// that a guest is to lose leave `granted` at once. Queues that it is to get enter `granted` when the
/// commit begins.
///
/// # Invariants
///
/// The guest may reach all queues of `granted`, see [`Self::may_reach`]. If no commit is due or under
/// way, `granted` is equal to `apcb`. Without a guest, both are empty.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Masks {
    /// The assigned matrix.
    pub assigned: Matrix,
    /// The masks that the guest has, without queues that are revoked.
    pub granted: Matrix,
    /// The masks that are due in the APCB.
    pub due: Matrix,
    /// The masks of the last commit, which SIE uses.
    pub apcb: Matrix,
    /// The masks of a commit that is under way.
    pub committing: Option<Matrix>,
    /// The user of the mdev.
    pub user: User,
}

/// A change of an mdev.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// An administrator sets the assigned matrix.
    Assign(Matrix),
    /// A guest opens the mdev.
    Open,
    /// The guest is asked to give the mdev back.
    Leave,
    /// The guest closes the mdev.
    Close,
    /// The guest is stopped for a migration.
    Stop,
    /// The guest runs again.
    Run,
}

impl Masks {
    /// Sets the masks that are due. Returns the queues that the guest is to lose. No other guest may get
    /// them before [`Self::end_commit`].
    pub fn set_due(&mut self, due: Matrix) -> QueueSet {
        let revoked = QueueSet::new(&self.granted, &due);
        self.granted = if due == self.apcb && self.committing.is_none() {
            due
        } else {
            self.granted.intersect(&due)
        };
        self.due = due;
        revoked
    }

    /// Begins a commit, if one is due. Returns the masks for the APCB.
    pub fn begin_commit(&mut self) -> Option<Matrix> {
        if self.committing.is_some() || self.due == self.apcb {
            return None;
        }
        self.granted = self.due;
        self.committing = Some(self.due);
        self.committing
    }

    /// Ends a commit. Returns the queues that the guest cannot reach any more.
    pub fn end_commit(&mut self) -> QueueSet {
        let Some(apcb) = self.committing.take() else {
            return QueueSet::NONE;
        };
        let revoked = QueueSet::new(&self.apcb, &apcb);
        self.apcb = apcb;
        if self.due == apcb {
            // Masks that were not granted in between have no queues: revoked queues are not usable.
            self.granted = apcb;
        }
        revoked
    }

    /// Returns true if no commit is due or under way.
    pub fn is_committed(&self) -> bool {
        self.committing.is_none() && self.due == self.apcb
    }

    /// Returns the adapters that are assigned, or in an APCB of the guest.
    pub fn adapters(&self) -> Mask<Apid> {
        let committing = self.committing.map_or(Mask::EMPTY, |to| to.apm);
        self.assigned.apm | self.apcb.apm | committing
    }

    /// Returns true if the APCB may have a queue. This is the APCB before or after a commit that is under
    /// way.
    pub fn may_reach(&self, apqn: Apqn) -> bool {
        self.apcb.has_queue(apqn) || self.committing.is_some_and(|to| to.has_queue(apqn))
    }

    /// Returns true if the APCB may have one of some queues. See [`Self::may_reach`].
    pub fn may_reach_any(&self, queues: &QueueSet) -> bool {
        let committing = self.committing.unwrap_or_default();
        queues.rows().any(|(apid, row)| {
            row.intersects(&self.apcb.row(apid)) || row.intersects(&committing.row(apid))
        })
    }

    /// Applies a change. Returns the masks that are due.
    pub fn apply<S: Storage>(&mut self, change: &Change, host: &Host<S>) -> Matrix {
        match *change {
            Change::Assign(matrix) => self.assigned = matrix,
            Change::Open => self.user = User::Guest,
            Change::Leave if self.user != User::Nobody => self.user = User::Leaving,
            Change::Stop if self.user == User::Guest => self.user = User::Stopped,
            Change::Run if self.user == User::Stopped => self.user = User::Guest,
            Change::Leave | Change::Stop | Change::Run => {}
            Change::Close => self.user = User::Nobody,
        }
        // A change takes effect at once, also during a scan.
        self.compute_apcb(host, host.awaits_resets(&self.assigned))
    }

    /// Returns the masks that are due.
    pub fn due_apcb<S: Storage>(&self, host: &Host<S>) -> Matrix {
        self.compute_apcb(host, host.scanning || host.awaits_resets(&self.assigned))
    }

    /// Returns the masks that are due, if changes of the host since the last call of
    /// [`Host::clear_changes`] affect them.
    pub fn due_if_affected<S: Storage>(&self, host: &Host<S>) -> Option<Matrix> {
        let is_concerned = host.reconfigured || self.assigned.apm.intersects(host.queues.changed());
        is_concerned.then(|| self.due_apcb(host))
    }

    /// Computes the masks that are due. If changes have to `wait`, the guest gets no new resources.
    fn compute_apcb<S: Storage>(&self, host: &Host<S>, wait: bool) -> Matrix {
        match self.user {
            User::Nobody | User::Stopped | User::Leaving => Matrix::EMPTY,
            User::Guest if wait => host.retained(&self.granted, &self.assigned),
            User::Guest => host.permitted(&self.assigned),
        }
    }

    /// Returns the masks that the guest has. Without a guest, returns the masks that a guest would have.
    pub fn guest_matrix<S: Storage>(&self, host: &Host<S>) -> Matrix {
        match self.user {
            User::Nobody => host.permitted(&self.assigned),
            User::Guest | User::Stopped | User::Leaving => self.granted,
        }
    }
}

/// The queues in the product of one matrix that are not in the product of another one.
///
/// # Invariants
///
/// The set is equal to [`Self::NONE`] if there are no such queues.
#[derive(Clone, Copy, Debug)]
pub struct QueueSet {
    of: Matrix,
    without: Matrix,
}

impl QueueSet {
    /// No queue.
    pub const NONE: Self = Self {
        of: Matrix::EMPTY,
        without: Matrix::EMPTY,
    };

    /// Creates the set of the queues of one matrix `without` those of another one.
    ///
    /// # Examples
    ///
    /// ```
    /// use vfio_ap_core::mask::{Apid, Apqi, Apqn, Mask};
    /// use vfio_ap_core::matrix::{Matrix, QueueSet};
    ///
    /// let matrix = |apid| Matrix {
    ///     apm: Mask::up_to(apid),
    ///     aqm: Mask::only(Apqi(7)),
    ///     adm: Mask::EMPTY,
    /// };
    /// let queues = QueueSet::new(&matrix(2), &matrix(1));
    /// assert!(queues.queues().eq([Apqn::new(Apid(2), Apqi(7))]));
    /// ```
    pub fn new(of: &Matrix, without: &Matrix) -> Self {
        let is_empty = of.apm.is_empty()
            || of.aqm.is_empty()
            || of.apm.is_subset(&without.apm) && of.aqm.is_subset(&without.aqm);
        // INVARIANT: The set is empty if all queues of the first product are in the second one.
        if is_empty {
            Self::NONE
        } else {
            Self {
                of: *of,
                without: *without,
            }
        }
    }

    /// Returns true if there is no queue.
    pub fn is_empty(&self) -> bool {
        self.of.apm.is_empty()
    }

    /// Returns the adapters that have some of the queues.
    pub fn apm(&self) -> Mask<Apid> {
        // If all domains are in both matrices, they differ in whole adapters.
        if self.of.aqm.is_subset(&self.without.aqm) {
            self.of.apm - self.without.apm
        } else {
            self.of.apm
        }
    }

    /// Iterates over the adapters that have some of the queues, with the domains of these queues.
    pub fn rows(&self) -> Rows {
        Rows {
            apids: self.apm().iter(),
            queues: *self,
        }
    }

    /// Iterates over the queues.
    pub fn queues(&self) -> impl Iterator<Item = Apqn> {
        self.rows()
            .flat_map(|(apid, row)| row.iter().map(move |apqi| Apqn::new(apid, apqi)))
    }
}

/// An iterator over the adapters of a [`QueueSet`].
#[derive(Clone)]
pub struct Rows {
    apids: Ids<Apid>,
    queues: QueueSet,
}

impl Iterator for Rows {
    type Item = (Apid, Mask<Apqi>);

    fn next(&mut self) -> Option<Self::Item> {
        let apid = self.apids.next()?;
        Some((apid, self.queues.of.aqm - self.queues.without.row(apid)))
    }
}
