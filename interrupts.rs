// SPDX-License-Identifier: GPL-2.0

//! Interruptions of queues for guests: PQAP(AQIC).
//!
//! Owns what an interruption needs as long as the machine may make it: the page of the notification
//! indicator byte, pinned, and the registration of the guest's interruption subclass. Both are owned
//! values, which are given back on every way out. They go when interruptions have been disabled or
//! the queue has been reset, and not before, with two exceptions that cannot wait: the page goes
//! away, or the user does.
//!
//! Pages are pinned and unpinned without any lock that `dma_unmap` takes: the IOMMU backend calls it
//! with locks held that pinning takes as well.

use core::ops::RangeInclusive;

use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode,
        RBTreeNodeReservation, //
    },
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

use crate::{
    driver::{
        Condition,
        Mdev,
        State, //
    },
    guest::MatrixMdev,
    kvm::{
        Gisc,
        PqapHandler,
        Vcpu, //
    },
    mask::Apqn,
    pqap::{
        self,
        AqicRequest,
        Status, //
    },
    queues::response,
    vfio::PinnedPage, //
};

/// How often one looks whether the machine has disabled interruptions, a millisecond apart.
const LOOKS: u32 = 100;

/// What the interruptions of one queue need.
pub(crate) struct Interruption {
    _gisc: Gisc,
    /// Goes last: who waits for it may give up the virtual machine then.
    nib: PinnedPage<MatrixMdev>,
}

impl Interruption {
    /// Whether it is one of an mdev, with an indicator byte in these addresses of its user.
    fn is_of(&self, mdev: &Mdev, iovas: &Iovas) -> bool {
        self.nib.is_of(mdev) && iovas.contains(&self.nib.iova())
    }
}

/// Addresses of a user.
type Iovas = RangeInclusive<u64>;

/// All of them.
const EVERYWHERE: Iovas = 0..=u64::MAX;

/// What all queues with interruptions need, by APQN.
pub(crate) type Interruptions = RBTree<u16, Interruption>;

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

/// Whether the guest has the queue now: others are not there, as far as it can tell.
fn is_granted(mdev: &Mdev, state: &State, apqn: Apqn) -> bool {
    mdev.masks(state).granted.has_queue(apqn)
}

/// For how many queues of an mdev interruptions are enabled.
pub(crate) fn count(mdev: &Mdev, state: &State) -> usize {
    let all = state.interruptions.values();
    all.filter(|interruption| interruption.nib.is_of(mdev))
        .count()
}

fn enable(mdev: &Mdev, vcpu: &Vcpu<'_>, request: &AqicRequest) -> Status {
    let AqicRequest { apqn, nib, isc, .. } = *request;

    if !is_granted(mdev, &mdev.driver.state.lock(), apqn) {
        return Status::with_code(response::NOT_AVAILABLE);
    }
    let Ok(slot) = RBTreeNodeReservation::new(GFP_KERNEL) else {
        return Status::with_code(response::BUSY);
    };
    // What is not needed any more goes before this does.
    let _one_at_a_time = mdev.pinning.lock();
    match prepare(mdev, vcpu, nib, isc) {
        // All has its owner: nothing is left behind.
        Err(_) => Status::with_code(response::INVALID_ADDRESS),
        Ok((nib, gisc)) => {
            let (address, gisa) = (nib.address(), gisc.gisa());
            let (guest_isc, host_isc) = (gisc.guest_isc(), gisc.host_isc());
            // SAFETY: The page is pinned, and the subclass registered, as long as there is an
            // `Interruption`. `execute_for_guest` puts that into the table if this succeeds. The
            // documentation of this module says when it leaves the table.
            let execute =
                || unsafe { pqap::enable_interruptions(apqn, address, gisa, guest_isc, host_isc) };
            let mut new = Some(slot.into_node(apqn.to_raw(), Interruption { nib, _gisc: gisc }));
            let status = execute_for_guest(mdev, apqn, &execute, &mut new);
            if status.code() == response::OTHERWISE_CHANGED && take_from_host(mdev, apqn) {
                execute_for_guest(mdev, apqn, &execute, &mut new)
            } else {
                status
            }
        }
    }
}

/// Enables interruptions, if the guest still has the queue. If that is done, what they need is
/// replaced by what there was before, which has been replaced in the machine, too.
fn execute_for_guest(
    mdev: &Mdev,
    apqn: Apqn,
    execute: &dyn Fn() -> Status,
    needed: &mut Option<RBTreeNode<u16, Interruption>>,
) -> Status {
    let state = &mut *mdev.driver.state.lock();
    if !is_granted(mdev, state, apqn) {
        return Status::with_code(response::NOT_AVAILABLE);
    }
    let status = execute();
    if status.code() == response::NORMAL {
        *needed = needed
            .take()
            .and_then(|node| state.interruptions.insert(node));
    }
    status
}

/// Disables interruptions of a queue of the guest that are not the guest's, and waits for that:
/// whether there were any.
///
/// The AP bus enables those of a new queue for the host, whatever driver the queue has.
fn take_from_host(mdev: &Mdev, apqn: Apqn) -> bool {
    let is_hosts = &|state: &State| {
        is_granted(mdev, state, apqn) && state.interruptions.get(&apqn.to_raw()).is_none()
    };
    let is_due = disable_unless_busy(mdev, apqn, is_hosts);
    if is_due {
        look_until(|| !pqap::tapq(apqn).irq_enabled());
    }
    is_due
}

/// Looks again and again, but not for ever.
fn look_until(mut is_done: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if is_done() {
            return;
        }
        fsleep(Delta::from_millis(1));
    }
}

/// Disables interruptions of a queue, as long as they are to be: whether they still are. A machine
/// that is busy is asked again for a while.
fn disable_unless_busy(mdev: &Mdev, apqn: Apqn, is_due: &dyn Condition) -> bool {
    let mut due = true;
    look_until(|| {
        let state = mdev.driver.state.lock();
        due = is_due.holds(&state);
        let is_busy = || {
            let code = pqap::disable_interruptions(apqn).code();
            matches!(code, response::BUSY | response::RESET_IN_PROGRESS)
        };
        !due || !is_busy()
    });
    due
}

/// Gets all that is needed. Takes locks of the IOMMU backend.
fn prepare(
    mdev: &Mdev,
    vcpu: &Vcpu<'_>,
    nib: u64,
    isc: u8,
) -> Result<(PinnedPage<MatrixMdev>, Gisc)> {
    if nib == 0 || !vcpu.has_memory_at(nib) {
        return Err(EINVAL);
    }
    let page = PinnedPage::new(mdev, nib)?;
    if vcpu.is_protected() {
        page.ensure_shared()?;
    }
    Ok((page, Gisc::register(vcpu, isc)?))
}

fn disable(mdev: &Mdev, request: &AqicRequest) -> Status {
    let apqn = request.apqn;
    // Nobody enables interruptions while this waits for their end.
    let _one_at_a_time = mdev.pinning.lock();
    let status = {
        let state = mdev.driver.state.lock();
        if !is_granted(mdev, &state, apqn) {
            return Status::with_code(response::NOT_AVAILABLE);
        }
        pqap::disable_interruptions(apqn)
    };
    if matches!(
        status.code(),
        response::NORMAL | response::OTHERWISE_CHANGED
    ) {
        release_when_disabled(mdev, apqn, &EVERYWHERE);
    }
    status
}

/// Gives back what the interruptions of a queue need from these addresses, as soon as the machine has
/// disabled them. If it does not do so, this waits for the reset of the queue.
fn release_when_disabled(mdev: &Mdev, apqn: Apqn, iovas: &Iovas) {
    // Dropped without the lock.
    let mut released = None;
    look_until(|| {
        let interruptions = &mut mdev.driver.state.lock().interruptions;
        let interruption = interruptions.get(&apqn.to_raw());
        if interruption.is_some_and(|it| it.is_of(mdev, iovas)) {
            if pqap::tapq(apqn).irq_enabled() {
                return false;
            }
            released = interruptions.remove_node(&apqn.to_raw());
        }
        true
    });
}

/// Gives back, now, what interruptions of an mdev need from these addresses.
///
/// The user waits for it, and takes the pages away: interruptions are disabled first, but a machine
/// that does not do so is not waited for.
fn release_now(mdev: &Mdev, iovas: &Iovas) {
    loop {
        let apqn = {
            let state = mdev.driver.state.lock();
            let mut all = state.interruptions.iter();
            match all.find(|(_, it)| it.is_of(mdev, iovas)) {
                Some((apqn, _)) => Apqn::from_raw(*apqn),
                None => return,
            }
        };
        disable_unless_busy(mdev, apqn, &|state: &State| {
            let interruption = state.interruptions.get(&apqn.to_raw());
            interruption.is_some_and(|it| it.is_of(mdev, iovas))
        });
        release_when_disabled(mdev, apqn, iovas);

        let mut state = mdev.driver.state.lock();
        if state
            .interruptions
            .get(&apqn.to_raw())
            .is_some_and(|it| it.is_of(mdev, iovas))
        {
            let left = state.interruptions.remove_node(&apqn.to_raw());
            drop(state);
            drop(left);
            dev_warn!(
                mdev.parent(),
                "interruptions of queue {apqn} could not be disabled\n"
            );
        }
    }
}

/// Gives back all that the user of an mdev has left behind.
///
/// Nobody enables interruptions any more. But what they needed may have gone from the table, and
/// whoever has taken it from there gives it back just now.
pub(crate) fn release_all(mdev: &Mdev) {
    release_now(mdev, &EVERYWHERE);
    while mdev.pins() != 0 {
        fsleep(Delta::from_millis(1));
    }
}

/// Addresses of the user go away.
pub(crate) fn unmap(mdev: &Mdev, iova: u64, length: u64) {
    let iovas = iova..=iova.saturating_add(length.saturating_sub(1));

    // A page that is just being pinned is not in the table yet, and one that is just being unpinned
    // is so no longer. The backend calls again, a few times, as long as one is pinned.
    look_until(|| {
        release_now(mdev, &iovas);
        let state = mdev.driver.state.lock();
        mdev.pins() == count(mdev, &state)
    });
}
