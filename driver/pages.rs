// SPDX-License-Identifier: GPL-2.0

//! Pages that are pinned for interruptions.
//!
//! The driver *pins* the page of a notification indicator byte, and takes a reference to its *frame*.
//! The machine writes to the frame. The driver drops both when the machine has let go. If the user
//! unmaps the page and the machine does not let go in time, the driver unpins the page and keeps the
//! frame.
//!
//! The work of an mdev pins and unpins its pages. It is a kernel thread, so no user can starve it. The
//! user may hold locks of the IOMMU backend, so no other task waits for that work. Each page is in one
//! place where `dma_unmap` finds it: [`Pins::in_progress`], a [`Candidate`], or [`interruptions`].
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

/// Timeout of an unmap until AQIC has ended the interruptions, in milliseconds.
const UNMAP_AQIC_TIMEOUT: i64 = 100;

/// Timeout of an unmap until a reset of the queue has ended the interruptions, in milliseconds.
const UNMAP_RESET_TIMEOUT: i64 = 2_000;

/// Timeout of an unmap of a container until the pages are unpinned, in milliseconds. The container calls
/// again.
const UNPIN_TIMEOUT: i64 = 10_000;

/// A range of addresses of a user.
pub(crate) type Iovas = RangeInclusive<u64>;

/// All addresses.
const EVERYWHERE: Iovas = 0..=u64::MAX;

/// Returns true if the page at an address overlaps a range.
pub(crate) fn overlaps(page: u64, iovas: &Iovas) -> bool {
    page <= *iovas.end() && page + (PAGE_SIZE as u64 - 1) >= *iovas.start()
}

/// The page of an mdev for interruptions that are about to be enabled.
#[derive(Default)]
pub(crate) enum Candidate {
    /// There is no page: none is wanted, it cannot be pinned, or the user unmaps it.
    #[default]
    None,
    /// The work has to pin a page.
    Wanted { page: u64, is_protected: bool },
    /// The work is pinning a page.
    Pinning,
    /// The page is pinned.
    Pinned(PinnedPage<MatrixMdev>, Frame),
    /// The work has to unpin the page.
    Unwanted(PinnedPage<MatrixMdev>, Frame),
}

/// The pages of an mdev that do not belong to interruptions.
#[derive(Default)]
pub(crate) struct Pins {
    /// The page for the interruptions that a guest is enabling.
    pub(crate) candidate: Candidate,
    /// The address of the page that the work is pinning or unpinning.
    in_progress: Option<u64>,
    /// The number of tasks that unmap pages of the mdev. No page is pinned in the meantime.
    unmapping: u32,
    /// The time of the last `ENOMEM`, and the number of them in a row. VFIO returns it when the user
    /// may not lock more memory.
    no_memory: Option<(Instant<Monotonic>, u32)>,
}

/// The next job of the work of an mdev.
enum Job {
    /// Drop the target of interruptions that are over.
    Release(Released),
    /// Unpin a page, and drop its frame if nothing else uses it.
    Unpin(PinnedPage<MatrixMdev>, Option<Frame>),
    /// Pin a page.
    Pin { page: u64, is_protected: bool },
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

    /// Returns true if a page of an mdev in these addresses is pinned, or is being pinned or unpinned.
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
    /// Returns true if no page should be pinned now, as the user may not lock more memory.
    ///
    /// A container logs each such attempt. The next one is made after a second, and then after twice the
    /// time, up to about a minute.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.no_memory
            .as_ref()
            .is_some_and(|(last, count)| last.elapsed().as_millis() < 1_000 << (count - 1).min(6))
    }

    /// Makes a page the candidate. Returns false if the user unmaps pages, so that none can be pinned.
    pub(crate) fn want(&mut self, page: u64, is_protected: bool) -> bool {
        let is_possible = self.unmapping == 0;
        if is_possible {
            self.candidate = Candidate::Wanted { page, is_protected };
        }
        is_possible
    }

    /// Returns the job of the work for the candidate.
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

    /// Discards the candidate. The work has to unpin its page.
    pub(crate) fn discard(&mut self) {
        self.candidate = match core::mem::take(&mut self.candidate) {
            Candidate::Pinned(pin, frame) | Candidate::Unwanted(pin, frame) => {
                Candidate::Unwanted(pin, frame)
            }
            _ => Candidate::None,
        };
    }

    /// Returns the address of the candidate's page.
    fn candidate_page(&self) -> Option<u64> {
        match &self.candidate {
            Candidate::None => None,
            Candidate::Pinning => self.in_progress,
            Candidate::Wanted { page, .. } => Some(*page),
            Candidate::Pinned(pin, _) | Candidate::Unwanted(pin, _) => Some(pin.iova()),
        }
    }

    /// Records the end of a job. `pinned` is the result of [`Job::Pin`].
    fn job_done(&mut self, pinned: Option<Result<(PinnedPage<MatrixMdev>, Frame)>>) {
        self.in_progress = None;
        match pinned {
            Some(Ok((pin, frame))) => {
                self.no_memory = None;
                // The next job unpins a page that was discarded in the meantime.
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
    /// Queues the work that pins and unpins pages.
    pub(crate) fn queue_pin_work(&self) {
        // An error means that the work is queued already.
        let _ = workqueue::system_highpri().enqueue::<ARef<Self>, PIN_WORK>(self.into());
    }

    /// Queues the work that pins and unpins pages, and waits for its end. The work takes locks of the
    /// IOMMU backend.
    pub(crate) fn flush_pin_work(&self) {
        self.queue_pin_work();
        work::flush::<Self, PIN_WORK>(self);
    }
}

/// The work item of an mdev that pins and unpins pages.
pub(crate) const PIN_WORK: u64 = 2;

impl WorkItem<PIN_WORK> for Mdev {
    type Pointer = ARef<Self>;

    fn run(mdev: ARef<Self>) {
        let driver = &mdev.driver;
        loop {
            let job = driver.state().next_job(&mdev);
            // Pages are dropped before `job_done` is called.
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

/// Unpins all pages in addresses that the user unmaps.
///
/// The machine has to let go of the pages first. AQIC disables the interruptions. If they do not end in
/// time, the queue is reset. If that does not end in time either, the pages are unpinned, and their
/// frames are kept.
///
/// A container calls this ten times as long as pages are pinned, and stops the host then. A guest must
/// not cause that by enabling interruptions again and again, so it cannot enable interruptions until the
/// system call of the user has ended.
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

/// Ends interruptions with a page in these addresses. Returns true if the machine has let go of all of
/// them in time.
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

/// Begins resets of the queues whose interruptions have not ended.
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

/// Requests to unpin the pages of interruptions that the machine has not let go of. Their frames are kept
/// until it does.
fn force_unpin(mdev: &Mdev, iovas: &Iovas) {
    let count = mdev.driver.state().interruptions.request_unpin(mdev, iovas);
    if count != 0 {
        mdev.queue_pin_work();
        mdev.driver.schedule_poll();
        mdev.driver.debug.frames_kept(count);
    }
}

/// Unpins all pages of an mdev that is being closed. The caller has waited for resets of its queues.
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
