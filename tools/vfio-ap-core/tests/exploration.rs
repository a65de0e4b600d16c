// SPDX-License-Identifier: GPL-2.0

//! Exhaustive exploration of small universes: every event in every reachable state. The rules are checked in
//! each state and for each transition, and hold for every order and number of events.
//!
//! An event is handled in the steps of the module (`VfioAp::reconcile()`). The hardware ends resets at any time,
//! with any result. Each universe lists its events and is small.

use std::collections::{HashMap, HashSet};
use vfio_ap_core::{
    mask::{Apid, Apqi, Apqn, Mask, IDS},
    matrix::{Change, Host, Masks, Matrix, Unbinding, User},
    queues::{response, Entry, Instructions, Progress, Queues},
    specification::{self, Sets},
};

/// The number of adapters, of domains and of control domains, if there are any.
const N: u8 = 2;

/// A set of adapters (bits 0 and 1), domains (2 and 3), and the control domain 0 (4).
type Bits = u8;
/// A set of queues: bit 2 a + d is domain d of adapter a.
type Row = u8;

/// The possible events in a universe.
struct Universe {
    mdevs: usize,
    /// The parts of a matrix that can be assigned.
    assignable: Bits,
    /// The parts of the host configuration that scans can add and remove.
    configurable: Bits,
    /// Resets may fail.
    failing: bool,
    /// Resets may exceed the time limits of waits.
    slow: bool,
    /// The users of guests may be asked to release their mdevs.
    leaving: bool,
    /// The expected numbers of states and transitions.
    expected: (usize, usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Bind(u8),
    Unbind(u8),
    /// Assigns or unassigns domains and adapters, one of them or, as `ap_config` does, several.
    Assign(usize, Bits),
    Use(usize, User),
    ScanBegins(Bits),
    ScanEnds,
    /// The bus ends its wait for resets.
    GraceEnds,
    /// The reset of a queue ends.
    ResetEnds(u8, Progress),
    /// All pending resets are overdue.
    Overdue,
}

#[derive(Clone, Copy)]
struct State {
    entries: [Entry; N as usize],
    bound: Row,
    config: Matrix,
    scanning: bool,
    grace: bool,
    /// The adapters whose queues were unbound manually.
    unbound_by_hand: Bits,
    /// True if guests have not been updated since the last event.
    urgent: bool,
    mdevs: [Masks; 2],
}

/// The states by number, and their predecessors.
#[derive(Default)]
struct Names {
    of_entries: HashMap<Entry, u64>,
    entries: Vec<Entry>,
}

const USERS: [User; 4] = [User::Nobody, User::Guest, User::Stopped, User::Leaving];

impl Names {
    fn pack(&mut self, state: &State) -> u64 {
        let mut name = u64::from(state.bound) << 1 | u64::from(state.scanning);
        name = name << 1 | u64::from(state.urgent);
        name = name << 1 | u64::from(state.grace);
        name = name << 2 | u64::from(state.unbound_by_hand);
        name = name << 5 | u64::from(bits(&state.config));
        for entry in &state.entries {
            let next = self.entries.len() as u64;
            let number = *self.of_entries.entry(*entry).or_insert_with(|| {
                self.entries.push(*entry);
                next
            });
            name = name << 12 | number;
        }
        for masks in &state.mdevs {
            let user = USERS.iter().position(|user| *user == masks.user);
            name = name << 2 | user.unwrap() as u64;
            name = name << 5 | u64::from(bits(&masks.assigned));
            name = name << 5 | u64::from(bits(&masks.granted));
        }
        name
    }

    fn unpack(&self, mut name: u64) -> State {
        let mut take = |width: u32| {
            let part = name & ((1 << width) - 1);
            name >>= width;
            part as u16
        };
        let mut mdevs = [Masks::default(); 2];
        for masks in mdevs.iter_mut().rev() {
            masks.granted = matrix(take(5) as Bits);
            masks.due = masks.granted;
            masks.apcb = masks.granted;
            masks.assigned = matrix(take(5) as Bits);
            masks.user = USERS[usize::from(take(2))];
        }
        let mut entries = [Entry::NONE; N as usize];
        for entry in entries.iter_mut().rev() {
            *entry = self.entries[usize::from(take(12))];
        }
        State {
            entries,
            mdevs,
            config: matrix(take(5) as Bits),
            unbound_by_hand: take(2) as Bits,
            grace: take(1) == 1,
            urgent: take(1) == 1,
            scanning: take(1) == 1,
            bound: take(4) as Row,
        }
    }
}

/// Hardware in which one reset ends, and all others continue.
struct Hardware(Option<(u8, Progress)>);

impl Instructions for Hardware {
    fn zapq(&mut self, _: Apqn) -> u8 {
        response::NORMAL
    }

    fn tapq(&mut self, apqn: Apqn) -> u8 {
        match self.0 {
            Some((q, Progress::Done)) if queue(q) == apqn => response::NORMAL,
            Some((q, Progress::Failed(code))) if queue(q) == apqn => code,
            _ => response::RESET_IN_PROGRESS,
        }
    }
}

/// The core in a state.
struct World<'a> {
    host: Host<&'a mut [Entry]>,
    bound: Row,
    mdevs: [Masks; 2],
    commits: [u32; 2],
}

impl<'a> World<'a> {
    fn new(state: &State, entries: &'a mut [Entry]) -> Self {
        entries[..state.entries.len()].copy_from_slice(&state.entries);
        let mut queues = Queues::new(entries);
        for a in 0..N {
            // Makes the core see the pending resets.
            queues.reset_in_place(Apid(a), Mask::EMPTY);
        }
        let mut host = Host::new(state.config, queues);
        if state.scanning {
            host.scan_begins(state.config);
        }
        if !state.urgent {
            host.clear_changes();
        }
        host.grace = state.grace;
        host.unbound_by_hand = matrix(state.unbound_by_hand).apm;
        Self {
            host,
            bound: state.bound,
            mdevs: state.mdevs,
            commits: [0; 2],
        }
    }

    fn usable(&self) -> Row {
        (0..4)
            .filter(|q| {
                let apqn = queue(*q);
                self.host.queues.usable(apqn.apid).contains(apqn.apqi)
            })
            .fold(0, |row, q| row | 1 << q)
    }

    fn is_pending(&self, q: u8) -> bool {
        self.host.queues.is_pending(queue(q))
    }

    fn apply(&mut self, event: Event) {
        let mut hardware = Hardware(None);
        match event {
            Event::Bind(q) => {
                self.bound |= 1 << q;
                self.host.queues.bind(queue(q));
            }
            Event::Unbind(q) => {
                self.bound &= !(1 << q);
                // The task that scans the bus unbinds the queues that have left the configuration.
                let by_scan = self.host.is_scanning() && !self.host.config().has_queue(queue(q));
                let how = if by_scan {
                    Unbinding::ByScan
                } else {
                    Unbinding::ByHand
                };
                self.host.unbind(queue(q), how);
            }
            Event::Assign(n, assigned) => self.update(n, &Change::Assign(matrix(assigned))),
            Event::Use(n, User::Guest) if self.mdevs[n].user == User::Stopped => {
                self.update(n, &Change::Run);
            }
            Event::Use(n, User::Guest) => self.update(n, &Change::Open),
            Event::Use(n, User::Stopped) => self.update(n, &Change::Stop),
            Event::Use(n, User::Leaving) => self.update(n, &Change::Leave),
            Event::Use(n, User::Nobody) => self.update(n, &Change::Close),
            Event::ScanBegins(config) => {
                self.host.scan_begins(matrix(config));
                // No guest is updated before the end of the scan or the next event.
                return;
            }
            Event::ScanEnds => self.host.scan_ends(*self.host.config()),
            Event::GraceEnds => self.host.end_grace(),
            Event::ResetEnds(q, progress) => hardware.0 = Some((q, progress)),
            Event::Overdue => {
                for _ in 0..2 {
                    self.host.queues.age_resets(|_| {});
                }
            }
        }
        // `VfioAp::reconcile()`
        loop {
            for apid in self.host.queues.resetting().iter() {
                self.host.step(apid, &mut hardware, |_, _, _| {});
            }
            hardware.0 = None;
            if !self.host.needs_update() {
                for masks in self.mdevs {
                    assert_eq!(masks.due_apcb(&self.host), masks.granted);
                }
                return;
            }
            let due = self.mdevs.map(|masks| masks.due_if_affected(&self.host));
            self.host.clear_changes();
            for (n, due) in due.into_iter().enumerate() {
                if let Some(due) = due {
                    self.settle(n, due);
                }
            }
        }
    }

    /// `MatrixMdev::apply_change()`
    fn update(&mut self, n: usize, change: &Change) {
        let due = self.mdevs[n].apply(change, &self.host);
        self.settle(n, due);
    }

    fn settle(&mut self, n: usize, due: Matrix) {
        let masks = &mut self.mdevs[n];
        let lost = masks.set_due(due);
        self.host.queues.revoke(&lost);
        if masks.begin_commit().is_some() {
            self.commits[n] += 1;
            let lost = masks.end_commit();
            self.host.queues.reset_revoked(&lost);
        }
    }

    fn state(&self, entries: [Entry; N as usize]) -> State {
        State {
            entries,
            bound: self.bound,
            config: *self.host.config(),
            scanning: self.host.is_scanning(),
            grace: self.host.grace,
            unbound_by_hand: bits(&Matrix {
                apm: self.host.unbound_by_hand,
                ..Matrix::EMPTY
            }),
            urgent: self.host.needs_update(),
            mdevs: self.mdevs,
        }
    }
}

fn queue(q: u8) -> Apqn {
    Apqn::new(Apid(q / N), Apqi(q % N))
}

/// Returns the matrix for the bits. The first two numbers of a mask are its two leftmost bits.
fn matrix(bits: Bits) -> Matrix {
    let word = |bits: u8| [u64::from(bits & 3).reverse_bits(), 0, 0, 0];
    Matrix {
        apm: Mask::from_words(word(bits)),
        aqm: Mask::from_words(word(bits >> 2)),
        adm: Mask::from_words(word(bits >> 4)),
    }
}

fn bits(matrix: &Matrix) -> Bits {
    let bits = |words: &[u64; 4]| words[0].reverse_bits() as u8;
    bits(matrix.apm.words()) | bits(matrix.aqm.words()) << 2 | bits(matrix.adm.words()) << 4
}

/// Returns the queues of a matrix.
fn product(bits: Bits) -> Row {
    let domains = bits >> 2 & 3;
    (if bits & 1 != 0 { domains } else { 0 }) | (if bits & 2 != 0 { domains << 2 } else { 0 })
}

/// A table with the results of the specification.
struct Specification(Vec<Bits>);

impl Specification {
    fn new() -> Self {
        let set = |bits: u8| (0..N).filter(|i| bits >> i & 1 != 0).collect();
        let sets = |bits: Bits| Sets {
            adapters: set(bits),
            domains: set(bits >> 2 & 3),
            control_domains: set(bits >> 4),
        };
        let row = |row: Row| {
            (0..4)
                .filter(move |q| row >> q & 1 != 0)
                .map(|q| (q / N, q % N))
        };
        let all = (0..1 << 14).map(|i: u16| {
            let (assigned, config) = (sets((i & 31) as u8), sets((i >> 5 & 31) as u8));
            let usable = row((i >> 10) as u8).collect();
            let guest = specification::guest(&assigned, &config, &usable);
            let bits = |set: &std::collections::BTreeSet<u8>| set.iter().fold(0, |b, i| b | 1 << i);
            bits(&guest.adapters) | bits(&guest.domains) << 2 | bits(&guest.control_domains) << 4
        });
        Self(all.collect())
    }

    fn guest(&self, assigned: Bits, config: Bits, usable: Row) -> Bits {
        self.0[usize::from(assigned) | usize::from(config) << 5 | usize::from(usable) << 10]
    }
}

impl Universe {
    /// Returns the events that are possible in a state.
    fn events(&self, state: &State, world: &World<'_>) -> Vec<Event> {
        let mut events = Vec::with_capacity(64);
        let config = bits(&state.config);
        let mut pending = false;
        for q in 0..4 {
            if state.bound >> q & 1 != 0 {
                events.push(Event::Unbind(q));
            } else if product(config) >> q & 1 != 0 {
                // The bus has no other queues.
                events.push(Event::Bind(q));
            }
            if world.is_pending(q) {
                pending = true;
                events.push(Event::ResetEnds(q, Progress::Done));
                if self.failing {
                    let failed = Progress::Failed(response::NOT_AVAILABLE);
                    events.push(Event::ResetEnds(q, failed));
                }
            }
        }
        if self.slow && pending {
            events.push(Event::Overdue);
        }
        for n in 0..self.mdevs {
            let masks = &state.mdevs[n];
            let assigned = bits(&masks.assigned);
            let others = bits(&state.mdevs[1 - n].assigned);
            for new in 0..32 {
                if new & !self.assignable == 0
                    && new != assigned
                    && product(new) & product(others) == 0
                {
                    events.push(Event::Assign(n, new));
                }
            }
            match masks.user {
                User::Nobody => events.push(Event::Use(n, User::Guest)),
                User::Guest if self.leaving => {
                    events.push(Event::Use(n, User::Leaving));
                    events.push(Event::Use(n, User::Stopped));
                }
                User::Stopped => {
                    events.push(Event::Use(n, User::Guest));
                    events.push(Event::Use(n, User::Leaving));
                }
                User::Guest | User::Leaving => {}
            }
            if masks.user != User::Nobody {
                events.push(Event::Use(n, User::Nobody));
            }
        }
        if state.grace {
            // The bus waits for the end of the grace period.
            events.push(Event::GraceEnds);
        } else if !state.scanning {
            for new in 0..32 {
                if (new ^ config) & !self.configurable == 0 && new != config {
                    events.push(Event::ScanBegins(new));
                }
            }
        } else if state.bound & !product(config) == 0 {
            // Before the end of a scan, the bus has unbound all queues that have left the
            // configuration.
            events.push(Event::ScanEnds);
        }
        events
    }

    /// Checks the rules for states.
    fn check_state(&self, world: &World<'_>, specification: &Specification) {
        let config = bits(world.host.config());
        let usable = world.usable();
        assert_eq!(usable & !world.bound, 0, "usable but not bound");
        let mut taken = 0;
        for masks in &world.mdevs {
            let (assigned, granted) = (bits(&masks.assigned), bits(&masks.granted));
            let specified = specification.guest(assigned, config, usable);
            assert_eq!(granted & !assigned, 0, "granted but not assigned");
            assert_eq!(product(granted) & taken, 0, "a queue of two guests");
            taken |= product(granted);
            if !world.host.is_scanning() && !world.host.grace {
                // A number outside the host configuration can belong to the host when it returns.
                assert_eq!(granted & !config, 0, "outside the configuration");
            }
            // SIE gives the guest only queues that are also in the host configuration.
            let effective = product(granted & config);
            assert_eq!(effective & !usable, 0, "granted but not usable");
            match masks.user {
                User::Nobody => {
                    assert_eq!(granted, 0, "granted without a user");
                    assert_eq!(bits(&masks.guest_matrix(&world.host)), specified);
                }
                User::Stopped => assert_eq!(granted, 0, "granted to a guest that is stopped"),
                User::Leaving => assert_eq!(granted, 0, "granted after the request to release"),
                User::Guest => {
                    let awaited = product(assigned & config) & !usable;
                    let awaits = (0..4).any(|q| {
                        let apqn = queue(q);
                        let soon = world.host.queues.soon_usable(apqn.apid);
                        awaited >> q & 1 != 0 && soon.contains(apqn.apqi)
                    });
                    if !world.host.is_scanning() && !awaits {
                        assert_eq!(granted, specified, "differs from the specification");
                    }
                }
            }
        }
    }

    /// Checks the rules for transitions.
    fn check_transition(&self, state: &State, before: Row, event: Event, world: &World<'_>) {
        let after = world.usable();
        let reset = match event {
            Event::ResetEnds(q, Progress::Done) => 1 << q,
            _ => 0,
        };
        assert_eq!(after & !before & !reset, 0, "usable without a reset");
        for (n, masks) in world.mdevs.iter().enumerate() {
            let (had, has) = (bits(&state.mdevs[n].granted), bits(&masks.granted));
            assert!(world.commits[n] <= 1, "more than one commit");
            assert_eq!(world.commits[n] != 0, had != has, "an unnecessary commit");
            let lost = product(had) & !product(has);
            assert_eq!(lost & after, 0, "lost, not reset, and usable");
            let won = product(has) & !product(had);
            assert_eq!(won & !(before | reset), 0, "won without a reset");
            let in_config = product(bits(world.host.config()));
            let waits = match event {
                Event::Bind(_) | Event::ResetEnds(..) | Event::Overdue => true,
                Event::Unbind(q) => in_config >> q & 1 == 0,
                _ => false,
            };
            if world.host.is_scanning() && waits {
                assert_eq!(had, has, "a commit within a scan");
            }
        }
    }

    /// Checks the recovery from a state. After the end of the scan, with all queues bound and all
    /// resets successful, the guests have the masks of the specification.
    fn check_recovery(&self, mut world: World<'_>, specification: &Specification) {
        let config = bits(world.host.config());
        for q in 0..4 {
            let (there, bound) = (product(config) >> q & 1, world.bound >> q & 1);
            match (there, bound) {
                (1, 0) => world.apply(Event::Bind(q)),
                (0, 1) => world.apply(Event::Unbind(q)),
                _ => {}
            }
        }
        world.apply(Event::ScanEnds);
        world.apply(Event::GraceEnds);
        while let Some(q) = (0..4).find(|q| world.is_pending(*q)) {
            world.apply(Event::ResetEnds(q, Progress::Done));
        }
        for masks in world.mdevs.iter().filter(|m| m.user == User::Guest) {
            let specified = specification.guest(bits(&masks.assigned), config, product(config));
            assert_eq!(bits(&masks.granted), specified, "no recovery");
        }
    }

    fn explore(&self, name: &str) {
        let begun = std::time::Instant::now();
        let specification = Specification::new();
        let mut names = Names::default();
        let mut scratch = vec![Entry::NONE; IDS];
        let all = matrix(self.configurable | 0b1111 | self.assignable);
        let first = names.pack(&State {
            entries: [Entry::NONE; N as usize],
            bound: 0,
            config: all,
            scanning: false,
            grace: false,
            unbound_by_hand: 0,
            urgent: false,
            mdevs: [Masks::default(); 2],
        });
        let mut seen = HashSet::from([first]);
        let mut unexplored = vec![first];
        let mut transitions = 0;
        while let Some(name) = unexplored.pop() {
            let state = names.unpack(name);
            let world = World::new(&state, &mut scratch);
            let usable = world.usable();
            let events = self.events(&state, &world);
            self.check_recovery(world, &specification);
            for event in events {
                transitions += 1;
                let mut world = World::new(&state, &mut scratch);
                world.apply(event);
                self.check_transition(&state, usable, event, &world);
                self.check_state(&world, &specification);
                let mut next = world.state(state.entries);
                next.entries
                    .copy_from_slice(&scratch[..state.entries.len()]);
                let next = names.pack(&next);
                if seen.insert(next) {
                    unexplored.push(next);
                }
            }
        }
        println!(
            "{name}: {} states, {transitions} transitions, {:?}",
            seen.len(),
            begun.elapsed()
        );
        assert_eq!((seen.len(), transitions), self.expected);
    }
}

/// One guest, with queues that are bound and unbound, and resets that fail or take too long.
#[test]
fn one_guest() {
    Universe {
        mdevs: 1,
        assignable: 0b1111,
        configurable: 0,
        failing: true,
        slow: true,
        leaving: true,
        expected: (47_294, 1_200_898),
    }
    .explore("one guest");
}

/// Two guests that pass queues to each other.
#[test]
fn two_guests() {
    Universe {
        mdevs: 2,
        assignable: 0b1111,
        configurable: 0,
        failing: false,
        slow: false,
        leaving: false,
        expected: (127_204, 3_993_264),
    }
    .explore("two guests");
}

/// Changes of the host configuration while queues are bound and unbound and resets fail.
#[test]
fn host_configuration() {
    Universe {
        mdevs: 1,
        assignable: 0b1111,
        configurable: 0b1111,
        failing: false,
        slow: false,
        leaving: false,
        expected: (180_784, 3_783_230),
    }
    .explore("host configuration");
}

/// Control domains, with an adapter and a domain.
#[test]
fn control_domains() {
    Universe {
        mdevs: 1,
        assignable: 0b10101,
        configurable: 0b10000,
        failing: false,
        slow: false,
        leaving: false,
        expected: (13_122, 188_676),
    }
    .explore("control domains");
}
