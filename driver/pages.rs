// SPDX-License-Identifier: GPL-2.0

//! The pages that are pinned for interruptions.
//!
//! A page is *pinned* for the user, and its *frame* is held besides. The machine writes to the frame,
//! which is given back when the machine has let go. The pin is given back then, or when the user takes
//! the page away and the machine does not let go in time: then the frame is nobody's memory until it
//! does.
//!
//! Pages are pinned and unpinned by the work of their mdev alone, a kernel thread that no user can
//! starve. The user may hold locks of the IOMMU backend as long as he likes; so nobody else waits for
//! that work but the user himself. Each page is in one of these places, where `dma_unmap` finds it: in
//! the hands of the work ([`Pins::in_progress`]), a [`Candidate`], or one of the [`interruptions`].
//!
//! [`interruptions`]: crate::driver::interruptions

use core::ops::RangeInclusive;

use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::ARef,
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
    driver::{
        interruptions::{
            Enabled,
            Released, //
        },
        matrix_mdev::MatrixMdev,
        wait::Wait,
        Mdev,
        State, //
    },
    linux::{
        vfio::{
            Frame,
            PinnedPage, //
        },
        work, //
    }, //
};

/// For how long one who takes memory away waits until the machine has let go of it, in milliseconds:
/// first for AQIC, then for a reset of the queue.
const UNMAP_AQIC_TIMEOUT: i64 = 100;
const UNMAP_RESET_TIMEOUT: i64 = 2_000;

/// For how long one who takes memory of a container away waits until it is unpinned, in milliseconds.
/// The container calls again.
const UNPIN_TIMEOUT: i64 = 10_000;

/// Addresses of a user.
pub(crate) type Iovas = RangeInclusive<u64>;

/// All of them.
const EVERYWHERE: Iovas = 0..=u64::MAX;

/// Returns true if the page at this address overlaps addresses.
pub(crate) fn overlaps(page: u64, iovas: &Iovas) -> bool {
    page <= *iovas.end() && page + (PAGE_SIZE as u64 - 1) >= *iovas.start()
}

/// A page for interruptions that are about to be enabled, one for each mdev.
#[derive(Default)]
pub(crate) enum Candidate {
    /// There is none: nobody wants one, it cannot be pinned, or the user takes it away.
    #[default]
    None,
    /// The work is to pin it.
    Wanted { page: u64, is_protected: bool },
    /// The work is pinning it.
    Pinning,
    /// It can be used.
    Pinned(PinnedPage<MatrixMdev>, Frame),
    /// The work is to unpin it.
    Unwanted(PinnedPage<MatrixMdev>, Frame),
}

/// The pages of an mdev that are not for interruptions yet, or not any more.
#[derive(Default)]
pub(crate) struct Pins {
    pub(crate) candidate: Candidate,
    /// The page that the work is pinning or unpinning.
    in_progress: Option<u64>,
    /// How many tasks take addresses away in which there were pages: no page is pinned meanwhile.
    unmapping: u32,
    /// When a page could not be pinned last, as the user may not lock more memory, and how often that
    /// was so in a row.
    no_memory: Option<(Instant<Monotonic>, u32)>,
}

/// What the work of an mdev has to do next.
enum Job {
    /// Give back what interruptions have needed.
    Release(Released),
    Unpin(PinnedPage<MatrixMdev>, Option<Frame>),
    Pin {
        page: u64,
        is_protected: bool,
    },
}

impl State {
    fn next_job(&mut self, mdev: &Mdev) -> Option<Job> {
        let interruptions = &mut self.interruptions;
        let job = if let Some(released) = interruptions.take_released(Some(mdev.id)) {
            Job::Release(released)
        } else if let Some(pin) = interruptions.take_unpin_request(mdev) {
            Job::Unpin(pin, None)
        } else {
            mdev.pins_mut(self).next_job()?
        };
        let page = match &job {
            Job::Release(released) => released.page(),
            Job::Unpin(pin, _) => pin.iova(),
            Job::Pin { page, .. } => *page,
        };
        mdev.pins_mut(self).in_progress = Some(page);
        Some(job)
    }

    /// Returns true if a page of an mdev in these addresses is pinned that is for nothing, or is about
    /// to be.
    fn has_pinned_pages(&mut self, mdev: &Mdev, iovas: &Iovas) -> bool {
        if self.interruptions.any_pinned(mdev, iovas) {
            return true;
        }
        let pins = mdev.pins_mut(self);
        let candidate = match pins.candidate {
            // It is not pinned yet.
            Candidate::Wanted { .. } => None,
            _ => pins.candidate_page(),
        };
        [pins.in_progress, candidate]
            .iter()
            .flatten()
            .any(|page| overlaps(*page, iovas))
    }
}

impl Pins {
    /// Returns true if a page is not to be asked for now. A container says each time in the kernel's log
    /// that the user may not lock more memory: so it is asked again after a second, and then after twice
    /// as long each time, up to about a minute.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.no_memory
            .as_ref()
            .is_some_and(|(last, count)| last.elapsed().as_millis() < 1_000 << (count - 1).min(6))
    }

    /// Has the work pin a page. Returns false if that is not possible now, as the user takes addresses
    /// away.
    pub(crate) fn want(&mut self, page: u64, is_protected: bool) -> bool {
        let is_possible = self.unmapping == 0;
        if is_possible {
            self.candidate = Candidate::Wanted { page, is_protected };
        }
        is_possible
    }

    /// What the work has to do with the candidate.
    fn next_job(&mut self) -> Option<Job> {
        match core::mem::take(&mut self.candidate) {
            Candidate::Unwanted(pin, frame) => Some(Job::Unpin(pin, Some(frame))),
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
    pub(crate) fn discard(&mut self) {
        self.candidate = match core::mem::take(&mut self.candidate) {
            Candidate::Pinned(pin, frame) | Candidate::Unwanted(pin, frame) => {
                Candidate::Unwanted(pin, frame)
            }
            _ => Candidate::None,
        };
    }

    /// The address of the candidate's page.
    fn candidate_page(&self) -> Option<u64> {
        match &self.candidate {
            Candidate::None => None,
            Candidate::Pinning => self.in_progress,
            Candidate::Wanted { page, .. } => Some(*page),
            Candidate::Pinned(pin, _) | Candidate::Unwanted(pin, _) => Some(pin.iova()),
        }
    }

    /// The work has done its job. `pinned` is the page that it was to pin.
    fn job_done(&mut self, pinned: Option<Result<(PinnedPage<MatrixMdev>, Frame)>>) {
        self.in_progress = None;
        match pinned {
            Some(Ok((pin, frame))) => {
                self.no_memory = None;
                // The next job unpins a page that is not wanted any more.
                self.candidate = match self.candidate {
                    Candidate::Pinning => Candidate::Pinned(pin, frame),
                    _ => Candidate::Unwanted(pin, frame),
                };
            }
            Some(Err(error)) => {
                self.candidate = Candidate::None;
                if error == ENOMEM {
                    let count = self.no_memory.as_ref().map_or(0, |(_, count)| *count);
                    self.no_memory = Some((Instant::now(), count.saturating_add(1)));
                }
            }
            None => {}
        }
    }
}

impl Mdev {
    /// Has the work pin and unpin what there is.
    pub(crate) fn queue_pin_work(&self) {
        // If it is queued already, then so much the better.
        let _ = workqueue::system_highpri().enqueue::<ARef<Self>, PIN_WORK>(self.into());
    }

    /// The same, and waits for it. It takes locks of the IOMMU backend.
    pub(crate) fn flush_pin_work(&self) {
        self.queue_pin_work();
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
            let job = driver.state().next_job(&mdev);
            // The job has to be over before `job_done` says so.
            let pinned = match job {
                None => return,
                Some(Job::Release(released)) => {
                    drop(released);
                    None
                }
                Some(Job::Unpin(pin, frame)) => {
                    drop((pin, frame));
                    None
                }
                Some(Job::Pin { page, is_protected }) => Some(pin(&mdev, page, is_protected)),
            };
            mdev.pins_mut(&mut driver.state()).job_done(pinned);
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
        let state = &mut *driver.state();
        let any = state.has_pinned_pages(mdev, &iovas);
        let pins = mdev.pins_mut(state);
        if pins
            .candidate_page()
            .is_some_and(|page| overlaps(page, &iovas))
        {
            pins.discard();
            mdev.queue_pin_work();
        }
        if !any {
            return;
        }
        mdev.pins_mut(state).unmapping += 1;
    }
    let barred = ARef::from(mdev);
    work::after_system_call(move || {
        barred.pins_mut(&mut barred.driver.state()).unmapping -= 1;
    });

    if !end(mdev, &iovas, UNMAP_AQIC_TIMEOUT) {
        reset_remaining(mdev, &iovas);
        if !end(mdev, &iovas, UNMAP_RESET_TIMEOUT) {
            force_unpin(mdev, &iovas);
        }
    }

    let mut wait = Wait::new(UNPIN_TIMEOUT);
    while has_pinned_pages(mdev, &iovas) {
        if !wait.sleep() {
            if mdev.is_in_container() {
                break;
            }
            wait = Wait::new(UNPIN_TIMEOUT);
        }
    }
}

fn has_pinned_pages(mdev: &Mdev, iovas: &Iovas) -> bool {
    mdev.driver.state().has_pinned_pages(mdev, iovas)
}

/// Ends interruptions that need a page in these addresses. Returns true if the machine has let go of
/// all of them in time.
fn end(mdev: &Mdev, iovas: &Iovas, timeout: i64) -> bool {
    let wait = Wait::new(timeout);
    loop {
        {
            let state = &mut *mdev.driver.state();
            let queues = &state.host.queues;
            state.interruptions.step(|it| {
                let is_due = it.state.owner.is(mdev, iovas);
                if is_due {
                    it.state.end();
                }
                is_due && !queues.is_pending(it.apqn)
            });
            if !state.interruptions.any_in_use(mdev, iovas) {
                return true;
            }
        }
        if !wait.sleep() {
            return false;
        }
    }
}

/// Begins resets of the queues whose interruptions do not end.
fn reset_remaining(mdev: &Mdev, iovas: &Iovas) {
    {
        let state = &mut *mdev.driver.state();
        for it in state.interruptions.enabled() {
            if it.state.owner.is(mdev, iovas) {
                state.host.queues.reset_queue_in_place(it.apqn);
            }
        }
    }
    mdev.driver.reconcile();
}

/// Gives back to the user the pages of interruptions that the machine has not let go of. Their frames
/// are kept until it does.
fn force_unpin(mdev: &Mdev, iovas: &Iovas) {
    let count = mdev.driver.state().interruptions.request_unpin(mdev, iovas);
    if count != 0 {
        mdev.queue_pin_work();
        mdev.driver.schedule_poll();
        mdev.driver.debug.frames_kept(count);
    }
}

/// Gives back all pages of the user of an mdev, who closes it. Resets of its queues have been waited
/// for.
pub(crate) fn unpin_all(mdev: &Mdev) {
    let is_of_mdev = |it: &mut Enabled| it.state.owner.is(mdev, &EVERYWHERE);
    mdev.driver.state().interruptions.step(is_of_mdev);
    force_unpin(mdev, &EVERYWHERE);
    mdev.pins_mut(&mut mdev.driver.state()).no_memory = None;
    // VFIO unpins pages of open devices only.
    mdev.flush_pin_work();
    while mdev.pins() != 0 {
        fsleep(Delta::from_millis(1));
        mdev.flush_pin_work();
    }
}
