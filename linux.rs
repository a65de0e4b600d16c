// SPDX-License-Identifier: GPL-2.0

//! Abstractions of kernel interfaces that do not depend on s390.
//!
//! They have no type of AP or of this driver. `Documentation/upstream.rst` says which of them could go
//! where in the kernel tree.

pub(crate) mod clock;
pub(crate) mod debugfs;
pub(crate) mod eventfd;
pub(crate) mod kobject;
pub(crate) mod kvm;
pub(crate) mod mdev;
pub(crate) mod migration;
pub(crate) mod ratelimit;
pub(crate) mod stream;
pub(crate) mod sysfs;
pub(crate) mod versions;
pub(crate) mod vfio;
pub(crate) mod work;
