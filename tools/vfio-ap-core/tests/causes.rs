// SPDX-License-Identifier: GPL-2.0

//! Tests of the cause of each change of a guest.

use std::collections::BTreeMap;

use vfio_ap_core::{
    cause::{Cause, Event, Subject, Text, Variables},
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

    /// Updates the guest. Returns the record of the change.
    fn follow(&mut self) -> Option<String> {
        self.step();
        let due = self.masks.due_if_affected(&self.host)?;
        let before = self.masks.due;
        let cause = self.host.cause(&self.masks, &due, self.pending);
        let cause = cause.of_masks(&before, &due);
        self.host.clear_changes();
        self.commit(due);
        self.step();
        self.host.clear_changes();
        let text = Text { cause, guest: &due };
        (before != due).then(|| text.to_string())
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

/// Requires a change with a cause, after which a guest has these adapters and domains.
#[track_caller]
fn expect(world: &mut World, cause: &str, apm: &str, aqm: &str) {
    assert_eq!(
        world.follow(),
        Some(format!("apm={apm} aqm={aqm} adm=none cause={cause}"))
    );
}

fn scan(world: &mut World, apids: &[u8], apqis: &[u8]) {
    world.host.scan_begins(matrix(apids, apqis));
    world.host.scan_ends(matrix(apids, apqis));
    world.host.end_grace();
}

/// Unbinds queue 01.0001, requires that the guest loses its adapter, and binds the queue.
#[track_caller]
fn bind_again(world: &mut World) {
    world.unbind(Event::Unbind, apqn(1, 1));
    expect(
        world,
        "unbind adapter=01 queue=01.0001",
        "00,02",
        "0000-0001",
    );
    world.bind(apqn(1, 1));
}

#[test]
fn a_queue_that_is_unbound_and_bound() {
    let world = &mut World::new();
    bind_again(world);
    expect(world, "bind adapter=01 queue=01.0001", "00-02", "0000-0001");
    assert_eq!(world.follow(), None);
}

#[test]
fn a_queue_that_the_bus_removes() {
    let world = &mut World::new();
    world.unbind(Event::Gone, apqn(2, 0));
    expect(world, "gone adapter=02 queue=02.0000", "00-01", "0000-0001");
}

#[test]
fn events_of_other_adapters_are_no_causes() {
    let world = &mut World::new();
    world.unbind(Event::Gone, apqn(2, 0));
    // An event for another adapter, before the update of the guest.
    world.host.note(Event::Bind, apqn(0, 1));
    expect(world, "gone adapter=02 queue=02.0000", "00-01", "0000-0001");
}

#[test]
fn a_scan_names_the_adapter_that_has_gone() {
    let world = &mut World::new();
    scan(world, &[0, 2], &[0, 1]);
    expect(world, "scan adapter=01", "00,02", "0000-0001");
    scan(world, &[0, 1, 2], &[0]);
    expect(world, "scan adapter=01", "00-02", "0000");
    scan(world, &[0, 1, 2], &[]);
    expect(world, "scan", "00-02", "none");
}

#[test]
fn a_domain_that_waits_for_resets() {
    let world = &mut World::new();
    scan(world, &[0, 1, 2], &[0]);
    expect(world, "scan", "00-02", "0000");
    world.host.queues.unbind(apqn(0, 1));
    world.follow();
    world.bind(apqn(0, 1));
    world.host.scan_begins(matrix(&[0, 1, 2], &[0, 1]));
    world.host.scan_ends(matrix(&[0, 1, 2], &[0, 1]));
    // The queue is still being reset when the masks are computed.
    let due = world.masks.due_if_affected(&world.host).unwrap();
    assert_eq!(due, world.masks.due);
    world.host.clear_changes();
    world.host.note(Event::Unbind, apqn(7, 7));
    expect(world, "bind adapter=00 queue=00.0001", "00-02", "0000-0001");
}

#[test]
fn a_reset_that_fails_and_then_does_not() {
    let world = &mut World::new();
    world.hardware.0.insert(apqn(0, 1).to_raw(), 0x42);
    world.host.queues.reset_in_place(Apid(0), mask(&[1]));
    expect(
        world,
        "reset-failed adapter=00 queue=00.0001",
        "01-02",
        "0000-0001",
    );
    world.hardware.0.clear();
    world.host.queues.retry_failed();
    expect(
        world,
        "reset adapter=00 queue=00.0001",
        "00-02",
        "0000-0001",
    );
}

#[test]
fn a_reset_that_takes_too_long() {
    let world = &mut World::new();
    bind_again(world);
    world.hardware.0.insert(apqn(1, 1).to_raw(), response::BUSY);
    world.step();
    let mut overdue = Vec::new();
    for _ in 0..3 {
        world.host.age_resets(|apqn| overdue.push(apqn));
    }
    assert_eq!(overdue, [apqn(1, 1)]);
    assert_eq!(world.follow(), None);
    // The guest gets no queue, and the final cause is the end of the reset.
    world.hardware.0.clear();
    expect(
        world,
        "reset adapter=01 queue=01.0001",
        "00-02",
        "0000-0001",
    );
}

#[test]
fn an_assignment_that_has_waited_for_resets_is_the_cause_of_a_gain_only() {
    let world = &mut World::new();
    world.pending = Some(Cause::of(Event::Assignment));
    world.unbind(Event::Unbind, apqn(1, 1));
    expect(
        world,
        "unbind adapter=01 queue=01.0001",
        "00,02",
        "0000-0001",
    );
    world.bind(apqn(1, 1));
    expect(world, "assignment adapter=01", "00-02", "0000-0001");
}

#[test]
fn each_change_of_an_mdev_has_a_cause() {
    for (change, text) in [
        (Change::Open, "open"),
        (Change::Close, "close"),
        (Change::Leave, "request"),
        (Change::Assign(Matrix::EMPTY), "assignment"),
    ] {
        let cause = Cause::of_change(&change);
        assert_eq!(cause.event.text(), text);
        assert_eq!(cause.subject, Subject::None);
        assert_eq!(
            cause.event.is_of_user(),
            matches!(change, Change::Open | Change::Close)
        );
    }
}

#[test]
fn states_of_hardware_are_told_once() {
    let mut world = World::new();
    let mut note = |code| {
        let cause = world.host.note_state(Apid(3), code)?;
        assert!(cause.event.is_state());
        assert_eq!(world.host.adapter_state(Apid(3)), cause.event);
        assert_eq!(world.host.adapter_state(Apid(2)), Event::InOrder);
        Some(Variables(cause).to_string())
    };
    assert_eq!(note(response::NORMAL), None);
    assert_eq!(
        note(response::DECONFIGURED).as_deref(),
        Some("CAUSE=deconfigured\0ADAPTER=03")
    );
    assert_eq!(note(response::DECONFIGURED), None);
    assert_eq!(
        note(response::CHECKSTOPPED).as_deref(),
        Some("CAUSE=check-stop\0ADAPTER=03")
    );
    assert_eq!(
        note(response::NORMAL).as_deref(),
        Some("CAUSE=in-order\0ADAPTER=03")
    );
    assert_eq!(note(response::RESET_IN_PROGRESS), None);
}

#[test]
fn uevents_name_the_queue() {
    let cause = Cause::of_queue(Event::Unbind, apqn(0x1a, 3));
    assert_eq!(
        Variables(cause).to_string(),
        "CAUSE=unbind\0ADAPTER=1a\0QUEUE=1a.0003"
    );
    assert!(!cause.event.is_state() && !cause.event.is_of_user());
}
