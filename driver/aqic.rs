// SPDX-License-Identifier: GPL-2.0

//! PQAP(AQIC) of guests, which enables and disables interruptions of queues.
//!
//! The driver also enables interruptions again that a guest had before it was stopped.

use core::mem::MaybeUninit;

use kernel::prelude::*;

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
        },
        trace, //
    },
    driver::{
        interruptions::{
            Enabled,
            Owner, //
        },
        pages::Candidate,
        wait::{
            Wait,
            GUEST_TIMEOUT, //
        },
        Mdev,
        State, //
        VfioAp,
    },
    linux::{
        kvm::Kvm,
        vfio, //
    },
    matrix::{
        interrupts::{
            self,
            Facts, //
        },
        mask::Apqn,
        migration::Indicator,
        queues::response, //
    }, //
};

impl PqapHandler for Mdev {
    fn pqap(&self, vcpu: &Vcpu<'_>) -> Option<Status> {
        if !vcpu.has_adapter_interruptions() {
            return None;
        }
        let request = AqicRequest::new(vcpu.gprs());
        let status = if request.enable {
            enable(self, &Requester::Guest(vcpu), &request)
        } else {
            disable(self, &request)
        };
        let AqicRequest {
            apqn, enable, nib, ..
        } = request;
        trace::aqic(apqn, status.code());
        if status.code() != response::NORMAL {
            self.driver
                .debug
                .aqic_refused(apqn, enable, nib, status.code());
        }
        Some(status)
    }
}

/// Returns the status by which AQIC is refused, if it is. Polls a pending reset of the queue first.
fn refusal(driver: &VfioAp, state: &mut State, mdev: &Mdev, apqn: Apqn) -> Option<Status> {
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

/// Enables interruptions of a queue again that the guest had before it was stopped.
///
/// # Errors
///
/// `EIO` if that is not possible before the end of the wait.
pub(crate) fn enable_again(
    mdev: &Mdev,
    kvm: &Kvm,
    apqn: Apqn,
    indicator: Indicator,
    wait: &Wait,
) -> Result {
    let Indicator { nib, isc } = indicator;
    let request = AqicRequest {
        apqn,
        enable: true,
        isc,
        nib,
    };
    loop {
        match enable(mdev, &Requester::Driver(kvm), &request).code() {
            response::NORMAL => return Ok(()),
            response::BUSY | response::RESET_IN_PROGRESS if wait.sleep() => {}
            _ => return Err(EIO),
        }
    }
}

/// The requester of interruptions.
enum Requester<'a> {
    /// A guest that executes AQIC.
    Guest(&'a Vcpu<'a>),
    /// The driver, for a guest that runs again.
    Driver(&'a Kvm),
}

impl Requester<'_> {
    /// Registers the subclass of a request. Returns [`None`] if the guest does not have the subclass, or
    /// no memory for the indicator.
    fn register(&self, request: &AqicRequest) -> Option<Gisc> {
        let AqicRequest { nib, isc, .. } = *request;
        match self {
            _ if nib == 0 => None,
            Self::Guest(vcpu) if !vcpu.has_memory_at(nib) => None,
            Self::Guest(vcpu) => Gisc::register(vcpu, isc).ok(),
            // The page can only be pinned if there is memory.
            Self::Driver(kvm) => Gisc::register_unprotected(kvm, isc).ok(),
        }
    }

    fn is_protected(&self) -> bool {
        matches!(self, Self::Guest(vcpu) if vcpu.is_protected())
    }
}

fn enable(mdev: &Mdev, requester: &Requester<'_>, request: &AqicRequest) -> Status {
    let AqicRequest { apqn, nib, .. } = *request;
    let driver = &mdev.driver;

    let _one_at_a_time = mdev.aqic.lock();
    if let Some(status) = refusal(driver, &mut driver.state(), mdev, apqn) {
        return status;
    }
    let Ok(place) = KBox::new_uninit(GFP_KERNEL) else {
        return Status::with_code(response::BUSY);
    };
    let Some(gisc) = requester.register(request) else {
        return Status::with_code(response::INVALID_ADDRESS);
    };
    if mdev.pins_mut(&mut driver.state()).is_out_of_memory() {
        return Status::with_code(response::INVALID_ADDRESS);
    }
    let (page, is_protected) = (vfio::page_of(nib), requester.is_protected());
    let wait = Wait::new(GUEST_TIMEOUT);
    while !mdev.pins_mut(&mut driver.state()).want(page, is_protected) {
        if !wait.sleep() {
            return Status::with_code(response::BUSY);
        }
    }
    mdev.flush_pin_work();

    let mut prepared = Some((place, gisc));
    let mut status = enable_candidate(mdev, apqn, nib, &mut prepared);
    if status.code() == response::OTHERWISE_CHANGED && disable_for_host(mdev, apqn) {
        status = enable_candidate(mdev, apqn, nib, &mut prepared);
    }
    // Unused pages are unpinned before the instruction ends.
    mdev.pins_mut(&mut driver.state()).discard();
    mdev.flush_pin_work();
    status
}

/// The resources for enabling interruptions, apart from the page.
type Prepared = (KBox<MaybeUninit<Enabled>>, Gisc);

/// Enables interruptions with the page of the candidate, if there is one. The machine lets go of
/// earlier interruptions of the queue when it accepts.
fn enable_candidate(mdev: &Mdev, apqn: Apqn, nib: u64, prepared: &mut Option<Prepared>) -> Status {
    let driver = &mdev.driver;
    let state = &mut *driver.state();
    if let Some(status) = refusal(driver, state, mdev, apqn) {
        return status;
    }
    let candidate = &mut mdev.pins_mut(state).candidate;
    let (pin, frame, (place, gisc)) = match (core::mem::take(candidate), prepared.take()) {
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
        unpin_requested: false,
    };
    let mut new = Enabled::new(apqn, Target { gisc, frame, nib }, owner);
    let status = pqap::enable_interruptions(apqn, &mut new.state);
    if status.code() == response::NORMAL {
        state.interruptions.add(KBox::write(place, new));
    } else if let Some((Target { gisc, frame, .. }, owner)) = new.state.into_parts() {
        if let Some(pin) = owner.pin {
            *candidate = Candidate::Pinned(pin, frame);
        }
        *prepared = Some((place, gisc));
    }
    status
}

/// Disables interruptions of a queue that are enabled for the host, and waits for that. Returns true if
/// the guest can enable its own then.
///
/// The AP bus enables interruptions of each new queue, also of a queue that is bound to this driver.
fn disable_for_host(mdev: &Mdev, apqn: Apqn) -> bool {
    let driver = &mdev.driver;
    let wait = Wait::new(GUEST_TIMEOUT);
    let mut is_disabled = false;
    loop {
        {
            let state = &mut *driver.state();
            let is_hosts = refusal(driver, state, mdev, apqn).is_none()
                && state.interruptions.of_queue(apqn).is_none();
            if !is_hosts {
                return false;
            }
            if !is_disabled {
                let code = pqap::disable_interruptions(apqn).code();
                is_disabled = !matches!(code, response::BUSY | response::RESET_IN_PROGRESS);
            }
            if is_disabled && !pqap::tapq(apqn).irq_enabled() {
                return true;
            }
        }
        if !wait.sleep() {
            return true;
        }
    }
}

fn disable(mdev: &Mdev, request: &AqicRequest) -> Status {
    let apqn = request.apqn;
    let driver = &mdev.driver;
    // Held while waiting, so that interruptions are not enabled in the meantime.
    let _one_at_a_time = mdev.aqic.lock();
    let status = {
        let state = &mut *driver.state();
        if let Some(status) = refusal(driver, state, mdev, apqn) {
            return status;
        }
        let status = pqap::disable_interruptions(apqn);
        if let Some(interruption) = state.interruptions.of_queue(apqn) {
            interruption.disable_answered(status.code());
        }
        status
    };
    let wait = Wait::new(GUEST_TIMEOUT);
    while is_still_ending(driver, apqn) {
        if !wait.sleep() {
            driver.schedule_poll();
            break;
        }
    }
    mdev.flush_pin_work();
    status
}

/// Advances the end of the interruptions of a queue. Returns true if they have not ended.
fn is_still_ending(driver: &VfioAp, apqn: Apqn) -> bool {
    let interruptions = &mut driver.state().interruptions;
    interruptions.step(|it| it.apqn == apqn && it.state.is_ending());
    interruptions
        .of_queue(apqn)
        .is_some_and(|it| it.is_ending())
}
