// SPDX-License-Identifier: GPL-2.0

//! Tests of the cause of each change of a guest.

use std::collections::BTreeMap;

use vfio_ap_core::{
    cause::{Cause, Difference, Event, Outages, RateLimit},
    mask::{Apid, Apqi, Apqn, Mask, IDS},
    matrix::{Change, Host, Masks, Matrix, Unbinding},
    queues::{response, Entry, Instructions, Progress, Queues},
};

/// Hardware whose resets end immediately, and fail for some queues.
#[derive(Default)]
struct Hardware(BTreeMap<u16, u8>);

impl Instructions for Hardware {
    fn zapq(&mut self, apqn: Apqn) -> u8 {
        self.0
            .get(&apqn.to_raw())
            .copied()
            .unwrap_or(response::NORMAL)
    }

    fn tapq(&mut self, apqn: Apqn) -> u8 {
        self.zapq(apqn)
    }
}

fn apqn(apid: u8, apqi: u8) -> Apqn {
    Apqn::new(Apid(apid), Apqi(apqi))
}

fn mask<I: Copy + From<u8> + Into<u8>>(ids: &[u8]) -> Mask<I> {
    ids.iter()
        .fold(Mask::EMPTY, |mask, &id| mask | Mask::only(id.into()))
}

fn matrix(apids: &[u8], apqis: &[u8]) -> Matrix {
    Matrix {
        apm: mask(apids),
        aqm: mask(apqis),
        adm: Mask::EMPTY,
    }
}

/// A host with a guest that has adapters 0 to 2 with domains 0 and 1.
struct World {
    host: Host<Vec<Entry>>,
    masks: Masks,
    hardware: Hardware,
    pending: Option<Cause>,
}

impl World {
    fn new() -> Self {
        let config = matrix(&[0, 1, 2], &[0, 1]);
        let mut world = Self {
            host: Host::new(config, Queues::new(vec![Entry::NONE; IDS])),
            masks: Masks::default(),
            hardware: Hardware::default(),
            pending: None,
        };
        for apid in 0..3 {
            for apqi in 0..2 {
                world.host.queues.bind(apqn(apid, apqi));
            }
        }
        world.step();
        world.masks.apply(&Change::Assign(config), &world.host);
        let due = world.masks.apply(&Change::Open, &world.host);
        world.commit(due);
        world.host.clear_changes();
        assert_eq!(world.masks.apcb, config);
        world
    }

    fn step(&mut self) {
        for apid in self.host.queues.resetting().iter() {
            self.host
                .step(apid, &mut self.hardware, |_, _: Progress, _| {});
        }
    }

    fn commit(&mut self, due: Matrix) {
        let revoked = self.masks.set_due(due);
        self.host.queues.revoke(&revoked);
        self.masks.begin_commit();
        let revoked = self.masks.end_commit();
        self.host.queues.reset_revoked(&revoked);
    }

    /// Updates the guest. Returns the cause and the masks.
    fn follow(&mut self) -> Option<(String, String)> {
        self.step();
        let due = self.masks.due_if_affected(&self.host)?;
        let cause = self.host.cause(&self.masks, &due, self.pending);
        let before = self.masks.due;
        self.host.clear_changes();
        self.commit(due);
        self.step();
        self.host.clear_changes();
        let difference = Difference {
            before: &before,
            after: &due,
        };
        (before != due).then(|| (cause.to_string(), difference.to_string()))
    }

    fn unbind(&mut self, event: Event, apqn: Apqn) {
        self.host.note(event, apqn);
        self.host.unbind(apqn, Unbinding::ByHand);
    }

    fn bind(&mut self, apqn: Apqn) {
        self.host.note(Event::Bind, apqn);
        self.host.queues.bind(apqn);
    }
}

fn said(cause: &str, difference: &str) -> Option<(String, String)> {
    Some((cause.into(), difference.into()))
}

#[test]
fn a_queue_that_is_unbound_and_bound() {
    let mut world = World::new();
    world.unbind(Event::Unbind, apqn(1, 1));
    assert_eq!(
        world.follow(),
        said("unbind adapter=01 queue=01.0001", "lost adapters 01")
    );
    world.bind(apqn(1, 1));
    assert_eq!(
        world.follow(),
        said("bind adapter=01 queue=01.0001", "got adapters 01")
    );
    assert_eq!(world.follow(), None);
}

#[test]
fn a_queue_that_the_bus_removes() {
    let mut world = World::new();
    world.unbind(Event::Gone, apqn(2, 0));
    assert_eq!(
        world.follow(),
        said("gone adapter=02 queue=02.0000", "lost adapters 02")
    );
}

#[test]
fn what_has_happened_elsewhere_is_no_cause() {
    let mut world = World::new();
    world.unbind(Event::Gone, apqn(2, 0));
    // An event for another adapter, before the update of the guest.
    world.host.note(Event::Bind, apqn(0, 1));
    assert_eq!(
        world.follow(),
        said("unbind adapter=02 queue=02.0000", "lost adapters 02")
    );
}

#[test]
fn a_scan_names_the_adapter_that_has_gone() {
    let mut world = World::new();
    world.host.scan_begins(matrix(&[0, 2], &[0, 1]));
    world.host.scan_ends(matrix(&[0, 2], &[0, 1]));
    world.host.end_grace();
    assert_eq!(world.follow(), said("scan adapter=01", "lost adapters 01"));
    world.host.scan_begins(matrix(&[0, 1, 2], &[0]));
    world.host.scan_ends(matrix(&[0, 1, 2], &[0]));
    world.host.end_grace();
    assert_eq!(
        world.follow(),
        said("scan adapter=01", "lost domains 0001, got adapters 01")
    );
    world.host.scan_begins(matrix(&[0, 1, 2], &[]));
    world.host.scan_ends(matrix(&[0, 1, 2], &[]));
    world.host.end_grace();
    assert_eq!(world.follow(), said("scan", "lost domains 0000"));
}

#[test]
fn a_reset_that_fails_and_then_does_not() {
    let mut world = World::new();
    world.hardware.0.insert(apqn(0, 1).to_raw(), 0x42);
    world.host.queues.reset_in_place(Apid(0), mask(&[1]));
    assert_eq!(
        world.follow(),
        said("reset-failed adapter=00 queue=00.0001", "lost adapters 00")
    );
    world.hardware.0.clear();
    world.host.queues.retry_failed();
    assert_eq!(
        world.follow(),
        said("reset adapter=00 queue=00.0001", "got adapters 00")
    );
}

#[test]
fn what_had_to_wait_for_resets_is_the_cause_of_a_gain_only() {
    let mut world = World::new();
    world.pending = Some(Cause::of(Event::Assignment));
    world.unbind(Event::Unbind, apqn(1, 1));
    assert_eq!(
        world.follow(),
        said("unbind adapter=01 queue=01.0001", "lost adapters 01")
    );
    world.bind(apqn(1, 1));
    assert_eq!(world.follow(), said("assignment", "got adapters 01"));
}

#[test]
fn states_of_hardware_are_told_once() {
    let mut outages = Outages::default();
    let mut note = |code| outages.note(Apid(3), code).map(|cause| cause.to_string());
    assert_eq!(note(response::NORMAL), None);
    assert_eq!(
        note(response::DECONFIGURED).as_deref(),
        Some("deconfigured adapter=03")
    );
    assert_eq!(note(response::DECONFIGURED), None);
    assert_eq!(
        note(response::CHECKSTOPPED).as_deref(),
        Some("check-stop adapter=03")
    );
    assert_eq!(
        note(response::NORMAL).as_deref(),
        Some("in-order adapter=03")
    );
    assert_eq!(note(response::RESET_IN_PROGRESS), None);
    outages.note(Apid(3), response::CHECKSTOPPED);
    assert_eq!(outages.of(&mask(&[1])), Outages::default());
    assert_eq!(outages.of(&mask(&[1, 3])), outages);
}

#[test]
fn causes_have_names() {
    assert_eq!(Cause::of(Event::Assignment).to_string(), "assignment");
    assert!(Event::Open.is_of_user() && !Event::Unbind.is_of_user());
}

#[test]
fn messages_are_limited() {
    let mut limit = RateLimit::default();
    let admitted = (0..100).filter(|i| limit.admit(*i).is_some()).count();
    assert_eq!(admitted, 10);
    assert_eq!(limit.admit(10_000), Some(90));
    assert_eq!(limit.admit(10_001), Some(0));
}
