// SPDX-License-Identifier: GPL-2.0
//! What the programs inside the emulated machine share.
//!
//! | module       | owns                                                        |
//! |--------------|-------------------------------------------------------------|
//! | [`backdoor`] | the one instruction that talks to the machine itself        |
//! | [`uapi`]     | ioctl numbers and structures of KVM, VFIO and iommufd       |
//! | [`argument`] | arguments of ioctls in memory that is hard to get at        |
//! | [`vm`]       | a virtual machine that may use AP instructions, and devices |
//! | [`kvm_run`]  | what it takes to have a virtual CPU run                     |
//! | [`memory`]   | storage of a guest                                          |
//! | [`payload`]  | the program in it                                           |
//! | [`scheduling`] | who gets the CPUs                                        |
//! | [`race`]     | what a user does while somebody else is at it, or starves   |
//! | [`interview`] | what one may ask that program                              |
//! | [`rsa`]      | requests to adapters whose results are known                |
//! | [`crycb`]    | what KVM wrote down about the masks it was given            |
//! | [`instructions`] | what something costs, in executed instructions          |
//! | [`sysfs`]    | attributes: one system call for each write                  |
//! | [`host`]     | its AP bus, its mdevs, the driver under test                |
//! | [`module`]   | kernel modules: one attempt to load and to unload           |
//! | [`faults`]   | allocations of the kernel that fail                         |
//! | [`stress`]   | what is done to the driver by many processes at once        |
//! | [`error`]    | an errno together with the step that met it                 |
//!
//! All `unsafe` code is in [`backdoor`], [`uapi`], [`argument`], [`kvm_run`], [`memory`],
//! [`scheduling`] and [`rsa`], and once in [`payload`] for the symbols of its program, in [`instructions`] for a loop.

pub mod argument;
pub mod backdoor;
pub mod crycb;
pub mod error;
pub mod faults;
pub mod host;
pub mod instructions;
pub mod interview;
pub mod kvm_run;
pub mod memory;
pub mod module;
pub mod payload;
pub mod race;
pub mod rsa;
pub mod scheduling;
pub mod stress;
pub mod sysfs;
pub mod uapi;
pub mod vm;
