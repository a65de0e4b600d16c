// SPDX-License-Identifier: GPL-2.0

//! Abstractions of the kernel's interfaces that are not of s390.
//!
//! They know nothing of AP and of this driver, and could be anybody's: `Documentation/upstream.rst`
//! says which of them could go where.

pub(crate) mod debugfs;
pub(crate) mod eventfd;
pub(crate) mod kobject;
pub(crate) mod kvm;
pub(crate) mod mdev;
pub(crate) mod sysfs;
pub(crate) mod versions;
pub(crate) mod vfio;
pub(crate) mod work;
