// SPDX-License-Identifier: GPL-2.0

//! The attributes of an mdev.
//!
//! `Documentation/ABI/sysfs-vfio-ap` describes them.

use kernel::{
    fmt::Write,
    prelude::*, //
};

use crate::{
    driver::{
        matrix_mdev::MatrixMdev,
        Mdev, //
    },
    linux::{
        sysfs::{
            self,
            Attribute,
            LongAttribute,
            Page, //
        }, //
    },
    matrix::{
        text::{
            self,
            Listing,
            ParseError, //
        },
        Edit,
        Matrix,
        Resource::{
            self,
            Adapter,
            ControlDomain,
            Domain, //
        }, //
    }, //
};

sysfs::attribute_groups! {
    pub(crate) static MDEV: Mdev = {
        text: {
            c"assign_adapter": Assignment = Assignment(Edit::Assign, Adapter),
            c"unassign_adapter": Assignment = Assignment(Edit::Unassign, Adapter),
            c"assign_domain": Assignment = Assignment(Edit::Assign, Domain),
            c"unassign_domain": Assignment = Assignment(Edit::Unassign, Domain),
            c"assign_control_domain": Assignment = Assignment(Edit::Assign, ControlDomain),
            c"unassign_control_domain": Assignment = Assignment(Edit::Unassign, ControlDomain),
            c"ap_config": ApConfig = ApConfig,
            c"control_domains": ControlDomains = ControlDomains,
        },
        long: {
            c"matrix": QueueList = QueueList::Assigned,
            c"guest_matrix": QueueList = QueueList::OfGuest,
        },
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

/// `assign_adapter` and the five similar attributes: the kind of edit, and the kind of resource.
struct Assignment(fn(Matrix) -> Edit, Resource);

#[vtable]
impl Attribute for Assignment {
    type Device = Mdev;

    fn store(&self, mdev: &Mdev, text: &[u8]) -> Result {
        let Self(edit, resource) = self;
        let id = u8::try_from(text::parse_number(text)?).map_err(|_| ENODEV)?;
        MatrixMdev::assign(mdev, &edit(Matrix::only(*resource, id)))
    }
}

/// `ap_config`: the assigned matrix.
struct ApConfig;

#[vtable]
impl Attribute for ApConfig {
    type Device = Mdev;

    fn show(&self, mdev: &Mdev, page: &mut Page<'_>) -> Result {
        let Matrix { apm, aqm, adm } = mdev.masks(&mdev.driver.state()).assigned;
        writeln!(page, "{apm},{aqm},{adm}")?;
        Ok(())
    }

    fn store(&self, mdev: &Mdev, text: &[u8]) -> Result {
        MatrixMdev::assign(mdev, &Edit::Replace(text::parse_matrix(text)?))
    }
}

/// `control_domains`: the assigned control domains.
struct ControlDomains;

#[vtable]
impl Attribute for ControlDomains {
    type Device = Mdev;

    fn show(&self, mdev: &Mdev, page: &mut Page<'_>) -> Result {
        let adm = mdev.masks(&mdev.driver.state()).assigned.adm;
        for domain in adm.iter() {
            writeln!(page, "{:04x}", domain.0)?;
        }
        Ok(())
    }
}

/// A list of queues, with a line for each queue.
enum QueueList {
    /// `matrix`: the assigned queues.
    Assigned,
    /// `guest_matrix`: the queues that the guest has, or would have.
    OfGuest,
}

impl LongAttribute for QueueList {
    type Device = Mdev;

    fn read(&self, mdev: &Mdev, offset: usize, out: &mut [u8]) -> usize {
        let matrix = {
            let state = mdev.driver.state();
            let masks = mdev.masks(&state);
            match self {
                Self::Assigned => masks.assigned,
                Self::OfGuest => masks.guest_matrix(&state.host),
            }
        };
        Listing::new(&matrix).read(offset, out)
    }
}
