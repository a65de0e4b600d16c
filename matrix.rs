// SPDX-License-Identifier: GPL-2.0

//! What a guest may have.
//!
//! Owns the rules that make guest masks a function of the present and not of history:
//!
//! > guest masks = f(assigned matrix, host configuration, usable queues)
//!
//! and what follows when they change: which queues a guest loses, and what has to wait for the end
//! of an AP bus scan.
//!
//! The architecture gives a guest every queue in the product of its adapters and its domains. So a
//! queue that it must not have can only be kept from it by taking away the whole adapter or the
//! whole domain; here it is always the adapter, which is a piece of hardware that one can point at.
//!
//! This is the face of the functional core, which is pure and depends on nothing: [`mask`] has the
//! numbers and sets of the architecture, [`queues`] the states of queues and the rules of a reset,
//! [`interrupts`] how interruptions end, [`migration`] how a guest is described to another host,
//! [`users`] which mdevs have to do with which adapter, and
//! [`text`] the formats of the attributes.

// The paths are for `tools/vfio-ap-core`, which takes this file from elsewhere.
#[path = "matrix/interrupts.rs"]
pub mod interrupts;
#[path = "matrix/mask.rs"]
pub mod mask;
#[path = "matrix/migration.rs"]
pub mod migration;
#[path = "matrix/queues.rs"]
pub mod queues;
#[path = "matrix/text.rs"]
pub mod text;
#[path = "matrix/users.rs"]
pub mod users;

use crate::{
    matrix::{
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

/// Adapters, usage domains and control domains: of the host, assigned to an mdev, or in an APCB.
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
    /// Nothing at all.
    pub const EMPTY: Self = Self {
        apm: Mask::EMPTY,
        aqm: Mask::EMPTY,
        adm: Mask::EMPTY,
    };

    /// The matrix after an administrator's change.
    pub fn edited(mut self, edit: &Edit) -> Self {
        match *edit {
            Edit::All(new) => self = new,
            Edit::One(Resource::Adapter, id, assigned) => self.apm.set(Apid(id), assigned),
            Edit::One(Resource::Domain, id, assigned) => self.aqm.set(Apqi(id), assigned),
            Edit::One(Resource::ControlDomain, id, assigned) => self.adm.set(Apqi(id), assigned),
        }
        self
    }

    /// Whether the queue is in the product of adapters and usage domains.
    pub fn has_queue(&self, apqn: Apqn) -> bool {
        self.apm.contains(apqn.apid) && self.aqm.contains(apqn.apqi)
    }

    /// What is in both.
    pub fn intersect(&self, other: &Self) -> Self {
        Self {
            apm: self.apm & other.apm,
            aqm: self.aqm & other.aqm,
            adm: self.adm & other.adm,
        }
    }

    /// What is in this one only.
    pub fn minus(&self, other: &Self) -> Self {
        Self {
            apm: self.apm - other.apm,
            aqm: self.aqm - other.aqm,
            adm: self.adm - other.adm,
        }
    }

    /// The queues that are in the product of this matrix and not in that of `old`.
    pub fn new_queues(&self, old: &Self) -> [Option<Product>; 2] {
        [
            Product::new(self.apm - old.apm, self.aqm),
            Product::new(self.apm & old.apm, self.aqm - old.aqm),
        ]
    }
}

/// What can be assigned one by one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resource {
    /// An adapter.
    Adapter,
    /// A usage domain.
    Domain,
    /// A control domain.
    ControlDomain,
}

/// How an administrator changes what is assigned.
#[derive(Clone, Copy, Debug)]
pub enum Edit {
    /// The resource with this number is assigned, or is not.
    One(Resource, u8, bool),
    /// This is what is assigned.
    All(Matrix),
}

/// All queues of some adapters with some domains; there is at least one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Product {
    /// The adapters.
    pub apm: Mask<Apid>,
    /// The domains.
    pub aqm: Mask<Apqi>,
}

impl Product {
    /// The product, if it is not empty.
    pub fn new(apm: Mask<Apid>, aqm: Mask<Apqi>) -> Option<Self> {
        (!apm.is_empty() && !aqm.is_empty()).then_some(Self { apm, aqm })
    }

    /// The queues that a matrix has as well.
    pub fn intersect(&self, matrix: &Matrix) -> Option<Self> {
        Self::new(self.apm & matrix.apm, self.aqm & matrix.aqm)
    }

    /// Each queue.
    pub fn queues(&self) -> ProductQueues {
        let mut apids = self.apm.iter();
        ProductQueues {
            apid: apids.next(),
            apids,
            apqis: self.aqm.iter(),
            aqm: self.aqm,
        }
    }
}

/// See [`Product::queues`].
pub struct ProductQueues {
    /// That of the next queue, if there is a domain left in `apqis`.
    apid: Option<Apid>,
    /// Those behind it.
    apids: Ids<Apid>,
    apqis: Ids<Apqi>,
    aqm: Mask<Apqi>,
}

impl Iterator for ProductQueues {
    type Item = Apqn;

    fn next(&mut self) -> Option<Apqn> {
        loop {
            let apid = self.apid?;
            if let Some(apqi) = self.apqis.next() {
                return Some(Apqn::new(apid, apqi));
            }
            self.apid = self.apids.next();
            self.apqis = self.aqm.iter();
        }
    }
}

/// The greatest numbers that can be assigned.
///
/// Source: PQAP(QCI) as in `struct ap_config_info` of `arch/s390/include/asm/ap.h`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The greatest APID.
    pub apid: u8,
    /// The greatest APQI, and the greatest number of a control domain.
    pub apqi: u8,
}

impl Limits {
    /// Without the extended addressing facility (APXA) there are 64 adapters and 16 domains.
    pub const WITHOUT_APXA: Self = Self { apid: 63, apqi: 15 };

    /// Whether there can be all that is to be assigned, or is to be no longer.
    pub fn allow(&self, edit: &Edit) -> bool {
        match edit {
            Edit::One(Resource::Adapter, id, _) => *id <= self.apid,
            Edit::One(Resource::Domain | Resource::ControlDomain, id, _) => *id <= self.apqi,
            Edit::All(matrix) => {
                let domains = Mask::up_to(self.apqi);
                matrix.apm.is_subset(&Mask::up_to(self.apid))
                    && matrix.aqm.is_subset(&domains)
                    && matrix.adm.is_subset(&domains)
            }
        }
    }
}

/// All that decides, except for what is assigned: the host configuration, and the queues.
pub struct Host<S> {
    config: Matrix,
    /// The queues that are bound to the driver.
    pub queues: Queues<S>,
    scanning: bool,
    /// The configuration has changed, or a scan has ended, since [`Self::forget_changes`].
    reconfigured: bool,
    /// A queue that a guest may have was lost since then.
    lost: bool,
    /// The adapters of which a queue was unbound in this scan by somebody else than the bus.
    pub withdrawn: Mask<Apid>,
    /// The end of the scan is waited for: guests keep the names of what has gone.
    pub settling: bool,
}

impl<S: Storage> Host<S> {
    /// A host with this configuration.
    pub fn new(config: Matrix, queues: Queues<S>) -> Self {
        Self {
            config,
            queues,
            scanning: false,
            reconfigured: false,
            lost: false,
            withdrawn: Mask::EMPTY,
            settling: false,
        }
    }

    /// What the host has, as PQAP(QCI) tells.
    pub fn config(&self) -> &Matrix {
        &self.config
    }

    /// Whether the AP bus has announced a change of the configuration and has not finished the scan
    /// that goes with it.
    pub fn is_scanning(&self) -> bool {
        self.scanning
    }

    /// The configuration may be another one, though the AP bus has not told.
    pub fn reconfigure(&mut self, config: Matrix) {
        self.reconfigured |= self.config != config;
        self.config = config;
    }

    /// The AP bus has found another configuration, and begins to look at the queues.
    pub fn scan_begins(&mut self, config: Matrix) {
        self.config = config;
        self.scanning = true;
        self.reconfigured = true;
    }

    /// The AP bus has looked at all queues. Those that could not be reset get another chance.
    ///
    /// Until [`Self::stop_settling`] is called, guests may wait for resets before they lose the names
    /// of what has gone.
    pub fn scan_ends(&mut self, config: Matrix) {
        self.config = config;
        self.scanning = false;
        self.settling = true;
        self.reconfigured = true;
        self.withdrawn = Mask::EMPTY;
        self.queues.retry_failed();
    }

    /// The bus does not wait any longer for the resets that follow a scan. The next scan may give to
    /// the host what has gone, so no APCB may name it then.
    pub fn stop_settling(&mut self) {
        self.reconfigured |= self.settling;
        self.settling = false;
    }

    /// A queue is no longer bound to the driver. `how` tells who has unbound it.
    pub fn unbind(&mut self, apqn: Apqn, how: Unbinding) {
        if how == Unbinding::ByHand || self.config.has_queue(apqn) {
            self.lost = true;
            if !self.config.has_queue(apqn) {
                self.withdrawn.insert(apqn.apid);
            }
        }
        self.queues.unbind(apqn);
    }

    /// Takes the pending resets of one adapter as far as possible without waiting.
    ///
    /// `report` hears of each queue whose reset has ended; see [`Queues::step`].
    pub fn step(
        &mut self,
        apid: Apid,
        ap: &mut impl Instructions,
        mut report: impl FnMut(Apqn, Progress, bool),
    ) {
        let lost = &mut self.lost;
        self.queues.step(apid, ap, |apqn, progress, is_news| {
            // It may be a guest's own.
            *lost |= matches!(progress, Progress::Failed(_));
            report(apqn, progress, is_news);
        });
    }

    /// Whether anybody has to follow what has changed since the last call of
    /// [`Self::forget_changes`].
    ///
    /// While the bus is scanned, guests lose only what the host configuration says is there and is
    /// not. All else waits for the end of the scan: it changes nothing until then, and costs less if
    /// it comes at once.
    pub fn is_to_be_followed(&self) -> bool {
        self.reconfigured || self.lost || !self.scanning && !self.queues.changed().is_empty()
    }

    /// Returns true if the last changes may concern every mdev.
    pub fn is_reconfigured(&self) -> bool {
        self.reconfigured
    }

    /// All [`Masks`] have followed the last changes.
    pub fn forget_changes(&mut self) {
        self.reconfigured = false;
        self.lost = false;
        self.queues.forget_changes();
    }

    /// What a guest may have of what is assigned to it: the one rule.
    pub fn permitted(&self, assigned: &Matrix) -> Matrix {
        let mut matrix = assigned.intersect(&self.config);
        matrix.apm = self.queues.complete(matrix.apm, matrix.aqm);
        matrix
    }

    /// Whether it will be known soon only what a guest may have: a scan is going on, or resets of
    /// queues that it may be about to get.
    ///
    /// A reset that takes too long is not waited for: until it ends, its queue is one that cannot be
    /// passed on.
    pub fn is_unsettled(&self, assigned: &Matrix) -> bool {
        self.scanning || self.is_being_reset(assigned)
    }

    /// Whether a guest may be about to get queues that are being reset.
    pub fn is_being_reset(&self, assigned: &Matrix) -> bool {
        if !assigned.apm.intersects(&self.queues.busy()) {
            return false;
        }
        let matrix = assigned.intersect(&self.config);
        (matrix.apm & self.queues.busy())
            .iter()
            .any(|apid| self.queues.soon_usable(apid).intersects(&matrix.aqm))
    }

    /// What a guest keeps while things are unsettled: what it has, except for what is no longer
    /// assigned and for the adapters of queues that are gone though the host still has them.
    ///
    /// All else waits, so that all changes of a scan reach the guest in one commit, and so that it
    /// does not lose its adapters while a queue in a new domain is being reset. An APCB may name what
    /// the host configuration no longer has until the end of the scan: the machine gives a guest only
    /// what is in both, and the bus makes no queue of it before the next scan. A queue that somebody
    /// else than the bus unbinds is an exception, as it can have another driver at once.
    fn kept(&self, has: &Matrix, assigned: &Matrix) -> Matrix {
        let mut matrix = has.intersect(assigned);
        if !self.scanning && !self.settling {
            matrix = matrix.intersect(&self.config);
        }
        let there = matrix.apm & self.config.apm;
        let complete = self.queues.complete(there, matrix.aqm & self.config.aqm);
        matrix.apm = matrix.apm - (there - complete) - self.withdrawn;
        matrix
    }
}

/// Who unbinds a queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unbinding {
    /// The task that scans the bus: no queue is made of it before the next scan.
    ByScan,
    /// Anybody else: another driver may have the queue at once.
    ByHand,
}

/// Who uses an mdev.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum User {
    /// Nobody.
    #[default]
    Nobody,
    /// A guest that is to have what it may have.
    Guest,
    /// A guest that has been asked to give the mdev back, and has nothing until it does.
    Leaving,
}

/// The masks of one mdev.
///
/// The APCB follows what it has to be by commits, each of which takes as long as the user of the
/// guest likes. What a guest is to lose is not granted any more at once; what it is to get is granted
/// when the commit begins that gives it.
///
/// # Invariants
///
/// The queues of `granted` are among those that the guest may reach ([`Self::may_reach`]). Without a
/// commit that is due or under way, `granted` is `apcb`, which is empty as long as there is no guest.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Masks {
    /// What the administrator has assigned.
    pub assigned: Matrix,
    /// What the guest has and keeps.
    pub granted: Matrix,
    /// What the APCB of the guest has to be.
    pub due: Matrix,
    /// What the last commit has put into the APCB of the guest, for SIE to see.
    pub apcb: Matrix,
    /// What a commit that is under way puts there.
    pub committing: Option<Matrix>,
    /// Who uses the mdev.
    pub user: User,
}

/// What somebody does to an mdev.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// The administrator assigns all this.
    Assign(Matrix),
    /// A guest opens it.
    Open,
    /// The guest is asked to give it back.
    Leave,
    /// The guest closes it.
    Close,
}

impl Masks {
    /// Decides what the APCB has to be. Returns the queues that the guest is to lose by that, which
    /// nobody may get until the end of the commit ([`Self::end_commit`]).
    pub fn decide(&mut self, due: Matrix) -> Lost {
        let lost = Lost::new(self.granted, due);
        self.granted = if due == self.apcb && self.committing.is_none() {
            due
        } else {
            self.granted.intersect(&due)
        };
        self.due = due;
        lost
    }

    /// Begins a commit, if one is due. Returns what to put into the APCB.
    pub fn begin_commit(&mut self) -> Option<Matrix> {
        if self.committing.is_some() || self.due == self.apcb {
            return None;
        }
        self.granted = self.due;
        self.committing = Some(self.due);
        self.committing
    }

    /// The commit is over. Returns the queues that the guest cannot reach any more.
    pub fn end_commit(&mut self) -> Lost {
        let Some(apcb) = self.committing.take() else {
            return Lost::NOTHING;
        };
        let lost = Lost::new(self.apcb, apcb);
        self.apcb = apcb;
        if self.due == apcb {
            // What was not granted any more, and is again, has no queues: those would be held.
            self.granted = apcb;
        }
        lost
    }

    /// Returns true if the APCB is what it has to be.
    pub fn is_committed(&self) -> bool {
        self.committing.is_none() && self.due == self.apcb
    }

    /// The adapters that the mdev has to do with: assigned, or in the reach of its guest.
    pub fn adapters(&self) -> Mask<Apid> {
        let committing = self.committing.map_or(Mask::EMPTY, |to| to.apm);
        self.assigned.apm | self.apcb.apm | committing
    }

    /// Returns true if an APCB may name the queue: that before the commit which is under way, or that
    /// after it.
    pub fn may_reach(&self, apqn: Apqn) -> bool {
        self.apcb.has_queue(apqn) || self.committing.is_some_and(|to| to.has_queue(apqn))
    }

    /// Returns true if an APCB may name a queue of `queues`; see [`Self::may_reach`].
    pub fn may_reach_any(&self, queues: &Product) -> bool {
        queues.intersect(&self.apcb).is_some()
            || self
                .committing
                .is_some_and(|to| queues.intersect(&to).is_some())
    }

    /// Takes a change to account; returns what the APCB of the guest has to be now.
    pub fn change<S: Storage>(&mut self, change: &Change, host: &Host<S>) -> Matrix {
        match *change {
            Change::Assign(matrix) => self.assigned = matrix,
            Change::Open => self.user = User::Guest,
            Change::Leave if self.user == User::Guest => self.user = User::Leaving,
            Change::Leave => {}
            Change::Close => self.user = User::Nobody,
        }
        // An open or an assignment takes effect at once, also within a scan.
        self.apcb_for(host, host.is_being_reset(&self.assigned))
    }

    /// Returns what the APCB of the guest has to be by what is so now.
    pub fn reconsider<S: Storage>(&self, host: &Host<S>) -> Matrix {
        self.apcb_for(host, host.is_unsettled(&self.assigned))
    }

    /// Returns what the APCB of the guest has to be now, if what has changed at the host since the last
    /// call of [`Host::forget_changes`] concerns it.
    pub fn following<S: Storage>(&self, host: &Host<S>) -> Option<Matrix> {
        let is_concerned = host.reconfigured || self.assigned.apm.intersects(host.queues.changed());
        is_concerned.then(|| self.reconsider(host))
    }

    /// What the APCB of the guest has to be. As long as things are `unsettled`, the guest gets nothing
    /// new.
    fn apcb_for<S: Storage>(&self, host: &Host<S>, unsettled: bool) -> Matrix {
        match self.user {
            User::Nobody | User::Leaving => Matrix::EMPTY,
            User::Guest if unsettled => host.kept(&self.granted, &self.assigned),
            User::Guest => host.permitted(&self.assigned),
        }
    }

    /// What the guest has, or what a guest would have if there were one.
    pub fn visible<S: Storage>(&self, host: &Host<S>) -> Matrix {
        match self.user {
            User::Nobody => host.permitted(&self.assigned),
            User::Guest | User::Leaving => self.granted,
        }
    }
}

/// The queues that a guest loses by a change of its APCB.
///
/// # Invariants
///
/// It is [`Self::NOTHING`] if there are none.
#[derive(Clone, Copy, Debug)]
pub struct Lost {
    before: Matrix,
    after: Matrix,
}

impl Lost {
    /// No queue.
    pub const NOTHING: Self = Self {
        before: Matrix::EMPTY,
        after: Matrix::EMPTY,
    };

    /// By a change from `before` to `after`.
    pub fn new(before: Matrix, after: Matrix) -> Self {
        let nothing = before.apm.is_empty()
            || before.aqm.is_empty()
            || before.apm.is_subset(&after.apm) && before.aqm.is_subset(&after.aqm);
        // INVARIANT: Every queue of the product before is in that after it, or one is not.
        if nothing {
            Self::NOTHING
        } else {
            Self { before, after }
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.before.apm.is_empty()
    }

    /// For each adapter that loses queues, their domains.
    pub fn rows(&self) -> Rows {
        // Where no domain is lost, adapters are lost as a whole.
        let concerned = if self.before.aqm.is_subset(&self.after.aqm) {
            self.before.apm - self.after.apm
        } else {
            self.before.apm
        };
        Rows {
            apids: concerned.iter(),
            lost: *self,
        }
    }
}

/// See [`Lost::rows`].
#[derive(Clone)]
pub struct Rows {
    apids: Ids<Apid>,
    lost: Lost,
}

impl Iterator for Rows {
    type Item = (Apid, Mask<Apqi>);

    fn next(&mut self) -> Option<Self::Item> {
        let Lost { before, after } = &self.lost;
        for apid in &mut self.apids {
            let kept = if after.apm.contains(apid) {
                after.aqm
            } else {
                Mask::EMPTY
            };
            let row = before.aqm - kept;
            if !row.is_empty() {
                return Some((apid, row));
            }
        }
        None
    }
}
