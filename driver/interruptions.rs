// SPDX-License-Identifier: GPL-2.0

//! The interruptions of guests that the machine may make.
//!
//! Owns what an interruption needs as long as the machine may make it: the page of the notification
//! indicator byte, and the registration of the guest's interruption subclass. [`interrupts`] has the
//! rules by which they end.
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
        queues::Reset, //
    }, //
};

/// A number for each mdev, which no other one has ever had.
pub(crate) type MdevId = u64;

/// Whose interruptions they are, and what the machine does not know of.
pub(crate) struct Owner {
    pub(crate) mdev: MdevId,
    /// The address of the page that the user has for it.
    pub(crate) page: u64,
    /// The user has not got the page back yet.
    pub(crate) pin: Option<PinnedPage<MatrixMdev>>,
    /// He wants it back.
    pub(crate) unpin_requested: bool,
}

impl Owner {
    /// Returns true if it is this mdev, and the page overlaps these addresses of its user.
    pub(crate) fn is(&self, mdev: &Mdev, iovas: &Iovas) -> bool {
        self.mdev == mdev.id && overlaps(self.page, iovas)
    }
}

/// The interruptions of one queue, in a [`List`].
pub(crate) struct Enabled {
    pub(crate) apqn: Apqn,
    pub(crate) state: Interruption<Target, Owner>,
    next: Option<KBox<Enabled>>,
}

impl Enabled {
    /// Of a queue for which the machine does not make any yet.
    pub(crate) fn new(apqn: Apqn, target: Target, owner: Owner) -> Self {
        Self {
            apqn,
            state: Interruption::new(target, owner),
            next: None,
        }
    }
}

/// A list of boxes. They are allocated before the state is locked, and move from one list to another
/// without that anything is allocated.
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

    /// Takes the first element for which `is_it` holds.
    fn take(&mut self, is_it: impl Fn(&Enabled) -> bool) -> Option<KBox<Enabled>> {
        let mut link = &mut self.0;
        while !is_it(link.as_ref()?) {
            link = &mut link.as_mut()?.next;
        }
        let mut taken = link.take()?;
        *link = taken.next.take();
        Some(taken)
    }

    /// Returns the first element for which `is_it` holds.
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

/// All interruptions of guests that the machine may make, and what they have needed.
pub(crate) struct Interruptions {
    /// Those that the machine may make. There is one for a queue at most.
    enabled: List,
    /// Those that are over. What they have needed is to be given back, but not under the lock.
    released: List,
}

impl Interruptions {
    pub(crate) const fn new() -> Self {
        Self {
            enabled: List(None),
            released: List(None),
        }
    }

    /// The machine may make these, and no longer those that the queue had before.
    pub(crate) fn add(&mut self, new: KBox<Enabled>) {
        self.release(new.apqn);
        self.enabled.push(new);
    }

    /// The machine has let go of the queue: its reset is over, or it is gone, or the machine has
    /// accepted others.
    pub(crate) fn release(&mut self, apqn: Apqn) {
        if let Some(mut old) = self.enabled.take(|it| it.apqn == apqn) {
            old.state.mark_over();
            self.retire(old);
        }
    }

    /// What interruptions have needed that are over goes to the work of the mdev; what is not pinned
    /// any more goes to that of the driver.
    fn retire(&mut self, over: KBox<Enabled>) {
        if let Some(pin) = &over.state.owner.pin {
            pin.device().queue_pin_work();
        }
        self.released.push(over);
    }

    /// The reset of a queue has failed: interruptions have to end in another way.
    pub(crate) fn end(&mut self, apqn: Apqn) {
        if let Some(it) = self.of_queue(apqn) {
            it.end();
        }
    }

    /// The same after a reset that was not seen to end: of a queue that no guest can use.
    pub(crate) fn end_after(&mut self, apqn: Apqn, reset: &Reset) {
        if let Some(it) = self.of_queue(apqn) {
            it.end();
            if reset.is_seen() {
                it.reset_seen();
            }
        }
    }

    /// Takes one step for each that `is_due`.
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

    /// Takes what is released by interruptions of an mdev and is pinned for it; with [`None`], what is
    /// not pinned any more.
    pub(crate) fn take_released(&mut self, mdev: Option<MdevId>) -> Option<Released> {
        let pinned_for = |it: &Enabled| it.state.owner.pin.as_ref().map(|_| it.state.owner.mdev);
        let over = self.released.take(|it| pinned_for(it) == mdev)?;
        KBox::into_inner(over).state.into_parts().map(Released)
    }

    /// Takes a pin that the user of an mdev wants back.
    pub(crate) fn take_unpin_request(&mut self, mdev: &Mdev) -> Option<PinnedPage<MatrixMdev>> {
        let is_it = |it: &mut Enabled| {
            let owner = &it.state.owner;
            owner.mdev == mdev.id && owner.unpin_requested && owner.pin.is_some()
        };
        self.enabled.find(is_it)?.state.owner.pin.take()
    }

    /// The interruptions of a queue.
    // Not inlined: ten callers would each have the loop.
    #[inline(never)]
    pub(crate) fn of_queue(&mut self, apqn: Apqn) -> Option<&mut Interruption<Target, Owner>> {
        let it = self.enabled.find(|it| it.apqn == apqn)?;
        Some(&mut it.state)
    }

    /// Those that the machine may make.
    pub(crate) fn enabled(&self) -> impl Iterator<Item = &Enabled> {
        self.enabled.iter()
    }

    /// Has those of a user's addresses end that have a page. Returns how many that are.
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

    /// Returns for how many queues an mdev has interruptions, and for how many of them its user has the
    /// page back already.
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

    /// Returns true if the machine may write to a page of an mdev in these addresses that is pinned.
    pub(crate) fn any_in_use(&self, mdev: &Mdev, iovas: &Iovas) -> bool {
        self.enabled.any_pinned(mdev, iovas)
    }

    /// Returns true if a page of an mdev in these addresses is pinned.
    pub(crate) fn any_pinned(&self, mdev: &Mdev, iovas: &Iovas) -> bool {
        self.enabled.any_pinned(mdev, iovas) || self.released.any_pinned(mdev, iovas)
    }

    /// Returns true if some interruptions have to end, and have not.
    pub(crate) fn any_ending(&self) -> bool {
        self.enabled.iter().any(|it| it.state.is_ending())
    }

    /// Leaves to the machine, for ever, what it has not let go of. Returns how many queues that are.
    ///
    /// To be called when the driver goes: nobody is left who could see the machine let go.
    pub(crate) fn forget_all(&mut self) -> usize {
        core::iter::from_fn(|| self.enabled.pop()).count()
    }
}

/// What interruptions have needed that are over. The pin goes last: who waits for it may give up the
/// virtual machine then.
pub(crate) struct Released((Target, Owner));

impl Released {
    /// The address of the page.
    pub(crate) fn page(&self) -> u64 {
        self.0 .1.page
    }
}

/// The driver gives up a queue that was not reset. Its interruptions end now, or are an orphan's.
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
