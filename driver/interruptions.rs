// SPDX-License-Identifier: GPL-2.0

//! The interruptions of guests.
//!
//! Owns the target of each interruption as long as the machine may write to it: the page with the
//! notification indicator byte, and the registration of the guest's interruption subclass.
//! [`interrupts`] has the states of an interruption.
//!
//! [`interrupts`]: crate::matrix::interrupts

use kernel::{
    prelude::*,
    sync::Arc, //
};

use crate::{
    ap_bus::pqap::{
        self,
        Target, //
    },
    driver::{
        matrix_mdev::MatrixMdev,
        pages::{
            overlaps,
            Iovas, //
        },
        wait::{
            Wait,
            GUEST_TIMEOUT, //
        },
        Mdev, //
        VfioAp,
    },
    linux::vfio::PinnedPage,
    matrix::{
        interrupts::Interruption,
        mask::Apqn,
        migration::Indicator,
        queues::Reset, //
    }, //
};

/// A unique number of an mdev.
pub(crate) type MdevId = u64;

/// The mdev that has enabled interruptions, and its page.
pub(crate) struct Owner {
    /// The mdev.
    pub(crate) mdev: MdevId,
    /// The user's address of the page.
    pub(crate) page: u64,
    /// The pin of the page. [`None`] if the page was unpinned before the machine had let go.
    pub(crate) pin: Option<PinnedPage<MatrixMdev>>,
    /// The work has to unpin the page.
    pub(crate) unpin_requested: bool,
}

impl Owner {
    /// Returns true for an mdev if the page overlaps addresses of its user.
    pub(crate) fn is(&self, mdev: &Mdev, iovas: &Iovas) -> bool {
        self.mdev == mdev.id && overlaps(self.page, iovas)
    }
}

/// The interruptions of one queue, as an element of a [`List`].
pub(crate) struct Enabled {
    /// The queue.
    pub(crate) apqn: Apqn,
    /// The state of its interruptions.
    pub(crate) state: Interruption<Target, Owner>,
    next: Option<KBox<Enabled>>,
}

impl Enabled {
    /// Creates interruptions that are not enabled yet.
    pub(crate) fn new(apqn: Apqn, target: Target, owner: Owner) -> Self {
        Self {
            apqn,
            state: Interruption::new(target, owner),
            next: None,
        }
    }
}

/// A singly linked list of boxes. A box is allocated before the state is locked, and can move from one
/// list to another under the lock.
struct List(Option<KBox<Enabled>>);

impl List {
    fn push(&mut self, mut new: KBox<Enabled>) {
        new.next = self.0.take();
        self.0 = Some(new);
    }

    fn pop(&mut self) -> Option<KBox<Enabled>> {
        let mut first = self.0.take()?;
        self.0 = first.next.take();
        Some(first)
    }

    /// Removes the first element for which `is_it` returns true.
    fn take(&mut self, is_it: impl Fn(&Enabled) -> bool) -> Option<KBox<Enabled>> {
        let mut link = &mut self.0;
        while !is_it(link.as_ref()?) {
            link = &mut link.as_mut()?.next;
        }
        let mut taken = link.take()?;
        *link = taken.next.take();
        Some(taken)
    }

    /// Returns the first element for which `is_it` returns true.
    fn find(&mut self, mut is_it: impl FnMut(&mut Enabled) -> bool) -> Option<&mut Enabled> {
        let mut link = self.0.as_deref_mut();
        while let Some(it) = link {
            if is_it(it) {
                return Some(it);
            }
            link = it.next.as_deref_mut();
        }
        None
    }

    fn iter(&self) -> impl Iterator<Item = &Enabled> {
        core::iter::successors(self.0.as_deref(), |it| it.next.as_deref())
    }

    fn any_pinned(&self, mdev: &Mdev, iovas: &Iovas) -> bool {
        let mut owners = self.iter().map(|it| &it.state.owner);
        owners.any(|owner| owner.pin.is_some() && owner.is(mdev, iovas))
    }
}

/// All interruptions of guests.
pub(crate) struct Interruptions {
    /// Interruptions that are not over. A queue has one element at most.
    enabled: List,
    /// Interruptions that are over. Their targets must be dropped without the lock.
    released: List,
}

impl Interruptions {
    pub(crate) const fn new() -> Self {
        Self {
            enabled: List(None),
            released: List(None),
        }
    }

    /// Adds interruptions that the machine has enabled, in place of earlier ones of the queue.
    pub(crate) fn add(&mut self, new: KBox<Enabled>) {
        self.release(new.apqn);
        self.enabled.push(new);
    }

    /// Ends the interruptions of a queue that the machine has let go of: the queue was reset, is gone,
    /// or has other interruptions.
    pub(crate) fn release(&mut self, apqn: Apqn) {
        if let Some(mut old) = self.enabled.take(|it| it.apqn == apqn) {
            old.state.mark_over();
            self.retire(old);
        }
    }

    /// Passes interruptions that are over to the work that drops their target. This is the work of the
    /// mdev as long as the page is pinned, and the work of the driver otherwise.
    fn retire(&mut self, over: KBox<Enabled>) {
        if let Some(pin) = &over.state.owner.pin {
            pin.device().queue_pin_work();
        }
        self.released.push(over);
    }

    /// Begins to end the interruptions of a queue whose reset has failed.
    pub(crate) fn end(&mut self, apqn: Apqn) {
        if let Some(it) = self.of_queue(apqn) {
            it.end();
        }
    }

    /// Begins to end the interruptions of a queue whose reset was not seen to end, and that no guest can
    /// use.
    pub(crate) fn end_after(&mut self, apqn: Apqn, reset: &Reset) {
        if let Some(it) = self.of_queue(apqn) {
            it.end();
            if reset.is_seen() {
                it.reset_seen();
            }
        }
    }

    /// Advances the interruptions for which `is_due` returns true.
    pub(crate) fn step(&mut self, mut is_due: impl FnMut(&mut Enabled) -> bool) {
        let mut rest = core::mem::replace(&mut self.enabled, List(None));
        while let Some(mut it) = rest.pop() {
            let is_due = is_due(&mut it);
            self.put_back(it, is_due);
        }
    }

    fn put_back(&mut self, mut it: KBox<Enabled>, is_due: bool) {
        let apqn = it.apqn;
        if is_due && it.state.step(apqn, &mut pqap::Machine) {
            self.retire(it);
        } else {
            self.enabled.push(it);
        }
    }

    /// Removes the target of interruptions that are over, and whose page is pinned for an mdev. For
    /// [`None`], the page is not pinned any more.
    pub(crate) fn take_released(&mut self, mdev: Option<MdevId>) -> Option<Released> {
        let pinned_for = |it: &Enabled| it.state.owner.pin.as_ref().map(|_| it.state.owner.mdev);
        let over = self.released.take(|it| pinned_for(it) == mdev)?;
        KBox::into_inner(over).state.into_parts().map(Released)
    }

    /// Removes a pin of an mdev that has to be unpinned.
    pub(crate) fn take_unpin_request(&mut self, mdev: &Mdev) -> Option<PinnedPage<MatrixMdev>> {
        let is_it = |it: &mut Enabled| {
            let owner = &it.state.owner;
            owner.mdev == mdev.id && owner.unpin_requested && owner.pin.is_some()
        };
        self.enabled.find(is_it)?.state.owner.pin.take()
    }

    /// Returns the interruptions of a queue.
    // Not inlined: ten callers would each have the loop.
    #[inline(never)]
    pub(crate) fn of_queue(&mut self, apqn: Apqn) -> Option<&mut Interruption<Target, Owner>> {
        let it = self.enabled.find(|it| it.apqn == apqn)?;
        Some(&mut it.state)
    }

    /// Returns the operands of interruptions that an mdev has for a queue, and that are not being ended.
    pub(crate) fn indicator(&mut self, mdev: &Mdev, apqn: Apqn) -> Option<Indicator> {
        let it = self.of_queue(apqn)?;
        let Target { nib, ref gisc, .. } = *it.target();
        (it.owner.mdev == mdev.id && !it.is_ending()).then(|| Indicator {
            nib,
            isc: gisc.guest_isc(),
        })
    }

    /// Returns the interruptions that are not over.
    pub(crate) fn enabled(&self) -> impl Iterator<Item = &Enabled> {
        self.enabled.iter()
    }

    /// Begins to end interruptions with a pinned page in addresses of a user, and requests to unpin the
    /// pages. Returns the number of pages.
    pub(crate) fn request_unpin(&mut self, mdev: &Mdev, iovas: &Iovas) -> u32 {
        let mut count = 0;
        self.enabled.find(|it| {
            let owner = &mut it.state.owner;
            if owner.is(mdev, iovas) && owner.pin.is_some() {
                owner.unpin_requested = true;
                it.state.end();
                count += 1;
            }
            false
        });
        count
    }

    /// Returns the number of queues for which an mdev has interruptions, and the number of them whose
    /// page is not pinned any more.
    pub(crate) fn count(&self, mdev: &Mdev) -> (u32, u32) {
        let (mut all, mut given_back) = (0, 0);
        for it in self.enabled.iter() {
            if it.state.owner.mdev == mdev.id {
                all += 1;
                given_back += u32::from(it.state.owner.pin.is_none());
            }
        }
        (all, given_back)
    }

    /// Returns true if the machine may write to a pinned page of an mdev in these addresses.
    pub(crate) fn any_in_use(&self, mdev: &Mdev, iovas: &Iovas) -> bool {
        self.enabled.any_pinned(mdev, iovas)
    }

    /// Returns true if a page of an mdev in these addresses is pinned for interruptions.
    pub(crate) fn any_pinned(&self, mdev: &Mdev, iovas: &Iovas) -> bool {
        self.enabled.any_pinned(mdev, iovas) || self.released.any_pinned(mdev, iovas)
    }

    /// Returns true if interruptions are being ended.
    pub(crate) fn any_ending(&self) -> bool {
        self.enabled.iter().any(|it| it.state.is_ending())
    }

    /// Leaks the targets of interruptions that are not over. Returns their number.
    ///
    /// Called when the driver is unloaded, as nobody can see the machine let go after that.
    pub(crate) fn forget_all(&mut self) -> usize {
        core::iter::from_fn(|| self.enabled.pop()).count()
    }
}

/// The target of interruptions that are over, and their owner. The pin is dropped last, as a task that
/// waits for it may drop the virtual machine.
pub(crate) struct Released((Target, Owner));

impl Released {
    /// Returns the user's address of the page.
    pub(crate) fn page(&self) -> u64 {
        self.0 .1.page
    }
}

/// Ends the interruptions of a queue that leaves the driver without a reset. They become an orphan if
/// the machine does not let go in time.
pub(crate) fn orphan(driver: &Arc<VfioAp>, apqn: Apqn) {
    let wait = Wait::new(GUEST_TIMEOUT);
    loop {
        driver.state().interruptions.step(|it| it.apqn == apqn);
        if driver.state().interruptions.of_queue(apqn).is_none() {
            return;
        }
        if !wait.sleep() {
            break;
        }
    }
    if let Some(left) = driver.state().interruptions.of_queue(apqn) {
        left.orphan();
    }
    driver.schedule_poll();
}
