// SPDX-License-Identifier: GPL-2.0

//! The attributes of an mdev.
//!
//! See `Documentation/ABI/sysfs-vfio-ap` for what they mean.

use kernel::{
    fmt::Write,
    prelude::*, //
};

use crate::{
    ap_bus,
    driver::Mdev,
    guest::MatrixMdev,
    matrix::{
        Limits,
        Matrix, //
    },
    sysfs::{
        self,
        Attribute,
        LongAttribute,
        Page, //
    },
    text::{
        self,
        Listing,
        ParseError, //
    }, //
};

sysfs::attribute_groups! {
    pub(crate) static MDEV = {
        text: [
            Assign<Adapter, true>,
            Assign<Adapter, false>,
            Assign<Domain, true>,
            Assign<Domain, false>,
            Assign<ControlDomain, true>,
            Assign<ControlDomain, false>,
            ApConfig,
            ControlDomains,
        ],
        long: [AssignedMatrix, GuestMatrix],
    };
}

impl From<ParseError> for Error {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::Syntax => EINVAL,
            ParseError::Overflow => ERANGE,
        }
    }
}

/// What can be assigned one by one.
trait Resource {
    /// The attribute that assigns one, and the one that takes it away.
    const NAMES: [&'static CStr; 2];

    /// The greatest number.
    fn limit(limits: &Limits) -> u8;

    /// Puts one into a matrix or takes it out.
    fn set(matrix: &mut Matrix, id: u8, assigned: bool);
}

struct Adapter;

impl Resource for Adapter {
    const NAMES: [&'static CStr; 2] = [c"assign_adapter", c"unassign_adapter"];

    fn limit(limits: &Limits) -> u8 {
        limits.apid
    }

    fn set(matrix: &mut Matrix, id: u8, assigned: bool) {
        matrix.apm.set(id.into(), assigned);
    }
}

struct Domain;

impl Resource for Domain {
    const NAMES: [&'static CStr; 2] = [c"assign_domain", c"unassign_domain"];

    fn limit(limits: &Limits) -> u8 {
        limits.apqi
    }

    fn set(matrix: &mut Matrix, id: u8, assigned: bool) {
        matrix.aqm.set(id.into(), assigned);
    }
}

struct ControlDomain;

impl Resource for ControlDomain {
    const NAMES: [&'static CStr; 2] = [c"assign_control_domain", c"unassign_control_domain"];

    fn limit(limits: &Limits) -> u8 {
        limits.apqi
    }

    fn set(matrix: &mut Matrix, id: u8, assigned: bool) {
        matrix.adm.set(id.into(), assigned);
    }
}

/// `assign_adapter` and the five like it.
struct Assign<R, const ASSIGN: bool>(R);

#[vtable]
impl<R: Resource, const ASSIGN: bool> Attribute for Assign<R, ASSIGN> {
    type Device = Mdev;

    const NAME: &'static CStr = R::NAMES[if ASSIGN { 0 } else { 1 }];

    fn store(mdev: &Mdev, text: &[u8]) -> Result {
        assign_one(mdev, text, R::limit, |matrix, id| {
            R::set(matrix, id, ASSIGN)
        })
    }
}

/// What the six have in common.
fn assign_one(
    mdev: &Mdev,
    text: &[u8],
    limit: fn(&Limits) -> u8,
    set: fn(&mut Matrix, u8),
) -> Result {
    let number = text::parse_number(text)?;
    let limit = limit(&mdev.driver.state.lock().limits);
    let id = u8::try_from(number)
        .ok()
        .filter(|id| *id <= limit)
        .ok_or(ENODEV)?;
    MatrixMdev::assign(mdev, ap_bus::lock_reservations(), &|matrix| set(matrix, id))
}

/// `ap_config`: all that is assigned, in one step.
struct ApConfig;

#[vtable]
impl Attribute for ApConfig {
    type Device = Mdev;

    const NAME: &'static CStr = c"ap_config";

    fn show(mdev: &Mdev, page: &mut Page<'_>) -> Result {
        let Matrix { apm, aqm, adm } = mdev.masks(&mdev.driver.state.lock()).assigned;
        writeln!(page, "{apm},{aqm},{adm}")?;
        Ok(())
    }

    fn store(mdev: &Mdev, text: &[u8]) -> Result {
        let new = text::parse_matrix(text)?;
        MatrixMdev::assign(mdev, ap_bus::lock_reservations(), &|matrix| *matrix = new)
    }
}

/// `control_domains`: those that are assigned.
struct ControlDomains;

#[vtable]
impl Attribute for ControlDomains {
    type Device = Mdev;

    const NAME: &'static CStr = c"control_domains";

    fn show(mdev: &Mdev, page: &mut Page<'_>) -> Result {
        let adm = mdev.masks(&mdev.driver.state.lock()).assigned.adm;
        for domain in adm.iter() {
            writeln!(page, "{:04x}", domain.0)?;
        }
        Ok(())
    }
}

/// `matrix`: the queues that are assigned.
struct AssignedMatrix;

impl LongAttribute for AssignedMatrix {
    type Device = Mdev;

    const NAME: &'static CStr = c"matrix";

    fn read(mdev: &Mdev, offset: usize, out: &mut [u8]) -> usize {
        let matrix = mdev.masks(&mdev.driver.state.lock()).assigned;
        Listing::new(&matrix).read(offset, out)
    }
}

/// `guest_matrix`: the queues that the guest has, or would have.
struct GuestMatrix;

impl LongAttribute for GuestMatrix {
    type Device = Mdev;

    const NAME: &'static CStr = c"guest_matrix";

    fn read(mdev: &Mdev, offset: usize, out: &mut [u8]) -> usize {
        let matrix = {
            let state = mdev.driver.state.lock();
            mdev.masks(&state).visible(&state.host)
        };
        Listing::new(&matrix).read(offset, out)
    }
}
