// SPDX-License-Identifier: GPL-2.0

//! Interruptions of queues for guests: PQAP(AQIC), and the pages that they need.
//!
//! Owns what an interruption needs as long as the machine may make it: the page of the notification
//! indicator byte, and the registration of the guest's interruption subclass. [`interrupts`] has the
//! rules by which they end.
//!
//! A page is *pinned* for the user, and its *frame* is held besides. The machine writes to the frame,
//! which is given back when the machine has let go. The pin is given back then, or when the user takes
//! the page away and the machine does not let go in time: then the frame is nobody's memory until it
//! does.
//!
//! Pages are pinned and unpinned by the work of their mdev alone, a kernel thread that no user can
//! starve. The user may hold locks of the IOMMU backend as long as he likes; so nobody else waits for
//! that work but the user himself. Each page is in one of these places, where `dma_unmap` finds it: in
//! the hands of the work ([`Pins::in_hand`]), a [`Candidate`], an interruption
//! ([`Interruptions::enabled`]), or on its way back ([`Interruptions::released`]).

use core::ops::RangeInclusive;

use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        aref::ARef,
        Arc, //
    },
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    },
    workqueue::{
        self,
        WorkItem, //
    }, //
};

use crate::{
    ap_bus::{
        kvm::{
            Gisc,
            PqapHandler,
            Vcpu, //
        },
        pqap::{
            self,
            AqicRequest,
            Status,
            Target, //
        }, //
    },
    driver::{
        guest::MatrixMdev,
        Driver,
        Mdev,
        State, //
    },
    linux::{
        vfio::{
            self,
            Frame,
            PinnedPage, //
        },
        work, //
    },
    matrix::{
        interrupts::{
            self,
            Facts,
            Interruption, //
        },
        mask::Apqn,
        queues::{
            response,
            Reset, //
        }, //
    }, //
};

/// For how long a guest's CPU waits for the machine, in milliseconds.
const GUEST_WAITS: i64 = 100;

/// For how long one who takes memory away waits until the machine has let go of it, in milliseconds:
/// first for AQIC, then for a reset of the queue.
const UNMAP_WAITS_FOR_AQIC: i64 = 100;
const UNMAP_WAITS: i64 = 2_000;

/// For how long one who takes memory of a container away waits until it is unpinned, in milliseconds.
/// The container calls again.
const UNMAP_WAITS_FOR_PINS: i64 = 10_000;

/// A number for each mdev, which no other one has ever had.
pub(crate) type MdevId = u32;

/// Whose interruptions they are, and what the machine does not know of.
struct Owner {
    mdev: MdevId,
    /// The address of the page that the user has for it.
    page: u64,
    /// The user has not got the page back yet.
    pin: Option<PinnedPage<MatrixMdev>>,
    /// He wants it back.
    is_wanted_back: bool,
    /// A place in [`Interruptions::released`]: nothing can be allocated then.
    slot: RBTreeNodeReservation<u64, Released>,
}

/// Interruptions of one queue that the machine knows of.
type Enabled = Interruption<Target, Owner>;

/// What interruptions have needed that are over. The pin goes last: who waits for it may give up the
/// virtual machine then.
pub(crate) struct Released {
    _target: Target,
    mdev: MdevId,
    page: u64,
    pin: Option<PinnedPage<MatrixMdev>>,
}

/// Returns true if an mdev is the one with this number, and the page overlaps these addresses of its
/// user.
fn is_of(id: MdevId, page: u64, mdev: &Mdev, iovas: &Iovas) -> bool {
    id == mdev.id && overlaps(page, iovas)
}

impl Owner {
    fn is(&self, mdev: &Mdev, iovas: &Iovas) -> bool {
        is_of(self.mdev, self.page, mdev, iovas)
    }
}

/// Addresses of a user.
type Iovas = RangeInclusive<u64>;

/// All of them.
const EVERYWHERE: Iovas = 0..=u64::MAX;

fn overlaps(page: u64, iovas: &Iovas) -> bool {
    page <= *iovas.end() && page + (PAGE_SIZE as u64 - 1) >= *iovas.start()
}

/// All interruptions of guests that the machine may make, and what they have needed.
pub(crate) struct Interruptions {
    /// By APQN.
    enabled: RBTree<u16, Enabled>,
    /// What the machine does not need any more: by mdev, the oldest first.
    released: RBTree<u64, Released>,
    releases: u32,
}

impl Interruptions {
    pub(crate) fn new() -> Self {
        Self {
            enabled: RBTree::new(),
            released: RBTree::new(),
            releases: 0,
        }
    }

    /// The machine has let go of the queue, as its reset is over or it is gone.
    pub(crate) fn release(&mut self, apqn: Apqn) {
        if let Some(interruption) = self.enabled.remove(&apqn.to_raw()) {
            self.give_back(interruption);
        }
    }

    /// The machine has let go. What it needed goes to the work of the mdev; what is not pinned any more
    /// goes to that of the driver.
    fn give_back(&mut self, mut interruption: Enabled) {
        interruption.over();
        let Some((target, owner)) = interruption.into_parts() else {
            return;
        };
        if let Some(pin) = &owner.pin {
            pin.device().begin_pin_work();
        }
        let mdev = owner.pin.as_ref().map_or(0, |_| owner.mdev);
        let key = released_key(mdev, self.releases);
        self.releases = self.releases.wrapping_add(1);
        let released = Released {
            _target: target,
            mdev: owner.mdev,
            page: owner.page,
            pin: owner.pin,
        };
        self.released.insert(owner.slot.into_node(key, released));
    }

    /// The reset of a queue has failed: interruptions have to end in another way.
    pub(crate) fn end(&mut self, apqn: Apqn) {
        if let Some(interruption) = self.enabled.get_mut(&apqn.to_raw()) {
            interruption.end();
        }
    }

    /// The same after a reset that was not seen to end: of a queue that no guest can use.
    pub(crate) fn end_after(&mut self, apqn: Apqn, reset: &Reset) {
        if let Some(interruption) = self.enabled.get_mut(&apqn.to_raw()) {
            interruption.end();
            if reset.is_seen() {
                interruption.reset_seen();
            }
        }
    }

    /// Ends what has to end, as far as that goes without waiting; queues that are being reset end by
    /// themselves. Returns true if some remain.
    pub(crate) fn step(&mut self, is_resetting: impl Fn(Apqn) -> bool) -> bool {
        self.step_all(|apqn, it| it.is_ending() && !is_resetting(apqn));
        self.any_ending()
    }

    /// Takes one step for each that `is_due`.
    fn step_all(&mut self, mut is_due: impl FnMut(Apqn, &mut Enabled) -> bool) {
        let mut next = self.enabled.cursor_front_mut();
        while let Some(mut cursor) = next {
            let (raw, interruption) = cursor.current_mut();
            let apqn = Apqn::from_raw(*raw);
            if is_due(apqn, interruption) && interruption.step(apqn, &mut pqap::Machine) {
                let (_, node) = cursor.remove_current();
                self.give_back(node.to_key_value().1);
                next = match apqn.to_raw().checked_add(1) {
                    Some(raw) => self.enabled.cursor_lower_bound_mut(&raw),
                    None => None,
                };
            } else {
                next = cursor.move_next();
            }
        }
    }

    /// What nobody has pinned any more and the machine has let go of, one at a time.
    pub(crate) fn take_unpinned(&mut self) -> Option<Released> {
        self.take_released(0)
    }

    /// What the work of an mdev has to unpin next of that which interruptions have needed.
    fn next_to_unpin(&mut self, mdev: &Mdev) -> Option<Job> {
        if let Some(released) = self.take_released(mdev.id) {
            return Some(Job::Drop(released));
        }
        let owners = self.enabled.values_mut().map(|it| &mut it.owner);
        let mut wanted = owners.filter(|it| it.mdev == mdev.id && it.is_wanted_back);
        wanted.find_map(|it| Some(Job::Unpin(it.pin.take()?)))
    }

    fn take_released(&mut self, mdev: MdevId) -> Option<Released> {
        let first = self.released.cursor_lower_bound(&released_key(mdev, 0))?;
        let key = *first.current().0;
        ((key >> 32) as u32 == mdev).then(|| self.released.remove(&key))?
    }

    /// The interruptions of a queue.
    fn of_queue(&mut self, apqn: Apqn) -> Option<&mut Enabled> {
        self.enabled.get_mut(&apqn.to_raw())
    }

    /// Returns for how many queues an mdev has interruptions, and for how many of them its user has the
    /// page back already.
    pub(crate) fn count(&self, mdev: &Mdev) -> (usize, usize) {
        let owners = || self.enabled.values().map(|it| &it.owner);
        let of_mdev = || owners().filter(|owner| owner.mdev == mdev.id);
        let given_back = of_mdev().filter(|owner| owner.pin.is_none());
        (of_mdev().count(), given_back.count())
    }

    /// Returns true if a page of an mdev in these addresses is pinned.
    fn any_pinned(&self, mdev: &Mdev, iovas: &Iovas) -> bool {
        let owners = self.enabled.values().map(|it| &it.owner);
        let mut released = self.released.values().filter(|it| it.pin.is_some());
        owners
            .filter(|it| it.pin.is_some())
            .any(|it| it.is(mdev, iovas))
            || released.any(|it| is_of(it.mdev, it.page, mdev, iovas))
    }

    /// Returns true if some interruptions have to end, and have not.
    pub(crate) fn any_ending(&self) -> bool {
        self.enabled.values().any(Interruption::is_ending)
    }

    /// Leaves to the machine, for ever, what it has not let go of. Returns how many queues that are.
    ///
    /// To be called when the driver goes: nobody is left who could see the machine let go.
    pub(crate) fn forget_all(&mut self) -> usize {
        let count = self.enabled.keys().count();
        self.enabled = RBTree::new();
        count
    }
}

fn released_key(mdev: MdevId, number: u32) -> u64 {
    u64::from(mdev) << 32 | u64::from(number)
}

/// A page for interruptions that are about to be enabled, one for each mdev.
#[derive(Default)]
enum Candidate {
    #[default]
    None,
    /// The work is to pin it.
    Wanted {
        page: u64,
        is_protected: bool,
    },
    /// The work is pinning it.
    Pinning,
    /// The work is pinning it, and the user takes it away.
    Cancelled,
    Pinned(PinnedPage<MatrixMdev>, Frame),
    /// It cannot be used: there is no such page, or the user takes it away.
    Refused,
    /// The work is to unpin it.
    Unwanted(PinnedPage<MatrixMdev>, Frame),
}

/// The pages of an mdev that are not for interruptions yet, or not any more.
#[derive(Default)]
pub(crate) struct Pins {
    candidate: Candidate,
    /// The page that the work is pinning or unpinning.
    in_hand: Option<u64>,
    /// How many tasks take addresses away in which there were pages: no page is pinned meanwhile.
    unmapping: u32,
    /// When a page could not be pinned last, as the user may not lock more memory, and how often that
    /// was so in a row.
    no_memory: Option<(Instant<Monotonic>, u32)>,
}

/// What the work of an mdev has to do next.
enum Job {
    Drop(Released),
    Unpin(PinnedPage<MatrixMdev>),
    Discard(PinnedPage<MatrixMdev>, Frame),
    Pin { page: u64, is_protected: bool },
}

impl Job {
    fn page(&self) -> u64 {
        match self {
            Self::Drop(released) => released.page,
            Self::Unpin(pin) | Self::Discard(pin, _) => pin.iova(),
            Self::Pin { page, .. } => *page,
        }
    }
}

impl State {
    fn next_job(&mut self, mdev: &Mdev) -> Option<Job> {
        let job = self
            .interruptions
            .next_to_unpin(mdev)
            .or_else(|| mdev.pins_mut(self).next_job())?;
        mdev.pins_mut(self).in_hand = Some(job.page());
        Some(job)
    }

    /// Returns true if a page of an mdev in these addresses is pinned that is for nothing, or is about
    /// to be.
    fn is_giving_back(&mut self, mdev: &Mdev, iovas: &Iovas) -> bool {
        let any = self.interruptions.any_pinned(mdev, iovas);
        let pins = mdev.pins_mut(self);
        let in_hand = pins.in_hand.is_some_and(|page| overlaps(page, iovas));
        let unwanted = matches!(&pins.candidate, Candidate::Unwanted(pin, _)
            | Candidate::Pinned(pin, _) if overlaps(pin.iova(), iovas));
        any || in_hand || unwanted
    }
}

impl Pins {
    /// Returns true if a page is not to be asked for now. A container says each time in the kernel's log
    /// that the user may not lock more memory: so it is asked again after a second, and then after twice
    /// as long each time, up to about a minute.
    fn is_out_of_memory(&self) -> bool {
        self.no_memory
            .as_ref()
            .is_some_and(|(last, count)| last.elapsed().as_millis() < 1_000 << (count - 1).min(6))
    }

    /// The work has tried to pin a page.
    fn note_pinning(&mut self, result: Result) {
        self.no_memory = match result {
            Err(error) if error == ENOMEM => {
                let count = self.no_memory.as_ref().map_or(0, |(_, count)| *count);
                Some((Instant::now(), count.saturating_add(1)))
            }
            Err(_) => self.no_memory.take(),
            Ok(()) => None,
        };
    }

    /// What the work has to do with the candidate.
    fn next_job(&mut self) -> Option<Job> {
        match core::mem::take(&mut self.candidate) {
            Candidate::Unwanted(pin, frame) => Some(Job::Discard(pin, frame)),
            Candidate::Wanted { page, is_protected } => {
                self.candidate = Candidate::Pinning;
                Some(Job::Pin { page, is_protected })
            }
            other => {
                self.candidate = other;
                None
            }
        }
    }

    /// Nothing is to be done with the page of the candidate any more.
    fn discard(&mut self) {
        self.candidate = match core::mem::take(&mut self.candidate) {
            Candidate::Pinned(pin, frame) => Candidate::Unwanted(pin, frame),
            Candidate::Wanted { .. } | Candidate::Refused => Candidate::None,
            other => other,
        };
    }

    /// The user takes these addresses away. Returns true if the work has to unpin the candidate.
    fn cancel(&mut self, iovas: &Iovas) -> bool {
        let in_hand = self.in_hand;
        match &self.candidate {
            Candidate::Wanted { page, .. } if overlaps(*page, iovas) => {
                self.candidate = Candidate::Refused;
            }
            Candidate::Pinning if in_hand.is_some_and(|page| overlaps(page, iovas)) => {
                self.candidate = Candidate::Cancelled;
            }
            Candidate::Pinned(pin, _) if overlaps(pin.iova(), iovas) => {
                self.discard();
                return true;
            }
            _ => {}
        }
        false
    }
}

impl Mdev {
    /// Has the work pin and unpin what there is.
    fn begin_pin_work(&self) {
        // If it is queued already, then so much the better.
        let _ = workqueue::system_highpri().enqueue::<ARef<Self>, PIN_WORK>(self.into());
    }

    /// The same, and waits for it. It takes locks of the IOMMU backend.
    fn flush_pin_work(&self) {
        self.begin_pin_work();
        work::flush::<Self, PIN_WORK>(self);
    }
}

/// Which of the work items of an mdev pins and unpins.
pub(crate) const PIN_WORK: u64 = 2;

impl WorkItem<PIN_WORK> for Mdev {
    type Pointer = ARef<Self>;

    fn run(mdev: ARef<Self>) {
        let driver = &mdev.driver;
        loop {
            let job = driver.state.lock().next_job(&mdev);
            let pinned = match job {
                None => return,
                Some(Job::Drop(released)) => {
                    drop(released);
                    None
                }
                Some(Job::Unpin(pin)) => {
                    drop(pin);
                    None
                }
                Some(Job::Discard(pin, frame)) => {
                    drop((pin, frame));
                    None
                }
                Some(Job::Pin { page, is_protected }) => Some(pin(&mdev, page, is_protected)),
            };
            let mut state = driver.state.lock();
            let pins = mdev.pins_mut(&mut state);
            if let Some(pinned) = &pinned {
                pins.note_pinning(pinned.as_ref().map(|_| ()).map_err(|error| *error));
            }
            // The next job unpins a page that is not wanted any more.
            pins.candidate = match (pinned, core::mem::take(&mut pins.candidate)) {
                (Some(Ok((pin, frame))), Candidate::Pinning) => Candidate::Pinned(pin, frame),
                (Some(Ok((pin, frame))), _) => Candidate::Unwanted(pin, frame),
                (Some(Err(_)), _) => Candidate::Refused,
                (None, candidate) => candidate,
            };
            pins.in_hand = None;
        }
    }
}

fn pin(mdev: &Mdev, page: u64, is_protected: bool) -> Result<(PinnedPage<MatrixMdev>, Frame)> {
    let pin = PinnedPage::new(mdev, page)?;
    if is_protected {
        pin.ensure_shared()?;
    }
    let frame = pin.hold_frame()?;
    Ok((pin, frame))
}

impl PqapHandler for Mdev {
    fn pqap(&self, vcpu: &Vcpu<'_>) -> Option<Status> {
        if !vcpu.has_adapter_interruptions() {
            return None;
        }
        let request = AqicRequest::new(vcpu.gprs());
        let status = if request.enable {
            enable(self, vcpu, &request)
        } else {
            disable(self, &request)
        };
        if status.code() != response::NORMAL {
            let AqicRequest {
                apqn, enable, nib, ..
            } = request;
            self.driver
                .debug
                .aqic_refused(apqn, enable, nib, status.code());
        }
        Some(status)
    }
}

/// Returns what AQIC is refused with, if it is. What is to be seen of a reset by now is seen first.
fn refusal(driver: &Driver, state: &mut State, mdev: &Mdev, apqn: Apqn) -> Option<Status> {
    if state.host.queues.is_pending(apqn) {
        driver.step(state, apqn.apid);
    }
    let of_queue = state.interruptions.of_queue(apqn);
    let ending = of_queue.is_some_and(|it| it.is_ending());
    let code = interrupts::refusal(Facts {
        granted: mdev.masks(state).granted.has_queue(apqn),
        bound: state.host.queues.is_bound(apqn),
        resetting: state.host.queues.is_pending(apqn),
        ending,
    })?;
    Some(Status::with_code(code))
}

fn enable(mdev: &Mdev, vcpu: &Vcpu<'_>, request: &AqicRequest) -> Status {
    let AqicRequest { apqn, nib, isc, .. } = *request;
    let driver = &mdev.driver;

    let _one_at_a_time = mdev.aqic.lock();
    if let Some(status) = refusal(driver, &mut driver.state.lock(), mdev, apqn) {
        return status;
    }
    let (Ok(node), Ok(slot)) = (
        RBTreeNodeReservation::new(GFP_KERNEL),
        RBTreeNodeReservation::new(GFP_KERNEL),
    ) else {
        return Status::with_code(response::BUSY);
    };
    if nib == 0 || !vcpu.has_memory_at(nib) {
        return Status::with_code(response::INVALID_ADDRESS);
    }
    let Ok(gisc) = Gisc::register(vcpu, isc) else {
        return Status::with_code(response::INVALID_ADDRESS);
    };
    let candidate = Candidate::Wanted {
        page: vfio::page_of(nib),
        is_protected: vcpu.is_protected(),
    };
    if mdev.pins_mut(&mut driver.state.lock()).is_out_of_memory() {
        return Status::with_code(response::INVALID_ADDRESS);
    }
    let mut candidate = Some(candidate);
    wait_for(GUEST_WAITS, || {
        let mut state = driver.state.lock();
        let pins = mdev.pins_mut(&mut state);
        if pins.unmapping == 0 {
            if let Some(candidate) = candidate.take() {
                pins.candidate = candidate;
            }
        }
        candidate.is_none()
    });
    if candidate.is_some() {
        return Status::with_code(response::BUSY);
    }
    mdev.flush_pin_work();

    let mut prepared = Some(Prepared { node, slot, gisc });
    let mut status = enable_candidate(mdev, apqn, nib, &mut prepared);
    if status.code() == response::OTHERWISE_CHANGED && take_from_host(mdev, apqn) {
        status = enable_candidate(mdev, apqn, nib, &mut prepared);
    }
    // What is not needed any more goes before this does.
    mdev.pins_mut(&mut driver.state.lock()).discard();
    mdev.flush_pin_work();
    status
}

/// What has to be there before interruptions can be enabled, besides the page.
struct Prepared {
    node: RBTreeNodeReservation<u16, Enabled>,
    slot: RBTreeNodeReservation<u64, Released>,
    gisc: Gisc,
}

/// Enables interruptions with the page of the candidate, if it is still there. If the machine accepts
/// that, it has let go of what there was before.
fn enable_candidate(mdev: &Mdev, apqn: Apqn, nib: u64, prepared: &mut Option<Prepared>) -> Status {
    let driver = &mdev.driver;
    let state = &mut *driver.state.lock();
    if let Some(status) = refusal(driver, state, mdev, apqn) {
        return status;
    }
    let candidate = &mut mdev.pins_mut(state).candidate;
    let (pin, frame, Prepared { node, slot, gisc }) =
        match (core::mem::take(candidate), prepared.take()) {
            (Candidate::Pinned(pin, frame), Some(prepared)) => (pin, frame, prepared),
            (other, left) => {
                (*candidate, *prepared) = (other, left);
                return Status::with_code(response::INVALID_ADDRESS);
            }
        };
    let owner = Owner {
        mdev: mdev.id,
        page: pin.iova(),
        pin: Some(pin),
        is_wanted_back: false,
        slot,
    };
    let mut new = Interruption::new(Target { gisc, frame, nib }, owner);
    let status = pqap::enable_interruptions(apqn, &mut new);
    if status.code() == response::NORMAL {
        let enabled = &mut state.interruptions.enabled;
        let old = enabled.insert(node.into_node(apqn.to_raw(), new));
        if let Some(old) = old {
            state.interruptions.give_back(old.to_key_value().1);
        }
    } else if let Some((Target { gisc, frame, .. }, owner)) = new.into_parts() {
        if let Some(pin) = owner.pin {
            *candidate = Candidate::Pinned(pin, frame);
        }
        let slot = owner.slot;
        *prepared = Some(Prepared { node, slot, gisc });
    }
    status
}

/// Disables interruptions of a queue of the guest that are not the guest's, and waits for that.
/// Returns true if there were any.
///
/// The AP bus enables those of a new queue for the host, whatever driver the queue has.
fn take_from_host(mdev: &Mdev, apqn: Apqn) -> bool {
    let driver = &mdev.driver;
    let mut is_disabled = false;
    let mut is_hosts = false;
    wait_for(GUEST_WAITS, || {
        let state = &mut *driver.state.lock();
        is_hosts = refusal(driver, state, mdev, apqn).is_none()
            && state.interruptions.of_queue(apqn).is_none();
        if !is_hosts {
            return true;
        }
        if !is_disabled {
            let code = pqap::disable_interruptions(apqn).code();
            is_disabled = !matches!(code, response::BUSY | response::RESET_IN_PROGRESS);
        }
        is_disabled && !pqap::tapq(apqn).irq_enabled()
    });
    is_hosts
}

/// Looks again and again, but not for ever. Returns true if it is done.
fn wait_for(milliseconds: i64, mut is_done: impl FnMut() -> bool) -> bool {
    let start = Instant::<Monotonic>::now();
    loop {
        if is_done() {
            return true;
        }
        let waited = start.elapsed().as_millis();
        if waited >= milliseconds {
            return false;
        }
        fsleep(Delta::from_millis(if waited < 20 { 1 } else { 5 }));
    }
}

fn disable(mdev: &Mdev, request: &AqicRequest) -> Status {
    let apqn = request.apqn;
    let driver = &mdev.driver;
    // Nobody enables interruptions while this waits for their end.
    let _one_at_a_time = mdev.aqic.lock();
    let status = {
        let state = &mut *driver.state.lock();
        if let Some(status) = refusal(driver, state, mdev, apqn) {
            return status;
        }
        let status = pqap::disable_interruptions(apqn);
        if let Some(interruption) = state.interruptions.of_queue(apqn) {
            interruption.answered(status.code());
        }
        status
    };
    let is_over = wait_for(GUEST_WAITS, || {
        let interruptions = &mut driver.state.lock().interruptions;
        interruptions.step_all(|q, it| q == apqn && it.is_ending());
        !interruptions
            .of_queue(apqn)
            .is_some_and(|it| it.is_ending())
    });
    if !is_over {
        driver.look_later();
    }
    mdev.flush_pin_work();
    status
}

/// Addresses of the user go away.
///
/// The machine has to let go of them; if AQIC does not help in time, the queue is reset, and if that
/// does not help either, only the frame is kept. The work unpins the pages: it is waited for, as the
/// caller wants no pinned page when this returns, nor until it has come to its end. A container stops
/// the host if it finds one ten times. The guest could see to that, by enabling interruptions again and
/// again; so it cannot until the system call is over that takes the addresses away.
pub(crate) fn unmap(mdev: &Mdev, iova: u64, length: u64) {
    let iovas = iova..=iova.saturating_add(length.saturating_sub(1));
    let driver = &mdev.driver;

    {
        let state = &mut *driver.state.lock();
        let any = state.is_giving_back(mdev, &iovas);
        if mdev.pins_mut(state).cancel(&iovas) {
            mdev.begin_pin_work();
        }
        if !any {
            return;
        }
        mdev.pins_mut(state).unmapping += 1;
    }
    let barred = ARef::from(mdev);
    let unbar = move || {
        let mut state = barred.driver.state.lock();
        barred.pins_mut(&mut state).unmapping -= 1;
    };
    if work::after_system_call(unbar).is_err() {
        // Without memory nobody can be kept from pinning.
        let mut state = driver.state.lock();
        mdev.pins_mut(&mut state).unmapping -= 1;
    }

    let end = |milliseconds| {
        wait_for(milliseconds, || {
            let state = &mut *driver.state.lock();
            let queues = &state.host.queues;
            let interruptions = &mut state.interruptions;
            interruptions.step_all(|apqn, it| {
                let is_due = it.owner.is(mdev, &iovas);
                if is_due {
                    it.end();
                }
                is_due && !queues.is_pending(apqn)
            });
            let mut all = interruptions.enabled.values();
            !all.any(|it| it.owner.is(mdev, &iovas) && it.owner.pin.is_some())
        })
    };
    if !end(UNMAP_WAITS_FOR_AQIC) {
        reset_remaining(mdev, &iovas);
        if !end(UNMAP_WAITS) {
            take_pages_back(mdev, &iovas);
        }
    }

    let mut is_over = || !driver.state.lock().is_giving_back(mdev, &iovas);
    while !wait_for(UNMAP_WAITS_FOR_PINS, &mut is_over) && !mdev.is_in_container() {}
}

/// Begins resets of the queues whose interruptions do not end.
fn reset_remaining(mdev: &Mdev, iovas: &Iovas) {
    {
        let state = &mut *mdev.driver.state.lock();
        for (raw, interruption) in state.interruptions.enabled.iter() {
            let apqn = Apqn::from_raw(*raw);
            if interruption.owner.is(mdev, iovas) {
                state.host.queues.reset_queue_in_place(apqn);
            }
        }
    }
    mdev.driver.proceed();
}

/// Gives back to the user the pages of interruptions that the machine has not let go of. Their frames
/// are kept until it does.
fn take_pages_back(mdev: &Mdev, iovas: &Iovas) {
    let mut count = 0u32;
    for interruption in mdev.driver.state.lock().interruptions.enabled.values_mut() {
        if interruption.owner.is(mdev, iovas) && interruption.owner.pin.is_some() {
            interruption.end();
            interruption.owner.is_wanted_back = true;
            count += 1;
        }
    }
    if count != 0 {
        mdev.begin_pin_work();
        mdev.driver.look_later();
        mdev.driver.debug.frames_kept(count);
    }
}

/// Gives back all pages of the user of an mdev, who closes it. Resets of its queues have been waited
/// for.
pub(crate) fn release_all(mdev: &Mdev) {
    {
        let interruptions = &mut mdev.driver.state.lock().interruptions;
        interruptions.step_all(|_, it| it.owner.is(mdev, &EVERYWHERE));
    }
    take_pages_back(mdev, &EVERYWHERE);
    mdev.pins_mut(&mut mdev.driver.state.lock()).no_memory = None;
    // VFIO unpins pages of open devices only.
    mdev.flush_pin_work();
    while mdev.pins() != 0 {
        fsleep(Delta::from_millis(1));
        mdev.flush_pin_work();
    }
}

/// The driver gives up a queue that was not reset. Its interruptions end now, or are an orphan's.
pub(crate) fn leave(driver: &Arc<Driver>, apqn: Apqn) {
    wait_for(GUEST_WAITS, || {
        let interruptions = &mut driver.state.lock().interruptions;
        interruptions.step_all(|q, _| q == apqn);
        interruptions.of_queue(apqn).is_none()
    });
    let is_left = {
        let interruptions = &mut driver.state.lock().interruptions;
        let interruption = interruptions.of_queue(apqn);
        interruption.map(Interruption::orphan).is_some()
    };
    if is_left {
        driver.look_later();
    }
}
