// SPDX-License-Identifier: GPL-2.0

//! The rules for guest masks as properties. The same state gives the same masks for every order of events, and
//! a filtered queue comes back when the reason is gone.
//!
//! Random events drive a small universe (three adapters, three domains, two mdevs) through the core in the
//! steps of the kernel module. Resets of the hardware are slow. The results are compared with the
//! specification.

use proptest::prelude::*;
use std::collections::BTreeSet;
use vfio_ap_core::{
    mask::{Apid, Apqi, Apqn, Mask, IDS},
    matrix::{Change, Host, Masks, Matrix, QueueSet, Unbinding, User},
    queues::{response, Entry, Instructions, Progress, Queues},
    specification::{self, Sets},
};

const N: u8 = 3;

/// A host with queues whose resets take a number of polls.
struct World {
    host: Host<Vec<Entry>>,
    mdevs: [Masks; 2],
    hardware: Hardware,
    commits: [u32; 2],
    /// Commits take until [`Event::Commit`], because their users delay them.
    are_slow: bool,
    bound: BTreeSet<u16>,
    /// The queues that a guest could have used since their last reset.
    dirty: BTreeSet<u16>,
}

#[derive(Default)]
struct Hardware {
    looks: u32,
    resetting: std::collections::BTreeMap<u16, u32>,
    zapped: Vec<Apqn>,
}

impl Instructions for Hardware {
    fn zapq(&mut self, apqn: Apqn) -> u8 {
        if self.resetting.contains_key(&apqn.to_raw()) {
            return response::RESET_IN_PROGRESS;
        }
        self.zapped.push(apqn);
        if self.looks > 0 {
            self.resetting.insert(apqn.to_raw(), self.looks);
        }
        response::NORMAL
    }

    fn tapq(&mut self, apqn: Apqn) -> u8 {
        match self.resetting.get_mut(&apqn.to_raw()) {
            Some(looks) if *looks > 0 => {
                *looks -= 1;
                response::RESET_IN_PROGRESS
            }
            _ => {
                self.resetting.remove(&apqn.to_raw());
                response::NORMAL
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Bind(u8, u8),
    Unbind(u8, u8),
    Assign(usize, Matrix),
    /// An assignment that is refused because a queue is reserved for the host.
    Refuse(usize, Matrix),
    Attach(usize, bool),
    /// A commit begins, or the commit in progress ends.
    Commit(usize),
    Look,
}

impl World {
    fn new(looks: u32) -> Self {
        Self {
            host: Host::new(matrix(0x7, 0x7, 0x7), Queues::new(vec![Entry::NONE; IDS])),
            mdevs: [Masks::default(); 2],
            hardware: Hardware {
                looks,
                ..Default::default()
            },
            commits: [0; 2],
            are_slow: false,
            bound: BTreeSet::new(),
            dirty: BTreeSet::new(),
        }
    }

    /// Checks the reservations of all queues that the driver does not have.
    fn look_for_unbound(&self, n: usize, assigned: &Matrix) {
        let old = self.mdevs[n].assigned;
        for apqn in QueueSet::new(assigned, &old).queues() {
            let is_bound = self.host.queues.bound(apqn.apid).contains(apqn.apqi);
            assert_eq!(is_bound, self.bound.contains(&apqn.to_raw()));
        }
    }

    fn update(&mut self, n: usize, change: &Change) {
        let due = self.mdevs[n].apply(change, &self.host);
        self.settle(n, due);
    }

    /// Sets the due masks, and commits them if commits are not slow.
    fn settle(&mut self, n: usize, due: Matrix) {
        let mdev = &mut self.mdevs[n];
        let (had, has) = (queues(&mdev.granted), queues(&due));
        let lost = mdev.set_due(due);
        let taken = had.iter().filter(|apqn| !has.contains(apqn)).count();
        assert_eq!(self.host.queues.revoke(&lost) as usize, taken);
        assert_eq!(lost.is_empty(), taken == 0);
        if !self.are_slow {
            self.commit(n);
            self.commit(n);
            assert!(self.mdevs[n].is_committed());
        }
        self.check();
    }

    /// Begins a due commit, or ends the commit in progress.
    fn commit(&mut self, n: usize) {
        let mdev = &mut self.mdevs[n];
        if mdev.committing.is_some() {
            let lost = mdev.end_commit();
            self.host.queues.reset_revoked(&lost);
        } else if let Some(apcb) = mdev.begin_commit() {
            self.commits[n] += 1;
            for apqn in queues(&apcb) {
                self.dirty.insert(apqn.to_raw());
            }
        }
    }

    /// Binds a queue. The bus binds each queue once.
    fn bind(&mut self, apqn: Apqn) {
        if self.bound.insert(apqn.to_raw()) {
            self.host.queues.bind(apqn);
        }
    }

    fn unbind(&mut self, apqn: Apqn, how: Unbinding) {
        self.bound.remove(&apqn.to_raw());
        self.host.unbind(apqn, how);
        self.follow();
    }

    fn look(&mut self) {
        for apid in self.host.queues.resetting().iter() {
            let dirty = &mut self.dirty;
            self.host
                .queues
                .step(apid, &mut self.hardware, |apqn, progress, _| {
                    assert_eq!(progress, Progress::Done);
                    dirty.remove(&apqn.to_raw());
                });
        }
    }

    fn event(&mut self, event: &Event) {
        match *event {
            Event::Bind(a, q) => self.bind(apqn(a, q)),
            Event::Unbind(a, q) => {
                self.unbind(apqn(a, q), Unbinding::ByHand);
                // Unbinding waits until no guest can use the queue.
                for n in [0, 1] {
                    while self.mdevs[n].may_reach(apqn(a, q)) {
                        self.commit(n);
                    }
                }
                // The driver resets a queue before it releases the queue.
                self.dirty.remove(&apqn(a, q).to_raw());
                self.hardware.resetting.remove(&apqn(a, q).to_raw());
            }
            Event::Refuse(n, assigned) => self.look_for_unbound(n, &assigned),
            Event::Assign(n, assigned) => {
                self.look_for_unbound(n, &assigned);
                if !share(&assigned, &self.mdevs[1 - n].assigned) {
                    self.update(n, &Change::Assign(assigned));
                }
            }
            Event::Attach(n, true) => self.update(n, &Change::Open),
            Event::Attach(n, false) => self.update(n, &Change::Close),
            Event::Commit(n) => self.commit(n),
            Event::Look => {}
        }
        self.look();
        self.follow();
        self.check();
    }

    /// Updates the mdevs that the last changes affect.
    fn follow(&mut self) {
        while self.host.needs_update() {
            let decided = self.mdevs.map(|mdev| mdev.due_if_affected(&self.host));
            self.host.clear_changes();
            for (n, due) in decided.into_iter().enumerate() {
                if let Some(due) = due {
                    self.settle(n, due);
                }
            }
        }
        // The changes do not affect the other mdevs.
        for mdev in self.mdevs {
            assert_eq!(mdev.due_apcb(&self.host), mdev.due);
        }
    }

    /// Makes all pending resets overdue.
    fn age(&mut self) {
        for _ in 0..2 {
            self.host.queues.age_resets(|_| {});
        }
        self.follow();
    }

    /// Checks the rules that hold at any time.
    fn check(&self) {
        for (n, mdev) in self.mdevs.iter().enumerate() {
            let other = &self.mdevs[1 - n];
            assert!(subset(&mdev.granted, &mdev.assigned));
            let reach = |mdev: &Masks| [mdev.apcb, mdev.committing.unwrap_or_default()];
            for mine in reach(mdev) {
                assert!(!reach(other).iter().any(|others| share(&mine, others)));
            }
            assert!(queues(&mdev.granted).iter().all(|q| mdev.may_reach(*q)));
            assert!(mdev.user == User::Guest || mdev.granted == Matrix::EMPTY);
        }
        // An unbound queue that was used is not usable without a reset.
        for raw in &self.dirty {
            let apqn = Apqn::from_raw(*raw);
            if !self.mdevs.iter().any(|m| m.granted.has_queue(apqn)) {
                assert!(!self.host.queues.usable(apqn.apid).contains(apqn.apqi));
            }
        }
    }

    fn quiesce(&mut self) {
        // The ends of resets can make guests lose queues, which are then reset.
        for _ in 0..4 * (self.hardware.looks + 1) {
            for n in [0, 1, 0, 1] {
                self.event(&Event::Commit(n));
            }
            self.event(&Event::Look);
        }
        assert!(self.host.queues.resetting().is_empty());
    }
}

/// Returns true if both matrices have a queue in common.
fn share(a: &Matrix, b: &Matrix) -> bool {
    !QueueSet::new(&a.intersect(b), &Matrix::EMPTY).is_empty()
}

fn subset(a: &Matrix, b: &Matrix) -> bool {
    a.intersect(b) == *a
}

fn apqn(a: u8, q: u8) -> Apqn {
    Apqn::new(Apid(a), Apqi(q))
}

/// Returns a matrix from bits. Bit 0 is number 0.
fn matrix(apm: u8, aqm: u8, adm: u8) -> Matrix {
    fn mask<I: Copy + From<u8> + Into<u8>>(bits: u8) -> Mask<I> {
        Mask::ALL.filter(|id: I| {
            let id: u8 = id.into();
            id < N && bits >> id & 1 != 0
        })
    }
    Matrix {
        apm: mask(apm),
        aqm: mask(aqm),
        adm: mask(adm),
    }
}

fn queues(matrix: &Matrix) -> Vec<Apqn> {
    let (apm, aqm) = (matrix.apm, matrix.aqm);
    apm.iter()
        .flat_map(|a| aqm.iter().map(move |q| Apqn::new(a, q)))
        .collect()
}

fn any_matrix() -> impl Strategy<Value = Matrix> {
    (0u8..8, 0u8..8, 0u8..8).prop_map(|(a, q, d)| matrix(a, q, d))
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..N, 0..N).prop_map(|(a, q)| Event::Bind(a, q)),
        2 => (0..N, 0..N).prop_map(|(a, q)| Event::Unbind(a, q)),
        4 => (0usize..2, any_matrix()).prop_map(|(n, m)| Event::Assign(n, m)),
        1 => (0usize..2, any_matrix()).prop_map(|(n, m)| Event::Refuse(n, m)),
        2 => (0usize..2, any::<bool>()).prop_map(|(n, on)| Event::Attach(n, on)),
        3 => (0usize..2).prop_map(Event::Commit),
        1 => Just(Event::Look),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..Default::default() })]

    /// At rest, a guest has the masks of the specification, regardless of the events before.
    #[test]
    fn the_present_decides(
        events in prop::collection::vec(any_event(), 0..60),
        looks in 0u32..4,
        are_slow in any::<bool>(),
    ) {
        let mut world = World::new(looks);
        world.are_slow = are_slow;
        for event in &events {
            world.event(event);
        }
        world.quiesce();
        let usable = world.bound.iter().map(|raw| raw.to_be_bytes().into()).collect();
        for mdev in &world.mdevs {
            let (assigned, config) = ((&mdev.assigned).into(), world.host.config().into());
            let visible = Sets::from(&mdev.guest_matrix(&world.host));
            prop_assert_eq!(visible, specification::guest(&assigned, &config, &usable));
        }
        // No further change occurs, and therefore no commit.
        let commits = world.commits;
        world.quiesce();
        prop_assert_eq!(world.commits, commits);
    }

    /// All changes of a scan reach a guest in at most one commit, and the final masks are the same.
    #[test]
    fn one_commit_per_scan(
        before in (any_matrix(), any_matrix()),
        config in any_matrix(),
        keep in 0u16..512,
        looks in 0u32..4,
    ) {
        let mut world = World::new(looks);
        let all = |w: &mut World, m: &Matrix| for apqn in queues(m) {
            w.bind(apqn);
        };
        world.host.scan_ends(before.0);
        all(&mut world, &before.0);
        world.event(&Event::Assign(0, before.1));
        world.event(&Event::Attach(0, true));
        world.quiesce();
        let commits = world.commits[0];
        let granted = world.mdevs[0].granted;

        // The scan changes the configuration, removes the queues that have left it, and adds new
        // queues one by one, but not necessarily all of them.
        world.host.scan_begins(config);
        for apqn in queues(&before.0) {
            if !config.has_queue(apqn) {
                world.unbind(apqn, Unbinding::ByScan);
                world.event(&Event::Look);
            }
        }
        for (i, apqn) in queues(&config).into_iter().enumerate() {
            if keep >> (i % 9) & 1 != 0 && !before.0.has_queue(apqn) {
                world.bind(apqn);
                world.event(&Event::Look);
            }
        }
        prop_assert_eq!(world.commits[0], commits, "commits within the scan");
        world.host.scan_ends(config);
        world.quiesce();
        let changed = u32::from(world.mdevs[0].granted != granted);
        prop_assert_eq!(world.commits[0] - commits, changed);
    }

    /// A queue that is lost and stays in the host configuration leaves its guest immediately, even
    /// within a scan. The other masks of the guest do not change.
    #[test]
    fn a_lost_queue_takes_its_adapter_at_once(assigned in any_matrix(), a in 0..N, q in 0..N) {
        let mut world = World::new(1);
        let config = *world.host.config();
        for apqn in queues(&config) {
            world.bind(apqn);
        }
        world.event(&Event::Assign(0, assigned));
        world.event(&Event::Attach(0, true));
        world.quiesce();
        let had = world.mdevs[0].granted;
        world.host.scan_begins(config);
        world.event(&Event::Look);
        world.event(&Event::Unbind(a, q));
        let has = world.mdevs[0].granted;
        if had.has_queue(apqn(a, q)) {
            prop_assert_eq!(has.apm, had.apm - Mask::only(Apid(a)));
        } else {
            prop_assert_eq!(has.apm, had.apm);
        }
        prop_assert_eq!((has.aqm, has.adm), (had.aqm, had.adm));
    }

    /// Additional numbers or queues never remove an adapter, except for additional domains.
    #[test]
    fn more_gives_more(assigned in any_matrix(), config in any_matrix(), bound in 0u16..512, more in 0u16..512) {
        let mut world = World::new(0);
        let bind = |w: &mut World, set: u16| for i in 0..9 {
            let (a, q) = (i / N, i % N);
            if set >> i & 1 != 0 {
                w.event(&Event::Bind(a, q));
            }
        };
        world.host.scan_ends(config);
        bind(&mut world, bound);
        let less = world.host.permitted(&assigned);
        bind(&mut world, more);
        prop_assert!(subset(&less, &world.host.permitted(&assigned)));
        let all = matrix(7, 7, 7);
        world.host.scan_ends(Matrix { aqm: config.aqm, ..all });
        prop_assert!(subset(&less, &world.host.permitted(&assigned)));
    }
}

/// A queue whose reset never ends removes only its adapter from a guest, and not immediately.
#[test]
fn a_stuck_reset_filters_its_adapter_only() {
    let mut world = World::new(u32::MAX);
    world.event(&Event::Assign(0, matrix(3, 1, 0)));
    world.event(&Event::Attach(0, true));
    world.event(&Event::Bind(0, 0));
    world.hardware.looks = 0;
    world.event(&Event::Bind(1, 0));
    // The reset is not overdue yet, so the mask does not change.
    assert_eq!(world.mdevs[0].granted, matrix(0, 1, 0));
    let commits = world.commits[0];
    world.age();
    assert_eq!(world.mdevs[0].granted, matrix(2, 1, 0));
    assert_eq!(world.commits[0], commits + 1);
    // The reset finally ends.
    world.hardware.resetting.clear();
    world.event(&Event::Look);
    assert_eq!(world.mdevs[0].granted, matrix(3, 1, 0));
}

/// A guest keeps its queue during a reset for the guest, but not after a failed reset, even within
/// a scan.
#[test]
fn a_guest_loses_a_queue_that_cannot_be_reset() {
    struct Broken;
    impl Instructions for Broken {
        fn zapq(&mut self, _: Apqn) -> u8 {
            response::NOT_AVAILABLE
        }
        fn tapq(&mut self, _: Apqn) -> u8 {
            response::NOT_AVAILABLE
        }
    }

    let mut world = World::new(0);
    world.event(&Event::Bind(0, 0));
    world.event(&Event::Bind(1, 0));
    world.event(&Event::Assign(0, matrix(3, 1, 0)));
    world.event(&Event::Attach(0, true));
    world.host.scan_begins(*world.host.config());
    world.event(&Event::Look);
    assert_eq!(world.mdevs[0].granted, matrix(3, 1, 0));
    world
        .host
        .queues
        .reset_in_place(Apid(0), Mask::only(Apqi(0)));
    world.host.step(Apid(0), &mut Broken, |_, progress, _| {
        assert_eq!(progress, Progress::Failed(response::NOT_AVAILABLE));
    });
    world.follow();
    assert_eq!(world.mdevs[0].granted, matrix(2, 1, 0));
}

/// The counterexample from the review of the C driver: four orders, one result.
#[test]
fn every_order_of_assignment_gives_the_same() {
    let parts = [
        matrix(1, 0, 0),
        matrix(2, 0, 0),
        matrix(0, 1, 0),
        matrix(0, 2, 0),
    ];
    let mut results = BTreeSet::new();
    for order in permutations(&[0, 1, 2, 3]) {
        let mut world = World::new(0);
        for (a, q) in [(0, 0), (0, 1), (1, 0)] {
            world.event(&Event::Bind(a, q));
        }
        world.event(&Event::Attach(0, true));
        let mut assigned = Matrix::EMPTY;
        for part in order {
            assigned.apm = assigned.apm | parts[part].apm;
            assigned.aqm = assigned.aqm | parts[part].aqm;
            world.event(&Event::Assign(0, assigned));
        }
        results.insert(format!("{:?}", world.mdevs[0].granted));
        assert_eq!(world.mdevs[0].granted, matrix(1, 3, 0));
        // Filling the hole brings the filtered adapter back.
        world.event(&Event::Bind(1, 1));
        assert_eq!(world.mdevs[0].granted, matrix(3, 3, 0));
        // Unbinding the queue filters the adapter again, and unassigning the domain brings it back.
        world.event(&Event::Unbind(1, 1));
        assert_eq!(world.mdevs[0].granted, matrix(1, 3, 0));
        assigned.aqm = assigned.aqm - matrix(0, 2, 0).aqm;
        world.event(&Event::Assign(0, assigned));
        assert_eq!(world.mdevs[0].granted, matrix(3, 1, 0));
    }
    assert_eq!(results.len(), 1);
}

fn permutations(items: &[usize]) -> Vec<Vec<usize>> {
    if items.is_empty() {
        return vec![vec![]];
    }
    let mut all = vec![];
    for (i, item) in items.iter().enumerate() {
        let mut rest = items.to_vec();
        rest.remove(i);
        for mut tail in permutations(&rest) {
            tail.insert(0, *item);
            all.push(tail);
        }
    }
    all
}

#[test]
fn a_queue_without_an_entry_stays_unusable() {
    let mut queues = Queues::new(vec![Entry::NONE; 4]);
    for apqn in [apqn(3, 200), apqn(4, 200)] {
        queues.bind(apqn);
        queues.step(apqn.apid, &mut Hardware::default(), |_, _, _| {});
        let (apm, aqm) = (Mask::only(apqn.apid), Mask::only(apqn.apqi));
        let has_entry = apqn.apid == Apid(3);
        assert_eq!(queues.fully_usable(apm, aqm) == apm, has_entry);
        assert_eq!(queues.is_bound(apqn), has_entry);
    }
}
