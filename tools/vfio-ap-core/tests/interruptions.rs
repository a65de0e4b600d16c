// SPDX-License-Identifier: GPL-2.0

//! Exhaustive exploration of interruptions and their pages and targets in small universes. Guests,
//! users, administrators, the bus, the host's driver and the machine act in any order. Each of them
//! can stop between two steps for any time.
//!
//! The core is the real one, and the module's code around it is modelled here. A step is the work
//! under one hold of the lock of the state, and names the function that it models. Time-outs can
//! occur at any time. The search is breadth-first, so the trace to an error is one of the shortest.
//!
//! [`Rules`] contains the rules that the driver once did not have. Without any one of them, the
//! search has to find an error.
//!
//! The model leaves out several pages or domains, failures of allocations, overdue resets,
//! containers (a page that is being unmapped cannot be pinned any more, as with iommufd), works of
//! mdevs that were not queued, and errors of TAPQ that no reset explains.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hasher},
};
use vfio_ap_core::{
    interrupts::{self, Control, Facts, Interruption},
    mask::{Apid, Apqi, Apqn, Mask},
    matrix::{Change, Host, Masks, Matrix, QueueSet, Unbinding, User},
    queues::{response, Entry, Instructions, Progress, Queues, Reset},
};

/// The number of queues and of guests. Each queue is that of domain 0 of another adapter.
const N: usize = 2;

/// The response code of an instruction that a broken queue cannot execute.
const BROKEN: u8 = 0x10;

/// A matrix: its adapters (bits 0 and 1) and the domain (bit 2).
type Bits = u8;
const DOMAIN: Bits = 1 << N;

/// The rules. False stands for the behaviour before the rule.
#[derive(Clone, Copy)]
struct Rules {
    /// A page is in a table before it is pinned, and not in a local variable of the enabling
    /// function.
    page_in_table: bool,
    /// TAPQ also reports interruptions as disabled while they are being enabled.
    off_is_not_the_end: bool,
    /// AQIC is refused until the driver has seen the end of a reset.
    refused_in_reset: bool,
    /// The target of interruptions stays allocated after the time-out of unbinding until the
    /// machine no longer uses it.
    kept_past_unbind: bool,
    /// AQIC is refused for queues that are not bound.
    refused_if_unbound: bool,
    /// Manual unbinding waits until no guest has the queue, regardless of the announced
    /// configuration.
    unbind_waits: bool,
    /// Waiting tasks poll the resets themselves, and only for a limited time.
    waiters_look: bool,
    /// A queue that is bound while it is still in an APCB is not reset before it leaves the APCB.
    held_in_reach: bool,
    /// The driver remembers for an unbound queue that it has seen a reset.
    knows_of_reset: bool,
}

const RIGHT: Rules = Rules {
    page_in_table: true,
    off_is_not_the_end: true,
    refused_in_reset: true,
    kept_past_unbind: true,
    refused_if_unbound: true,
    unbind_waits: true,
    waiters_look: true,
    held_in_reach: true,
    knows_of_reset: true,
};

/// The actors of a universe and their actions.
#[derive(Clone, Copy, Default)]
struct Universe {
    queues: u8,
    guests: u8,
    /// The number of guests that enable interruptions, from the first one.
    enabling: u8,
    /// The number of users that unmap and map their page.
    unmapping: u8,
    /// Users close and open their mdevs.
    close: bool,
    /// Users reset their queues (`VFIO_DEVICE_RESET`).
    device_reset: bool,
    /// Guests reset their queues.
    guest_resets: bool,
    /// Guests disable interruptions.
    disable: bool,
    /// Administrators bind and unbind.
    unbind: bool,
    /// The number of queues that administrators assign and unassign, from the last one.
    assignable: u8,
    /// Administrators wait for the effect of an assignment.
    waiters: bool,
    /// The bus enables interruptions of new queues for the host.
    bus_enables: bool,
    /// The host's driver may be bound to queues.
    hosts_driver: bool,
    /// The number of adapters that scans may remove and add.
    flapping: u8,
    /// The number of queues that cannot be reset for some time.
    failing: u8,
    /// Commits end immediately.
    quick_commits: bool,
    /// Pages are pinned and unpinned immediately.
    quick_pins: bool,
    /// Administrators finally bind the queues that were unbound while a target was allocated.
    bound_again: bool,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Event {
    // The machine.
    ChangeEnds(u8),
    ResetEnds(u8),
    Breaks(u8),
    Recovers(u8),
    Vanishes(u8),
    Returns(u8),
    // The works of the driver.
    Look,
    Retry,
    Proceed,
    PinWorkTakes(u8),
    PinWorkFinishes(u8),
    CommitBegins(u8),
    CommitEnds(u8),
    // Guests.
    Enable(u8, u8),
    Disable(u8, u8),
    VcpuGoesOn(u8),
    VcpuTimesOut(u8),
    GuestResets(u8, u8),
    // Users.
    Unmap(u8),
    Map(u8),
    Open(u8),
    Close(u8),
    DeviceReset(u8),
    UserGoesOn(u8),
    UserTimesOut(u8),
    // Administrators.
    Assign(u8, u8, bool),
    WaiterGoesOn,
    WaiterTimesOut,
    Bind(u8),
    Unbind(u8),
    /// Unbinding continues, in the task of the bus or in another one.
    UnbindGoesOn(u8),
    UnbindTimesOut(u8),
    // The bus.
    ScanBegins,
    BusRemoves(u8),
    BusAdds(u8),
    BusEnables(u8),
    ScanEnds,
    GraceEnds,
    // The host's driver.
    HostBinds(u8),
    HostEnables(u8),
    HostResets(u8),
    HostUnbinds(u8),
}

/// Distinguishes successive virtual machines of an mdev.
type Epoch = bool;

/// The receiver of the interruptions of a queue.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Target {
    Host,
    /// The guest of an mdev, with its virtual machine.
    Guest(u8, Epoch),
}

/// The state of a queue in the machine.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Hardware {
    is_there: bool,
    is_broken: bool,
    is_resetting: bool,
    enabled: Option<Target>,
    /// The target after an accepted AQIC that is still in progress.
    change: Option<Option<Target>>,
}

impl Hardware {
    /// Ends all operations in progress, and disables interruptions.
    fn clear(&mut self) {
        (self.is_resetting, self.enabled, self.change) = (false, None, None);
    }

    fn zapq(&mut self) -> u8 {
        if !self.is_there {
            response::NOT_AVAILABLE
        } else if self.is_broken {
            BROKEN
        } else if self.is_resetting {
            response::RESET_IN_PROGRESS
        } else {
            self.is_resetting = true;
            response::NORMAL
        }
    }

    fn tapq(&self) -> (u8, bool) {
        let code = if !self.is_there {
            response::NOT_AVAILABLE
        } else if self.is_resetting {
            response::RESET_IN_PROGRESS
        } else {
            response::NORMAL
        };
        (code, self.enabled.is_some())
    }

    fn aqic(&mut self, target: Option<Target>) -> u8 {
        match self.tapq().0 {
            response::NORMAL if self.change.is_some() => response::BUSY,
            response::NORMAL if self.enabled.is_some() == target.is_some() => {
                response::OTHERWISE_CHANGED
            }
            response::NORMAL => {
                self.change = Some(target);
                response::NORMAL
            }
            code => code,
        }
    }

    /// Returns the targets that the machine may still interrupt.
    fn targets(&self) -> impl Iterator<Item = Target> {
        [self.enabled, self.change.flatten()].into_iter().flatten()
    }
}

/// The driver of a queue.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Device {
    /// The bus has no device for the queue.
    None,
    /// No driver.
    Free,
    Ours,
    /// `QueueDriver::unbind()` is in progress, in the task of the bus or in another one.
    Leaving(Leaving, ByBus),
    Hosts,
}

type ByBus = bool;

impl Device {
    fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::Leaving(..))
    }
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Leaving {
    Proceed(IsByHand),
    /// `wait_until_unreachable()`
    Reach,
    /// `release()`, with two flags: ZAPQ was accepted, and a reset was seen.
    Reset(bool, bool),
    /// `aqic::leave()`
    Leave,
}

type IsByHand = bool;

/// `aqic::Owner`. It may have a pin. The target stands for the frame and the GISA.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Owner {
    mdev: u8,
    epoch: Epoch,
    pin: bool,
    is_wanted_back: bool,
    /// The core has the same flag.
    is_orphan: bool,
}

type Enabled = Interruption<(), Owner>;

/// `aqic::Candidate`
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Candidate {
    None,
    Wanted,
    Pinning,
    Cancelled,
    Pinned,
    Refused,
    Unwanted,
}

/// The action of an mdev's work outside the lock.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Hand {
    Empty,
    Pinning,
    Pinned,
    Unpinning,
}

/// PQAP(AQIC) of a guest. `aqic::MatrixMdev::aqic` executes one at a time.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Vcpu {
    Idle,
    /// `enable()` waits for the work.
    Requested(u8),
    /// `disable_for_host()`, with a flag: it has disabled interruptions.
    Taking(u8, bool),
    Again(u8),
    Discarding,
    /// `disable()` waits for the machine.
    Disabling(u8),
    /// The instruction waits for the work.
    Flushing,
}

/// The system call that the user of an mdev executes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Call {
    None,
    /// `unmap()`: the first `end()`.
    UnmapAqic,
    /// `unmap()`: the second `end()`.
    UnmapReset,
    UnmapPins,
    /// `close()`: commits, and then waits for the handlers.
    CloseCommit,
    /// `unpin_all()`
    CloseStep,
    CloseTake,
    CloseFlush,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Page {
    Mapped,
    /// `dma_unmap` was called, so the page cannot be pinned any more.
    Unmapping,
    Unmapped,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Mdev {
    is_open: bool,
    epoch: Epoch,
    candidate: Candidate,
    hand: Hand,
    /// The pinned pages of `Interruptions::released`.
    released: u8,
    vcpu: Vcpu,
    call: Call,
    page: Page,
}

/// The state outside the core.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Shell {
    hardware: [Hardware; N],
    devices: [Device; N],
    /// The bus has not yet enabled interruptions of the queue for the host.
    is_new: [bool; N],
    interruptions: [Option<Enabled>; N],
    mdevs: [Mdev; N],
    /// The other frames of `Interruptions::released`.
    frames: bool,
    /// The queued works of the driver.
    look: bool,
    retry: bool,
    /// `State::config_suspect`
    is_doubtful: bool,
    /// The configuration that the bus has found in its last scan.
    bus_config: Bits,
    /// The mdev and the queues that an administrator waits for.
    waiter: Option<(u8, Bits)>,
}

/// `Masks` as bits.
type PackedMasks = (User, [Bits; 4], Option<Bits>);

#[derive(Clone, Copy, Eq, PartialEq)]
struct State {
    shell: Shell,
    entries: u32,
    config: Bits,
    unbound_by_hand: Bits,
    is_scanning: bool,
    is_grace: bool,
    is_urgent: bool,
    masks: [PackedMasks; N],
}

impl std::hash::Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.shell.hash(hasher);
        (self.entries, self.config, self.unbound_by_hand).hash(hasher);
        (self.is_scanning, self.is_grace, self.is_urgent).hash(hasher);
        for (user, bits, committing) in &self.masks {
            (*user as u8, bits, committing).hash(hasher);
        }
    }
}

/// A hasher that is fast, because no input is malicious.
#[derive(Default)]
struct QuickHasher(u64);

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    fn write_isize(&mut self, n: isize) {
        self.write_u64(n as u64);
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

type QuickMap<K> = HashMap<K, u32, BuildHasherDefault<QuickHasher>>;

/// The entries of the core's queues, with numbers.
#[derive(Default)]
struct Books {
    numbers: QuickMap<[Entry; N]>,
    entries: Vec<[Entry; N]>,
}

impl Books {
    fn number(&mut self, entries: [Entry; N]) -> u32 {
        let next = self.entries.len() as u32;
        *self.numbers.entry(entries).or_insert_with(|| {
            self.entries.push(entries);
            next
        })
    }
}

fn queue(q: u8) -> Apqn {
    Apqn::new(Apid(q), Apqi(0))
}

fn matrix(bits: Bits) -> Matrix {
    let word = |bits: u8| [u64::from(bits).reverse_bits(), 0, 0, 0];
    Matrix {
        apm: Mask::from_words(word(bits & 3)),
        aqm: Mask::from_words(word(bits >> 2)),
        adm: Mask::EMPTY,
    }
}

fn bits(matrix: &Matrix) -> Bits {
    let bits = |words: &[u64; 4]| words[0].reverse_bits() as u8;
    bits(matrix.apm.words()) | bits(matrix.aqm.words()) << 2
}

fn pack(masks: &Masks) -> PackedMasks {
    let all = [masks.assigned, masks.granted, masks.due, masks.apcb];
    let committing = masks.committing.as_ref().map(bits);
    (masks.user, all.map(|matrix| bits(&matrix)), committing)
}

fn unpack((user, all, committing): PackedMasks) -> Masks {
    let [assigned, granted, due, apcb] = all.map(matrix);
    Masks {
        assigned,
        granted,
        due,
        apcb,
        committing: committing.map(matrix),
        user,
    }
}

const NOT_OURS: &str = "AQIC or ZAPQ for a queue that the driver does not have";

/// The AP instructions of the driver, with a check that the driver may execute them.
struct Ap<'a> {
    hardware: &'a mut [Hardware; N],
    devices: &'a [Device; N],
    orphan: [bool; N],
    wrong: &'a mut Option<&'static str>,
    /// The machine has accepted ZAPQ.
    accepted: bool,
}

impl Ap<'_> {
    fn changes(&mut self, apqn: Apqn) -> &mut Hardware {
        let q = usize::from(apqn.apid.0);
        if !self.devices[q].is_ours() {
            *self.wrong = Some(NOT_OURS);
        }
        &mut self.hardware[q]
    }
}

impl Instructions for Ap<'_> {
    fn zapq(&mut self, apqn: Apqn) -> u8 {
        let code = self.changes(apqn).zapq();
        self.accepted |= code == response::NORMAL;
        code
    }

    fn tapq(&mut self, apqn: Apqn) -> u8 {
        self.test(apqn).0
    }
}

impl Control for Ap<'_> {
    fn disable(&mut self, apqn: Apqn) -> u8 {
        self.changes(apqn).aqic(None)
    }

    fn test(&mut self, apqn: Apqn) -> (u8, bool) {
        let q = usize::from(apqn.apid.0);
        if !self.devices[q].is_ours() && !self.orphan[q] {
            *self.wrong = Some("TAPQ for a queue that the driver does not have");
        }
        self.hardware[q].tapq()
    }
}

/// Returns a reset that the machine has or has not accepted.
fn reset(accepted: bool) -> Reset {
    struct Accepts;
    impl Instructions for Accepts {
        fn zapq(&mut self, _: Apqn) -> u8 {
            response::NORMAL
        }
        fn tapq(&mut self, _: Apqn) -> u8 {
            response::RESET_IN_PROGRESS
        }
    }
    let mut reset = Reset::default();
    if accepted {
        reset.step(queue(0), &mut Accepts);
    }
    reset
}

/// The driver and all other actors in a state.
struct World<'a> {
    rules: &'a Rules,
    universe: &'a Universe,
    host: Host<&'a mut [Entry]>,
    masks: [Masks; N],
    shell: Shell,
    wrong: Option<&'static str>,
}

impl<'a> World<'a> {
    fn new(
        rules: &'a Rules,
        universe: &'a Universe,
        state: &State,
        entries: &'a mut [Entry; N],
    ) -> Self {
        let mut queues = Queues::new(&mut entries[..]);
        for a in 0..N as u8 {
            // Makes the core see the pending resets.
            queues.reset_in_place(Apid(a), Mask::EMPTY);
        }
        let mut host = Host::new(Matrix::EMPTY, queues);
        if state.is_scanning {
            host.scan_begins(matrix(state.config));
        } else {
            host.set_config(matrix(state.config));
        }
        if !state.is_urgent {
            host.clear_changes();
        }
        host.grace = state.is_grace;
        host.unbound_by_hand = matrix(state.unbound_by_hand).apm;
        Self {
            rules,
            universe,
            host,
            masks: state.masks.map(unpack),
            shell: state.shell,
            wrong: None,
        }
    }

    /// Returns the state without the entries of the core's queues.
    fn state(&self) -> State {
        State {
            shell: self.shell,
            entries: 0,
            config: bits(self.host.config()),
            unbound_by_hand: bits(&Matrix {
                apm: self.host.unbound_by_hand,
                ..Matrix::EMPTY
            }),
            is_scanning: self.host.is_scanning(),
            is_grace: self.host.grace,
            is_urgent: self.host.needs_update(),
            masks: self.masks.each_ref().map(pack),
        }
    }

    fn queues(&self) -> std::ops::Range<u8> {
        0..self.universe.queues
    }

    fn mdev(&mut self, g: u8) -> &mut Mdev {
        &mut self.shell.mdevs[usize::from(g)]
    }

    fn hardware(&mut self, q: u8) -> &mut Hardware {
        &mut self.shell.hardware[usize::from(q)]
    }

    fn interruption(&mut self, q: u8) -> Option<&mut Enabled> {
        self.shell.interruptions[usize::from(q)].as_mut()
    }

    fn device(&mut self, q: u8) -> &mut Device {
        &mut self.shell.devices[usize::from(q)]
    }

    fn is_reachable(&self, q: u8) -> bool {
        self.masks.iter().any(|masks| masks.may_reach(queue(q)))
    }

    /// Returns the configuration in the reply to PQAP(QCI).
    fn machine_config(&self) -> Bits {
        let there = |q: &usize| self.shell.hardware[*q].is_there;
        (0..N).filter(there).fold(DOMAIN, |set, q| set | 1 << q)
    }

    fn ap<'b>(shell: &'b mut Shell, wrong: &'b mut Option<&'static str>) -> Ap<'b> {
        let orphan = shell
            .interruptions
            .map(|it| it.is_some_and(|it| it.owner.is_orphan));
        Ap {
            hardware: &mut shell.hardware,
            devices: &shell.devices,
            orphan,
            wrong,
            accepted: false,
        }
    }

    /// `Interruptions::release()`
    fn release(shell: &mut Shell, q: u8) {
        if let Some(it) = shell.interruptions[usize::from(q)].take() {
            if it.owner.pin {
                shell.mdevs[usize::from(it.owner.mdev)].released += 1;
            } else {
                shell.frames = true;
            }
        }
    }

    /// `Interruptions::step_all()`
    fn step_all(&mut self, mut is_due: impl FnMut(u8, &mut Enabled) -> bool) {
        for q in self.queues() {
            let Some(mut it) = self.shell.interruptions[usize::from(q)] else {
                continue;
            };
            if !is_due(q, &mut it) {
                self.shell.interruptions[usize::from(q)] = Some(it);
                continue;
            }
            let ap = &mut Self::ap(&mut self.shell, &mut self.wrong);
            let mut is_over = it.step(queue(q), ap);
            if !self.rules.off_is_not_the_end {
                is_over |= ap.test(queue(q)) == (response::NORMAL, false);
            }
            self.shell.interruptions[usize::from(q)] = Some(it);
            if is_over {
                Self::release(&mut self.shell, q);
            }
        }
    }

    fn any_ending(&self) -> bool {
        let mut all = self.shell.interruptions.iter().flatten();
        all.any(Interruption::is_ending)
    }

    /// `VfioAp::step()`
    fn step_adapter(&mut self, apid: Apid) {
        let mut ended = [None; N];
        let ap = &mut Self::ap(&mut self.shell, &mut self.wrong);
        self.host.step(apid, ap, |apqn, progress, _| {
            ended[usize::from(apqn.apid.0)] = Some(progress);
        });
        for (q, progress) in (0..).zip(ended) {
            let Some(progress) = progress else { continue };
            let is_there = progress != Progress::Failed(response::NOT_AVAILABLE);
            self.shell.is_doubtful |= is_there != self.host.config().has_queue(queue(q));
            if is_there && matches!(progress, Progress::Failed(_)) {
                self.end_interruption(q);
            } else {
                Self::release(&mut self.shell, q);
            }
        }
        if ended != [None; N] {
            self.wake();
        }
    }

    /// `Interruptions::end()`
    fn end_interruption(&mut self, q: u8) {
        if let Some(it) = self.interruption(q) {
            it.end();
        }
    }

    /// `State::update_guests()`
    fn decide(&mut self) {
        while self.host.needs_update() {
            let decided = self.masks.map(|masks| masks.due_if_affected(&self.host));
            self.host.clear_changes();
            for (g, decided) in (0..).zip(decided) {
                if let Some(due) = decided {
                    self.apply_due(g, due);
                }
            }
        }
    }

    /// `Mdev::apply_due()`
    fn apply_due(&mut self, g: u8, due: Matrix) {
        let lost = self.masks[usize::from(g)].set_due(due);
        self.host.queues.revoke(&lost);
        if self.universe.quick_commits {
            self.masks[usize::from(g)].begin_commit();
            let lost = self.masks[usize::from(g)].end_commit();
            self.host.queues.reset_revoked(&lost);
            self.shell.look |= !lost.is_empty();
        }
    }

    /// `VfioAp::reconcile()`
    fn reconcile(&mut self) {
        for apid in self.host.queues.resetting().iter() {
            self.step_adapter(apid);
        }
        // `State::recheck_config()`
        if std::mem::take(&mut self.shell.is_doubtful) && !self.host.is_scanning() {
            self.host.set_config(matrix(self.machine_config()));
        }
        self.decide();
        self.shell.look |= !self.host.queues.resetting().is_empty();
        self.shell.retry |= self.host.queues.any_failed() || self.any_ending();
    }

    /// `VfioAp::run()`
    fn look(&mut self) {
        self.shell.look = false;
        self.reconcile();
        let pending = self.pending();
        self.step_all(|q, it| it.is_ending() && !pending[usize::from(q)]);
        self.shell.look |= self.any_ending();
        self.shell.frames = false;
    }

    fn pending(&self) -> [bool; N] {
        std::array::from_fn(|q| self.host.queues.is_pending(queue(q as u8)))
    }

    /// The end of a reset or of a commit wakes the tasks that do not poll themselves.
    fn wake(&mut self) {
        if !self.rules.waiters_look {
            self.waiter_looks();
        }
    }

    /// The condition of `MatrixMdev::wait_until_ready()`
    fn waiter_looks(&mut self) {
        if let Some((g, lost)) = self.shell.waiter {
            let masks = &self.masks[usize::from(g)];
            let lost = QueueSet::new(&matrix(lost), &Matrix::EMPTY);
            let host = &self.host;
            let is_unfinished = !masks.is_committed()
                || host.queues.any_pending_in(&lost)
                || !host.is_scanning() && host.awaits_resets(&masks.assigned);
            if !is_unfinished {
                self.shell.waiter = None;
            }
        }
    }

    /// `MatrixMdev::apply_change()`
    fn change(&mut self, g: u8, change: &Change) {
        let mut masks = self.masks[usize::from(g)];
        let assigned = match change {
            Change::Assign(matrix) => *matrix,
            _ => masks.assigned,
        };
        for apid in assigned.apm.iter() {
            self.host.queues.retry_failed_in(apid, assigned.aqm);
        }
        let due = masks.apply(change, &self.host);
        self.masks[usize::from(g)] = masks;
        self.apply_due(g, due);
    }

    // The pins of an mdev.

    /// `State::next_job()`, and the part of the job that no other task can see.
    fn pin_work_takes(&mut self, g: u8) {
        let wanted = self.shell.interruptions.iter_mut().flatten().find(|it| {
            let owner = it.owner;
            owner.mdev == g && owner.is_wanted_back && owner.pin
        });
        let mdev = &mut self.shell.mdevs[usize::from(g)];
        if mdev.released != 0 {
            mdev.released -= 1;
            mdev.hand = Hand::Unpinning;
        } else if let Some(it) = wanted {
            it.owner.pin = false;
            mdev.hand = Hand::Unpinning;
        } else if mdev.candidate == Candidate::Unwanted {
            mdev.candidate = Candidate::None;
            mdev.hand = Hand::Unpinning;
        } else if mdev.candidate == Candidate::Wanted {
            mdev.candidate = Candidate::Pinning;
            mdev.hand = Hand::Pinning;
        }
    }

    /// The end of `vfio_pin_pages()` or of a turn of `Mdev::run()`.
    fn pin_work_finishes(&mut self, g: u8) {
        let mdev = self.mdev(g);
        match mdev.hand {
            Hand::Empty => {}
            Hand::Pinning if mdev.page == Page::Mapped => mdev.hand = Hand::Pinned,
            Hand::Pinning => {
                mdev.candidate = Candidate::Refused;
                mdev.hand = Hand::Empty;
            }
            Hand::Pinned => {
                mdev.candidate = match mdev.candidate {
                    Candidate::Pinning => Candidate::Pinned,
                    _ => Candidate::Unwanted,
                };
                mdev.hand = Hand::Empty;
            }
            Hand::Unpinning => mdev.hand = Hand::Empty,
        }
    }

    /// Returns true if `Mdev::flush_pin_work()` does not wait.
    fn is_flushed(&self, g: u8) -> bool {
        let mdev = &self.shell.mdevs[usize::from(g)];
        let has_job = mdev.released != 0
            || matches!(mdev.candidate, Candidate::Wanted | Candidate::Unwanted)
            || self.of_mdev(g).any(|it| it.is_wanted_back && it.pin);
        mdev.hand == Hand::Empty && !has_job
    }

    fn of_mdev(&self, g: u8) -> impl Iterator<Item = Owner> + '_ {
        let all = self.shell.interruptions.iter().flatten();
        all.map(|it| it.owner).filter(move |it| it.mdev == g)
    }

    /// `Mdev::pins()` without pins in preparation.
    fn pins(&self, g: u8) -> bool {
        let mdev = &self.shell.mdevs[usize::from(g)];
        matches!(mdev.hand, Hand::Pinned | Hand::Unpinning)
            || matches!(mdev.candidate, Candidate::Pinned | Candidate::Unwanted)
            || mdev.released != 0
            || self.of_mdev(g).any(|it| it.pin)
    }

    /// `State::has_pinned_pages()`
    fn has_pinned_pages(&self, g: u8) -> bool {
        let mdev = &self.shell.mdevs[usize::from(g)];
        let has_candidate = mdev.hand != Hand::Empty
            || matches!(mdev.candidate, Candidate::Pinned | Candidate::Unwanted);
        has_candidate && self.rules.page_in_table
            || mdev.released != 0
            || self.of_mdev(g).any(|it| it.pin)
    }

    /// `Pins::discard()`
    fn discard(&mut self, g: u8) {
        let candidate = &mut self.mdev(g).candidate;
        *candidate = match *candidate {
            Candidate::Pinned => Candidate::Unwanted,
            Candidate::Wanted | Candidate::Refused => Candidate::None,
            other => other,
        };
    }

    /// `Pins::cancel()`
    fn cancel(&mut self, g: u8) {
        let mdev = self.mdev(g);
        mdev.candidate = match mdev.candidate {
            Candidate::Wanted => Candidate::Refused,
            Candidate::Pinning => Candidate::Cancelled,
            Candidate::Pinned => Candidate::Unwanted,
            other => other,
        };
    }

    // AQIC.

    /// `aqic::refusal()`
    fn refusal(&mut self, g: u8, q: u8) -> Option<u8> {
        let apqn = queue(q);
        let refuses = self.rules.refused_in_reset;
        if self.host.queues.is_pending(apqn) && refuses {
            self.step_adapter(apqn.apid);
        }
        let is_ending = self.interruption(q).is_some_and(|it| it.is_ending());
        interrupts::refusal(Facts {
            granted: self.masks[usize::from(g)].granted.has_queue(apqn),
            bound: self.host.queues.is_bound(apqn) || !self.rules.refused_if_unbound,
            resetting: self.host.queues.is_pending(apqn) && refuses,
            ending: is_ending,
        })
    }

    /// `pqap::enable_interruptions()` or `pqap::disable_interruptions()`
    fn aqic(&mut self, q: u8, target: Option<Target>) -> u8 {
        let mut ap = Self::ap(&mut self.shell, &mut self.wrong);
        ap.changes(queue(q)).aqic(target)
    }

    /// `aqic::enable_candidate()`
    fn enable_candidate(&mut self, g: u8, q: u8) -> u8 {
        if let Some(code) = self.refusal(g, q) {
            return code;
        }
        if self.mdev(g).candidate != Candidate::Pinned {
            return response::INVALID_ADDRESS;
        }
        let epoch = self.mdev(g).epoch;
        let code = self.aqic(q, Some(Target::Guest(g, epoch)));
        if code == response::NORMAL {
            self.mdev(g).candidate = Candidate::None;
            Self::release(&mut self.shell, q);
            let owner = Owner {
                mdev: g,
                epoch,
                pin: true,
                is_wanted_back: false,
                is_orphan: false,
            };
            let mut it = Interruption::new((), owner);
            it.enable_accepted();
            self.shell.interruptions[usize::from(q)] = Some(it);
        }
        code
    }

    /// A turn of `aqic::disable_for_host()`, or the last one.
    fn disable_for_host(&mut self, g: u8, q: u8, mut is_disabled: bool, is_last: bool) {
        let is_hosts = self.refusal(g, q).is_none() && self.interruption(q).is_none();
        self.mdev(g).vcpu = if !is_hosts {
            Vcpu::Discarding
        } else {
            if !is_disabled {
                let code = self.aqic(q, None);
                is_disabled = !matches!(code, response::BUSY | response::RESET_IN_PROGRESS);
            }
            let is_over = is_disabled && !self.hardware(q).tapq().1;
            if is_over || is_last {
                Vcpu::Again(q)
            } else {
                Vcpu::Taking(q, is_disabled)
            }
        };
    }

    fn vcpu_goes_on(&mut self, g: u8, is_last: bool) {
        let vcpu = self.mdev(g).vcpu;
        match vcpu {
            Vcpu::Requested(q) if self.is_flushed(g) => {
                let code = self.enable_candidate(g, q);
                self.mdev(g).vcpu = if code == response::OTHERWISE_CHANGED {
                    Vcpu::Taking(q, false)
                } else {
                    Vcpu::Discarding
                };
            }
            Vcpu::Taking(q, is_disabled) => self.disable_for_host(g, q, is_disabled, is_last),
            Vcpu::Again(q) => {
                self.enable_candidate(g, q);
                self.mdev(g).vcpu = Vcpu::Discarding;
            }
            Vcpu::Discarding => {
                self.discard(g);
                self.mdev(g).vcpu = Vcpu::Flushing;
            }
            Vcpu::Disabling(q) => {
                self.step_all(|p, it| p == q && it.is_ending());
                let is_over = !self.interruption(q).is_some_and(|it| it.is_ending());
                self.shell.look |= !is_over && is_last;
                if is_over || is_last {
                    self.mdev(g).vcpu = Vcpu::Flushing;
                }
            }
            Vcpu::Flushing if self.is_flushed(g) => self.mdev(g).vcpu = Vcpu::Idle,
            _ => {}
        }
    }

    // The user.

    /// A turn of `end()` of `aqic::unmap()`. Returns true if all interruptions have ended.
    fn unmap_ends(&mut self, g: u8) -> bool {
        let pending = self.pending();
        self.step_all(|q, it| {
            let is_due = it.owner.mdev == g;
            if is_due {
                it.end();
            }
            is_due && !pending[usize::from(q)]
        });
        !self.of_mdev(g).any(|it| it.pin)
    }

    /// `pages::force_unpin()`
    fn force_unpin(&mut self, g: u8) {
        for it in self.shell.interruptions.iter_mut().flatten() {
            if it.owner.mdev == g && it.owner.pin {
                it.end();
                it.owner.is_wanted_back = true;
                self.shell.look = true;
            }
        }
    }

    fn user_goes_on(&mut self, g: u8, is_last: bool) {
        let call = self.mdev(g).call;
        let next = match call {
            Call::UnmapAqic if self.unmap_ends(g) => Call::UnmapPins,
            Call::UnmapAqic if is_last => {
                // `aqic::reset_remaining()`
                for q in self.queues() {
                    if self.interruption(q).is_some_and(|it| it.owner.mdev == g) {
                        self.host.queues.reset_queue_in_place(queue(q));
                    }
                }
                self.reconcile();
                Call::UnmapReset
            }
            Call::UnmapReset if self.unmap_ends(g) => Call::UnmapPins,
            Call::UnmapReset if is_last => {
                self.force_unpin(g);
                Call::UnmapPins
            }
            Call::UnmapPins if !self.has_pinned_pages(g) => {
                self.mdev(g).page = Page::Unmapped;
                Call::None
            }
            Call::CloseCommit
                if self.masks[usize::from(g)].is_committed() && self.mdev(g).vcpu == Vcpu::Idle =>
            {
                Call::CloseStep
            }
            Call::CloseStep => {
                self.step_all(|_, it| it.owner.mdev == g);
                Call::CloseTake
            }
            Call::CloseTake => {
                self.force_unpin(g);
                Call::CloseFlush
            }
            Call::CloseFlush if self.is_flushed(g) && !self.pins(g) => {
                self.mdev(g).is_open = false;
                Call::None
            }
            call => call,
        };
        self.mdev(g).call = next;
    }

    /// `MatrixMdev::reset()`
    fn device_reset(&mut self, g: u8) {
        let Masks {
            assigned, granted, ..
        } = self.masks[usize::from(g)];
        for apid in assigned.apm.iter() {
            self.host.queues.retry_failed_in(apid, assigned.aqm);
        }
        for (apid, row) in QueueSet::new(&granted, &Matrix::EMPTY).rows() {
            self.host.queues.reset_in_place(apid, row);
        }
        self.reconcile();
    }

    // Devices.

    /// The first hold of the lock in `QueueDriver::unbind()`
    fn unbind(&mut self, q: u8, by_bus: bool) {
        let is_scanner = by_bus || !self.rules.unbind_waits;
        let is_gone = self.host.is_scanning() && !self.host.config().has_queue(queue(q));
        let how = if is_scanner && is_gone {
            Unbinding::ByScan
        } else {
            Unbinding::ByHand
        };
        self.host.unbind(queue(q), how);
        let next = Leaving::Proceed(how == Unbinding::ByHand);
        *self.device(q) = Device::Leaving(next, by_bus);
    }

    fn unbind_goes_on(&mut self, q: u8, is_last: bool) {
        let Device::Leaving(leaving, by_bus) = *self.device(q) else {
            return;
        };
        let next = match leaving {
            Leaving::Proceed(is_by_hand) => {
                self.reconcile();
                Some(if is_by_hand {
                    Leaving::Reach
                } else {
                    Leaving::Reset(false, false)
                })
            }
            Leaving::Reach if self.is_reachable(q) => Some(leaving),
            Leaving::Reach => Some(Leaving::Reset(false, false)),
            Leaving::Reset(accepted, seen) => self.release_goes_on(q, accepted, seen, is_last),
            Leaving::Leave => {
                self.step_all(|p, _| p == q);
                let remains = self.interruption(q).is_some();
                if let (true, Some(it)) = (is_last, self.interruption(q)) {
                    it.orphan();
                    it.owner.is_orphan = true;
                    self.shell.look = true;
                }
                (remains && !is_last).then_some(Leaving::Leave)
            }
        };
        *self.device(q) = match next {
            Some(next) => Device::Leaving(next, by_bus),
            None if by_bus => Device::None,
            None => Device::Free,
        };
    }

    /// A turn of `release()`
    fn release_goes_on(
        &mut self,
        q: u8,
        accepted: bool,
        seen: bool,
        is_last: bool,
    ) -> Option<Leaving> {
        let mut ap = Self::ap(&mut self.shell, &mut self.wrong);
        let mut reset = reset(accepted);
        let progress = reset.step(queue(q), &mut ap);
        let accepted = accepted | ap.accepted;
        let seen = seen | reset.is_seen();
        match progress {
            Progress::Done | Progress::Failed(response::NOT_AVAILABLE) => {
                Self::release(&mut self.shell, q);
                None
            }
            Progress::Pending if !is_last => Some(Leaving::Reset(accepted, seen)),
            Progress::Pending | Progress::Failed(_) if !self.rules.kept_past_unbind => {
                Self::release(&mut self.shell, q);
                None
            }
            Progress::Pending | Progress::Failed(_) => {
                // `Interruptions::end_after()`
                self.end_interruption(q);
                let knows = seen && self.rules.knows_of_reset;
                if let (true, Some(it)) = (knows, self.interruption(q)) {
                    it.reset_seen();
                }
                Some(Leaving::Leave)
            }
        }
    }

    /// `QueueDriver::bound()`
    fn bind(&mut self, q: u8) {
        *self.device(q) = Device::Ours;
        if self.is_reachable(q) && self.rules.held_in_reach {
            self.host.queues.bind_revoked(queue(q));
        } else {
            self.host.queues.bind(queue(q));
        }
        self.reconcile();
    }

    fn apply(&mut self, event: Event) {
        self.take(event);
        if self.universe.quick_pins {
            for g in 0..self.universe.guests {
                self.hurry(g);
            }
        }
    }

    /// Continues until a task has to wait for more than pins.
    fn hurry(&mut self, g: u8) {
        loop {
            let mdev = *self.mdev(g);
            if !self.is_flushed(g) {
                self.pin_work_takes(g);
            }
            self.pin_work_finishes(g);
            if matches!(
                mdev.vcpu,
                Vcpu::Requested(_) | Vcpu::Again(_) | Vcpu::Discarding | Vcpu::Flushing
            ) {
                self.vcpu_goes_on(g, false);
            }
            if *self.mdev(g) == mdev && self.is_flushed(g) {
                return;
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::ChangeEnds(q) => {
                let hardware = self.hardware(q);
                hardware.enabled = hardware.change.take().flatten();
            }
            Event::ResetEnds(q) => self.hardware(q).clear(),
            Event::Breaks(q) => self.hardware(q).is_broken = true,
            Event::Recovers(q) => self.hardware(q).is_broken = false,
            Event::Vanishes(q) => {
                self.hardware(q).clear();
                self.hardware(q).is_there = false;
            }
            Event::Returns(q) => self.hardware(q).is_there = true,
            Event::Look => self.look(),
            Event::Retry => {
                // `<Driver as WorkItem<RETRY>>::run()`
                self.shell.retry = false;
                self.host.queues.retry_failed();
                self.reconcile();
            }
            Event::Proceed => self.reconcile(),
            Event::PinWorkTakes(g) => self.pin_work_takes(g),
            Event::PinWorkFinishes(g) => self.pin_work_finishes(g),
            Event::CommitBegins(g) => {
                self.masks[usize::from(g)].begin_commit();
            }
            Event::CommitEnds(g) => {
                let lost = self.masks[usize::from(g)].end_commit();
                if !lost.is_empty() {
                    // `VfioAp::reset_revoked()`
                    self.host.queues.reset_revoked(&lost);
                    self.reconcile();
                }
                self.wake();
            }
            Event::Enable(g, q) => {
                // `Pins::unmapping`
                let is_barred = self.mdev(g).page == Page::Unmapping;
                if self.refusal(g, q).is_none() && !is_barred {
                    self.mdev(g).candidate = Candidate::Wanted;
                    self.mdev(g).vcpu = Vcpu::Requested(q);
                }
            }
            Event::Disable(g, q) => {
                if self.refusal(g, q).is_none() {
                    let code = self.aqic(q, None);
                    if let Some(it) = self.interruption(q) {
                        it.disable_answered(code);
                    }
                    self.mdev(g).vcpu = Vcpu::Disabling(q);
                }
            }
            Event::VcpuGoesOn(g) => self.vcpu_goes_on(g, false),
            Event::VcpuTimesOut(g) => self.vcpu_goes_on(g, true),
            Event::GuestResets(_, q) | Event::HostResets(q) => {
                self.hardware(q).zapq();
            }
            Event::Unmap(g) => {
                let any = self.has_pinned_pages(g);
                if self.rules.page_in_table {
                    self.cancel(g);
                }
                (self.mdev(g).page, self.mdev(g).call) = if any {
                    (Page::Unmapping, Call::UnmapAqic)
                } else {
                    (Page::Unmapped, Call::None)
                };
            }
            Event::Map(g) => self.mdev(g).page = Page::Mapped,
            Event::Open(g) => {
                let mdev = self.mdev(g);
                (mdev.is_open, mdev.epoch) = (true, !mdev.epoch);
                self.change(g, &Change::Open);
                self.reconcile();
            }
            Event::Close(g) => {
                self.change(g, &Change::Close);
                self.mdev(g).call = Call::CloseCommit;
            }
            Event::DeviceReset(g) => self.device_reset(g),
            Event::UserGoesOn(g) => self.user_goes_on(g, false),
            Event::UserTimesOut(g) => self.user_goes_on(g, true),
            Event::Assign(g, q, is_assigned) => {
                let masks = &self.masks[usize::from(g)];
                let granted = bits(&masks.granted);
                let mut assigned = masks.assigned;
                assigned.apm.set(Apid(q), is_assigned);
                self.change(g, &Change::Assign(assigned));
                self.reconcile();
                let lost = granted & (1 << q | DOMAIN);
                if self.universe.waiters && !is_assigned {
                    self.shell.waiter = Some((g, lost));
                    self.waiter_looks();
                }
            }
            Event::WaiterGoesOn => self.waiter_looks(),
            Event::WaiterTimesOut => self.shell.waiter = None,
            Event::Bind(q) => self.bind(q),
            Event::Unbind(q) => self.unbind(q, false),
            Event::UnbindGoesOn(q) => self.unbind_goes_on(q, false),
            Event::UnbindTimesOut(q) => self.unbind_goes_on(q, true),
            Event::ScanBegins => {
                self.shell.bus_config = self.machine_config();
                self.host.scan_begins(matrix(self.shell.bus_config));
            }
            Event::BusRemoves(q) if *self.device(q) == Device::Ours => self.unbind(q, true),
            Event::BusRemoves(q) => *self.device(q) = Device::None,
            Event::BusAdds(q) => {
                self.shell.is_new[usize::from(q)] = self.universe.bus_enables;
                self.bind(q);
            }
            Event::BusEnables(q) => {
                self.shell.is_new[usize::from(q)] = false;
                self.hardware(q).aqic(Some(Target::Host));
            }
            Event::ScanEnds => {
                self.host.scan_ends(matrix(self.shell.bus_config));
                self.reconcile();
            }
            Event::GraceEnds => {
                self.host.end_grace();
                self.reconcile();
            }
            Event::HostBinds(q) => *self.device(q) = Device::Hosts,
            Event::HostEnables(q) => {
                self.hardware(q).aqic(Some(Target::Host));
            }
            Event::HostUnbinds(q) => *self.device(q) = Device::Free,
        }
    }

    /// Returns the description of an error in this state, if there is one.
    fn check(&self) -> Option<&'static str> {
        if self.wrong.is_some() {
            return self.wrong;
        }
        for q in self.queues() {
            let i = usize::from(q);
            let (it, device) = (&self.shell.interruptions[i], self.shell.devices[i]);
            for target in self.shell.hardware[i].targets() {
                if let Target::Guest(g, epoch) = target {
                    let is_its = |owner: Owner| (owner.mdev, owner.epoch) == (g, epoch);
                    if !it.is_some_and(|it| is_its(it.owner)) {
                        return Some("enabled for a guest without an allocated target");
                    }
                }
            }
            if it.is_some_and(|it| !it.owner.is_orphan) && !device.is_ours() {
                return Some("interruptions of a queue that the driver does not have");
            }
            let reached = self.masks.iter().filter(|masks| masks.may_reach(queue(q)));
            match reached.count() {
                0 => {}
                1 if !matches!(device, Device::Free | Device::Hosts) => {}
                1 => return Some("a queue in the reach of a guest and of the host"),
                _ => return Some("a queue in the reach of two guests"),
            }
        }
        let is_stale = |masks: &Masks| masks.is_committed() && masks.granted != masks.apcb;
        if self.masks.iter().any(is_stale) {
            return Some("the granted masks differ from the guest's masks");
        }
        let is_stale = |masks: &Masks| masks.is_committed() && masks.granted != masks.apcb;
        if self.masks.iter().any(is_stale) {
            return Some("the granted masks differ from the guest's masks");
        }
        for g in 0..self.universe.guests {
            let mdev = &self.shell.mdevs[usize::from(g)];
            if mdev.page == Page::Unmapped && self.pins(g) {
                return Some("pinned after dma_unmap");
            }
            if !mdev.is_open && self.pins(g) {
                return Some("pinned after the end");
            }
        }
        None
    }

    /// Returns the description of a remaining object or wait when the machine has finished all
    /// operations and all other actors have released their objects.
    fn check_end(&self) -> Option<&'static str> {
        let Shell {
            interruptions,
            devices,
            mdevs,
            frames,
            waiter,
            ..
        } = &self.shell;
        if interruptions.iter().any(Option::is_some) || *frames {
            return Some("held forever");
        }
        if waiter.is_some() {
            return Some("an administrator waits forever");
        }
        if devices.iter().any(|it| matches!(it, Device::Leaving(..))) {
            return Some("unbinding lasts forever");
        }
        let is_idle = |mdev: &Mdev| {
            !mdev.is_open
                && (mdev.vcpu, mdev.call) == (Vcpu::Idle, Call::None)
                && (mdev.hand, mdev.candidate, mdev.released) == (Hand::Empty, Candidate::None, 0)
        };
        if !mdevs.iter().all(is_idle) || !self.masks.iter().all(Masks::is_committed) {
            return Some("a guest or its user waits forever");
        }
        if self.host.needs_update() {
            return Some("nobody follows");
        }
        let is_usable = |q| self.host.queues.usable(Apid(q)).contains(Apqi(0));
        let mut ours = (0..).zip(devices).filter(|(_, it)| it.is_ours());
        let is_lost = ours.any(|(q, _)| !is_usable(q));
        is_lost.then_some("a queue is unusable forever")
    }
}

impl Universe {
    fn first(&self, books: &mut Books) -> State {
        let hardware = Hardware {
            is_there: true,
            is_broken: false,
            is_resetting: false,
            enabled: None,
            change: None,
        };
        let mdev = Mdev {
            is_open: false,
            epoch: false,
            candidate: Candidate::None,
            hand: Hand::Empty,
            released: 0,
            vcpu: Vcpu::Idle,
            call: Call::None,
            page: Page::Mapped,
        };
        let all = ((1 << self.queues) - 1) | DOMAIN;
        let nobody = (User::Nobody, [DOMAIN, 0, 0, 0], None);
        let mut state = State {
            shell: Shell {
                hardware: [hardware; N],
                devices: [Device::None; N],
                is_new: [false; N],
                interruptions: [None; N],
                mdevs: [mdev; N],
                frames: false,
                look: false,
                retry: false,
                is_doubtful: false,
                bus_config: all,
                waiter: None,
            },
            entries: 0,
            config: all,
            unbound_by_hand: 0,
            is_scanning: false,
            is_grace: false,
            is_urgent: false,
            masks: [nobody; N],
        };
        for hardware in &mut state.shell.hardware[usize::from(self.queues)..] {
            hardware.is_there = false;
        }
        state.masks[0].1[0] = all;
        let mut entries = [Entry::NONE; N];
        let mut world = World::new(&RIGHT, self, &state, &mut entries);
        let first = (0..self.queues).map(Event::BusAdds);
        let resets = (0..self.queues).map(Event::ResetEnds);
        let opens = (0..self.guests).map(Event::Open);
        let commits = (0..self.guests).flat_map(|g| [Event::CommitBegins(g), Event::CommitEnds(g)]);
        for event in first
            .chain(resets)
            .chain([Event::Look])
            .chain(opens)
            .chain(commits)
        {
            world.apply(event);
        }
        assert_eq!(world.check(), None);
        let state = world.state();
        State {
            entries: books.number(entries),
            ..state
        }
    }

    /// Returns the number of terminating events, and adds all possible events. The terminating
    /// events are first, and the most certain ones among them lead.
    fn events(&self, world: &World<'_>, events: &mut Vec<Event>) -> usize {
        let State {
            shell,
            is_scanning,
            is_grace,
            ..
        } = world.state();
        let queues = || (0..self.queues).map(|q| (q, usize::from(q)));
        let guests = || (0..self.guests).map(|g| (g, shell.mdevs[usize::from(g)]));
        let by_bus = |device: &Device| matches!(device, Device::Leaving(_, true));
        let bus_is_busy = shell.devices.iter().any(by_bus);
        let has = |q: u8| shell.bus_config >> q & 1 != 0;

        // The machine finishes its operations.
        for (q, i) in queues() {
            if shell.hardware[i].change.is_some() {
                events.push(Event::ChangeEnds(q));
            }
            if shell.hardware[i].is_resetting {
                events.push(Event::ResetEnds(q));
            }
        }
        // All tasks continue.
        if shell.look {
            events.push(Event::Look);
        }
        for (g, mdev) in guests() {
            if mdev.hand != Hand::Empty {
                events.push(Event::PinWorkFinishes(g));
            } else if !world.is_flushed(g) {
                events.push(Event::PinWorkTakes(g));
            }
            let masks = &world.masks[usize::from(g)];
            if masks.committing.is_some() {
                events.push(Event::CommitEnds(g));
            } else if !masks.is_committed() {
                events.push(Event::CommitBegins(g));
            }
            if mdev.vcpu != Vcpu::Idle {
                events.push(Event::VcpuGoesOn(g));
            }
            if mdev.call != Call::None {
                events.push(Event::UserGoesOn(g));
            }
        }
        for (q, i) in queues() {
            if matches!(shell.devices[i], Device::Leaving(..)) {
                events.push(Event::UnbindGoesOn(q));
            }
        }
        if shell.waiter.is_some() && world.rules.waiters_look {
            events.push(Event::WaiterGoesOn);
        }
        // The bus.
        for (q, i) in queues() {
            let is_gone = is_scanning && !has(q) || !shell.hardware[i].is_there;
            let device = shell.devices[i];
            let can_go = matches!(device, Device::Ours | Device::Free)
                || device == Device::Hosts && !shell.hardware[i].is_there;
            if is_gone && can_go && !bus_is_busy && !is_grace {
                events.push(Event::BusRemoves(q));
            }
        }
        let is_seen = |(q, i)| has(q) || shell.devices[i] == Device::None;
        if is_scanning && !bus_is_busy && queues().all(is_seen) {
            events.push(Event::ScanEnds);
        }
        if is_grace {
            events.push(Event::GraceEnds);
        }
        // Time-outs.
        for (g, mdev) in guests() {
            if matches!(mdev.vcpu, Vcpu::Taking(..) | Vcpu::Disabling(_)) {
                events.push(Event::VcpuTimesOut(g));
            }
            if matches!(mdev.call, Call::UnmapAqic | Call::UnmapReset) {
                events.push(Event::UserTimesOut(g));
            }
        }
        for (q, i) in queues() {
            let reset_or_leave = |leaving| matches!(leaving, Leaving::Reset(..) | Leaving::Leave);
            if matches!(shell.devices[i], Device::Leaving(leaving, _) if reset_or_leave(leaving)) {
                events.push(Event::UnbindTimesOut(q));
            }
        }
        if shell.waiter.is_some() && world.rules.waiters_look {
            events.push(Event::WaiterTimesOut);
        }
        // Users and the host release their objects.
        for (g, mdev) in guests() {
            if mdev.is_open && mdev.call == Call::None {
                events.push(Event::Close(g));
            }
        }
        for (q, i) in queues() {
            let hardware = &shell.hardware[i];
            let is_hosts = hardware.targets().any(|target| target == Target::Host);
            match shell.devices[i] {
                Device::Hosts | Device::Free if is_hosts && !hardware.is_resetting => {
                    events.push(Event::HostResets(q));
                }
                Device::Hosts if !is_hosts && !hardware.is_resetting => {
                    events.push(Event::HostUnbinds(q));
                }
                _ => {}
            }
        }
        for (q, i) in queues() {
            if shell.hardware[i].is_broken {
                events.push(Event::Recovers(q));
            }
        }
        // The remaining target of a queue is freed at the latest when the driver is bound again.
        for (q, i) in queues() {
            let remains = shell.interruptions[i].is_some();
            if shell.devices[i] == Device::Free && remains && self.bound_again {
                events.push(Event::Bind(q));
            }
        }
        if shell.retry {
            events.push(Event::Retry);
        }
        let ends = events.len();

        // The events that begin an operation.
        events.push(Event::Proceed);
        for (g, mdev) in guests() {
            let masks = &world.masks[usize::from(g)];
            if !mdev.is_open {
                if self.close {
                    events.push(Event::Open(g));
                }
                continue;
            }
            let has_hook = matches!(
                mdev.call,
                Call::None
                    | Call::UnmapAqic
                    | Call::UnmapReset
                    | Call::UnmapPins
                    | Call::CloseCommit
            );
            for q in 0..self.queues {
                if has_hook && g < self.enabling && mdev.vcpu == Vcpu::Idle {
                    events.push(Event::Enable(g, q));
                    if self.disable {
                        events.push(Event::Disable(g, q));
                    }
                }
                if has_hook && self.guest_resets && masks.may_reach(queue(q)) {
                    events.push(Event::GuestResets(g, q));
                }
            }
            if g < self.unmapping && mdev.call == Call::None {
                match mdev.page {
                    Page::Mapped => events.push(Event::Unmap(g)),
                    Page::Unmapped => events.push(Event::Map(g)),
                    Page::Unmapping => {}
                }
            }
            let is_closing = !has_hook || mdev.call == Call::CloseCommit;
            if self.device_reset && !is_closing {
                events.push(Event::DeviceReset(g));
            }
        }
        if shell.waiter.is_none() {
            for g in 0..self.guests {
                for q in self.queues - self.assignable..self.queues {
                    let is_assigned = |g: usize| world.masks[g].assigned.has_queue(queue(q));
                    if is_assigned(usize::from(g)) {
                        events.push(Event::Assign(g, q, false));
                    } else if !is_assigned(1 - usize::from(g)) {
                        events.push(Event::Assign(g, q, true));
                    }
                }
            }
        }
        for (q, i) in queues() {
            let hardware = &shell.hardware[i];
            match shell.devices[i] {
                Device::Free if self.unbind => {
                    events.push(Event::Bind(q));
                    if self.hosts_driver {
                        events.push(Event::HostBinds(q));
                    }
                }
                Device::Ours if self.unbind => events.push(Event::Unbind(q)),
                Device::Hosts => {
                    events.push(Event::HostEnables(q));
                    events.push(Event::HostResets(q));
                }
                Device::None if has(q) && hardware.is_there && !bus_is_busy && !is_grace => {
                    events.push(Event::BusAdds(q));
                }
                _ => {}
            }
            if shell.is_new[i] && shell.devices[i] != Device::None {
                events.push(Event::BusEnables(q));
            }
            if q < self.flapping {
                events.push(if hardware.is_there {
                    Event::Vanishes(q)
                } else {
                    Event::Returns(q)
                });
            }
            if q < self.failing && !hardware.is_broken {
                events.push(Event::Breaks(q));
            }
        }
        let is_other = world.machine_config() != shell.bus_config;
        if is_other && !is_scanning && !is_grace && !bus_is_busy {
            events.push(Event::ScanBegins);
        }
        ends
    }

    /// Explores all states. Returns the numbers of states and transitions, or the first error.
    fn explore(&self, rules: &Rules) -> Result<(usize, usize), Box<Wrong>> {
        let mut books = Books::default();
        let first = self.first(&mut books);
        let mut search = Search {
            states: vec![first],
            numbers: QuickMap::default(),
            came_by: vec![(0, Event::Look)],
        };
        search.numbers.insert(first, 0);
        // The next state of each state if no actor begins an operation.
        let mut ends: Vec<u32> = Vec::new();
        let mut transitions = 0;
        let mut events = Vec::new();
        while ends.len() < search.states.len() {
            let number = ends.len() as u32;
            let state = search.states[number as usize];
            let old = books.entries[state.entries as usize];
            let mut entries = old;
            events.clear();
            let world = World::new(rules, self, &state, &mut entries);
            let count = self.events(&world, &mut events);
            let remains = world.check_end();
            let mut end = None;
            for (i, event) in events.iter().enumerate() {
                // Closing is a terminating event even if users do not close.
                let is_end = i < count;
                let is_last = matches!(event, Event::Close(_)) && !self.close
                    || matches!(event, Event::Bind(_));
                if is_end && end.is_some() && is_last {
                    continue;
                }
                transitions += 1;
                entries = old;
                let mut world = World::new(rules, self, &state, &mut entries);
                world.apply(*event);
                let wrong = world.check();
                let mut next = world.state();
                next.entries = if entries == old {
                    state.entries
                } else {
                    books.number(entries)
                };
                if let Some(what) = wrong {
                    let mut wrong = search.wrong(what, number);
                    wrong.trace.push(*event);
                    wrong.state = next;
                    return Err(wrong);
                }
                let next = search.add(next, number, *event);
                if is_end && next != number {
                    end.get_or_insert(next);
                }
            }
            if let (None, Some(what)) = (end, remains) {
                return Err(search.wrong(what, number));
            }
            ends.push(end.unwrap_or(number));
        }
        match search.find_cycle(&ends) {
            Some(number) => Err(search.wrong("without end", number)),
            None => Ok((search.states.len(), transitions)),
        }
    }
}

/// The states that the search has found.
struct Search {
    states: Vec<State>,
    numbers: QuickMap<State>,
    /// The predecessors of the states, with the events.
    came_by: Vec<(u32, Event)>,
}

impl Search {
    fn add(&mut self, state: State, from: u32, by: Event) -> u32 {
        let next = self.states.len() as u32;
        let number = *self.numbers.entry(state).or_insert(next);
        if number == next {
            self.states.push(state);
            self.came_by.push((from, by));
        }
        number
    }

    /// Returns a state that does not terminate.
    fn find_cycle(&self, ends: &[u32]) -> Option<u32> {
        // The walk that has found each state, counted from 1.
        let mut found_by = vec![0; ends.len()];
        for first in 0..ends.len() {
            let walk = first + 1;
            let mut at = first;
            while found_by[at] == 0 {
                found_by[at] = walk;
                let next = ends[at] as usize;
                if next == at {
                    break;
                }
                if found_by[next] == walk {
                    return Some(next as u32);
                }
                at = next;
            }
        }
        None
    }

    fn wrong(&self, what: &'static str, mut number: u32) -> Box<Wrong> {
        let state = self.states[number as usize];
        let mut trace = Vec::new();
        while number != 0 {
            let (from, by) = self.came_by[number as usize];
            trace.push(by);
            number = from;
        }
        trace.reverse();
        Box::new(Wrong { what, trace, state })
    }
}

/// An error and the trace to it.
struct Wrong {
    what: &'static str,
    trace: Vec<Event>,
    state: State,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, by {} steps:", self.what, self.trace.len())?;
        for event in &self.trace {
            writeln!(f, "  {event:?}")?;
        }
        writeln!(f, "{:?}", self.state.shell)
    }
}

/// Asserts that a universe has no errors, and has this size.
fn assert_right(name: &str, universe: Universe, expected: (usize, usize)) {
    let begun = std::time::Instant::now();
    match universe.explore(&RIGHT) {
        Err(wrong) => panic!("{name}: {wrong}"),
        Ok(found) => {
            println!("{name}: {found:?}, {:?}", begun.elapsed());
            assert_eq!(found, expected, "{name}");
        }
    }
}

/// Asserts that the search finds this error without a rule.
fn assert_wrong(universe: Universe, rules: Rules, what: &str) {
    match universe.explore(&rules) {
        Err(wrong) => {
            println!("{wrong}");
            assert_eq!(wrong.what, what);
        }
        Ok(_) => panic!("the search did not find: {what}"),
    }
}

const ONE: Universe = Universe {
    queues: 1,
    guests: 1,
    enabling: 1,
    unmapping: 1,
    close: false,
    device_reset: false,
    guest_resets: false,
    disable: false,
    unbind: false,
    assignable: 0,
    waiters: false,
    bus_enables: false,
    hosts_driver: false,
    flapping: 0,
    failing: 0,
    quick_commits: true,
    quick_pins: false,
    bound_again: false,
};

/// Users unmap memory, close and reset.
#[test]
fn users() {
    let universe = Universe {
        close: true,
        device_reset: true,
        ..ONE
    };
    assert_right("users", universe, (32_356, 226_260));
}

/// Guests disable interruptions and reset their queues.
#[test]
fn guests() {
    let universe = Universe {
        guest_resets: true,
        disable: true,
        bus_enables: true,
        ..ONE
    };
    assert_right("guests", universe, (39_782, 315_249));
}

/// A queue that cannot be reset for some time.
#[test]
fn broken() {
    let universe = Universe {
        device_reset: true,
        failing: 1,
        ..ONE
    };
    assert_right("broken", universe, (64_160, 549_252));
}

/// Two queues that need the same page.
#[test]
fn one_page() {
    let universe = Universe { queues: 2, ..ONE };
    assert_right("one page", universe, (68_621, 513_828));
}

/// Two guests that pass two queues to each other, and each has a page.
#[test]
fn two_guests() {
    let universe = Universe {
        queues: 2,
        guests: 2,
        enabling: 2,
        assignable: 1,
        quick_pins: true,
        ..ONE
    };
    assert_right("two guests", universe, (78_390, 836_673));
}

const UNBIND: Universe = Universe {
    unmapping: 0,
    unbind: true,
    bus_enables: true,
    hosts_driver: true,
    ..ONE
};

/// A queue that is unbound, and bound by this driver or the host's.
#[test]
fn unbind() {
    assert_right("unbind", UNBIND, (27_618, 183_439));
}

/// A queue that is unbound and bound while users delay commits.
#[test]
fn unbind_in_commits() {
    let universe = Universe {
        close: true,
        quick_commits: false,
        bus_enables: false,
        ..UNBIND
    };
    assert_right("unbind in commits", universe, (106_386, 813_596));
}

/// A queue that is unbound and bound, cannot be reset for some time, and is reset by a guest.
#[test]
fn unbind_broken() {
    let universe = Universe {
        guest_resets: true,
        failing: 1,
        bus_enables: false,
        bound_again: true,
        ..UNBIND
    };
    assert_right("unbind broken", universe, (29_664, 220_542));
}

/// Memory that is unmapped while a queue is being unbound.
#[test]
fn unbind_and_unmap() {
    let universe = Universe {
        unmapping: 1,
        quick_pins: true,
        bus_enables: false,
        ..UNBIND
    };
    assert_right("unbind and unmap", universe, (6_718, 48_119));
}

const SCAN: Universe = Universe {
    flapping: 1,
    quick_commits: false,
    quick_pins: true,
    bus_enables: false,
    ..UNBIND
};

/// An adapter that is removed and added at any time.
#[test]
fn scan() {
    assert_right("scan", SCAN, (43_599, 306_500));
}

/// An adapter that is removed and added, with two guests.
#[test]
fn scan_two_guests() {
    let universe = Universe {
        guests: 2,
        unbind: false,
        hosts_driver: false,
        enabling: 1,
        assignable: 1,
        ..SCAN
    };
    assert_right("scan, two guests", universe, (110_031, 855_168));
}

const WAITERS: Universe = Universe {
    unmapping: 0,
    unbind: true,
    assignable: 1,
    waiters: true,
    quick_commits: false,
    quick_pins: true,
    ..ONE
};

/// Administrators that wait for the effect of their actions.
#[test]
fn waiters() {
    assert_right("waiters", WAITERS, (6_328, 44_204));
}

/// An adapter that is removed and added while memory is unmapped and users close.
#[test]
fn scan_and_unmap() {
    let universe = Universe {
        unmapping: 1,
        close: true,
        unbind: false,
        hosts_driver: false,
        quick_commits: true,
        ..SCAN
    };
    assert_right("scan and unmap", universe, (257_552, 1_909_200));
}

/// Two queues that are bound, unbound and interrupt.
#[test]
fn unbind_two_queues() {
    let universe = Universe {
        queues: 2,
        quick_pins: true,
        bus_enables: false,
        hosts_driver: false,
        ..UNBIND
    };
    assert_right("unbind two queues", universe, (104_980, 846_215));
}

/// A page that only a local variable of the enabling function refers to stays pinned when memory is
/// unmapped.
#[test]
fn without_page_in_table() {
    let rules = Rules {
        page_in_table: false,
        ..RIGHT
    };
    assert_wrong(ONE, rules, "pinned after dma_unmap");
}

const NOTHING_HELD: &str = "enabled for a guest without an allocated target";

/// TAPQ reports interruptions as disabled while they are being enabled.
#[test]
fn without_accepted_disable() {
    let rules = Rules {
        off_is_not_the_end: false,
        ..RIGHT
    };
    assert_wrong(ONE, rules, NOTHING_HELD);
}

/// A reset has ended before the guest enables interruptions, and the driver sees the end
/// afterwards.
#[test]
fn without_refusal_in_reset() {
    let rules = Rules {
        refused_in_reset: false,
        ..RIGHT
    };
    let universe = Universe {
        device_reset: true,
        ..ONE
    };
    assert_wrong(universe, rules, NOTHING_HELD);
}

/// The time-out of unbinding occurs before the machine has finished.
#[test]
fn without_orphans() {
    let rules = Rules {
        kept_past_unbind: false,
        ..RIGHT
    };
    assert_wrong(UNBIND, rules, NOTHING_HELD);
}

/// An adapter returns within a scan, after its queue was removed.
#[test]
fn without_refusal_if_unbound() {
    let rules = Rules {
        refused_if_unbound: false,
        ..RIGHT
    };
    assert_wrong(SCAN, rules, NOT_OURS);
}

/// A queue is unbound manually during a scan. Its adapter is not in the announced configuration.
#[test]
fn without_wait_at_unbind() {
    let rules = Rules {
        unbind_waits: false,
        ..RIGHT
    };
    assert_wrong(
        SCAN,
        rules,
        "a queue in the reach of a guest and of the host",
    );
}

/// A queue is unbound while a task waits for its reset.
#[test]
fn without_waiters_that_look() {
    let rules = Rules {
        waiters_look: false,
        ..RIGHT
    };
    assert_wrong(WAITERS, rules, "an administrator waits forever");
}

/// A queue returns before the end of the commit that takes it from a guest.
#[test]
fn without_hold_in_reach() {
    let rules = Rules {
        held_in_reach: false,
        ..RIGHT
    };
    let universe = Universe {
        guests: 2,
        unbind: false,
        hosts_driver: false,
        enabling: 0,
        assignable: 1,
        ..SCAN
    };
    assert_wrong(universe, rules, "a queue in the reach of two guests");
}

/// The host has enabled interruptions of a queue that was unbound while they were being enabled.
#[test]
fn without_memory_of_resets() {
    let rules = Rules {
        knows_of_reset: false,
        ..RIGHT
    };
    assert_wrong(UNBIND, rules, "held forever");
}
