// SPDX-License-Identifier: GPL-2.0

//! PQAP(AQIC): guests enable and disable interruptions of their queues.

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
        }, //
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
    linux::vfio,
    matrix::{
        interrupts::{
            self,
            Facts, //
        },
        mask::Apqn,
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

fn enable(mdev: &Mdev, vcpu: &Vcpu<'_>, request: &AqicRequest) -> Status {
    let AqicRequest { apqn, nib, isc, .. } = *request;
    let driver = &mdev.driver;

    let _one_at_a_time = mdev.aqic.lock();
    if let Some(status) = refusal(driver, &mut driver.state(), mdev, apqn) {
        return status;
    }
    let Ok(place) = KBox::new_uninit(GFP_KERNEL) else {
        return Status::with_code(response::BUSY);
    };
    if nib == 0 || !vcpu.has_memory_at(nib) {
        return Status::with_code(response::INVALID_ADDRESS);
    }
    let Ok(gisc) = Gisc::register(vcpu, isc) else {
        return Status::with_code(response::INVALID_ADDRESS);
    };
    if mdev.pins_mut(&mut driver.state()).is_out_of_memory() {
        return Status::with_code(response::INVALID_ADDRESS);
    }
    let (page, is_protected) = (vfio::page_of(nib), vcpu.is_protected());
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
    // What is not needed any more goes before this does.
    mdev.pins_mut(&mut driver.state()).discard();
    mdev.flush_pin_work();
    status
}

/// What has to be there before interruptions can be enabled, besides the page.
type Prepared = (KBox<MaybeUninit<Enabled>>, Gisc);

/// Enables interruptions with the page of the candidate, if it is still there. If the machine accepts
/// that, it has let go of what there was before.
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

/// Disables interruptions of a queue of the guest that are not the guest's, and waits for that.
/// Returns true if there were any.
///
/// The AP bus enables those of a new queue for the host, whatever driver the queue has.
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
    // Nobody enables interruptions while this waits for their end.
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

/// Takes the end of the interruptions of a queue further. Returns true if that is not the end.
fn is_still_ending(driver: &VfioAp, apqn: Apqn) -> bool {
    let interruptions = &mut driver.state().interruptions;
    interruptions.step(|it| it.apqn == apqn && it.state.is_ending());
    interruptions
        .of_queue(apqn)
        .is_some_and(|it| it.is_ending())
}
