// SPDX-License-Identifier: GPL-2.0
//! The library of the programs that run in the emulated machine.
//!
//! | module       | contents                                                    |
//! |--------------|-------------------------------------------------------------|
//! | [`backdoor`] | the instruction that controls the machine                   |
//! | [`uapi`]     | ioctl numbers and structures of KVM, VFIO and iommufd       |
//! | [`argument`] | arguments of ioctls in special memory                       |
//! | [`vm`]       | a virtual machine that may use AP instructions, and devices |
//! | [`kvm_run`]  | running a virtual CPU                                       |
//! | [`memory`]   | storage of a guest                                          |
//! | [`payload`]  | the program of a guest                                      |
//! | [`scheduling`] | threads without CPU time, and threads that take all of it |
//! | [`race`]     | actions of a user beside the guest, or without CPU time     |
//! | [`interview`] | queries of the program in a guest                          |
//! | [`rsa`]      | RSA on adapters, with known results                         |
//! | [`crycb`]    | KVM's record of the masks of guests                         |
//! | [`instructions`] | costs in executed instructions                          |
//! | [`sysfs`]    | attributes: one system call for each write                  |
//! | [`host`]     | the AP bus, the mdevs, the driver under test                |
//! | [`module`]   | kernel modules: one attempt of loading or unloading         |
//! | [`faults`]   | fault injection into allocations of the kernel              |
//! | [`migration`] | the migration of a device                                  |
//! | [`stress`]   | the roles of the stress test                                |
//! | [`error`]    | an errno with the failed step                               |
//!
//! All `unsafe` code is in [`backdoor`], [`uapi`], [`argument`], [`kvm_run`], [`memory`],
//! [`scheduling`] and [`rsa`], once in [`payload`] for the symbols of its program, and once in
//! [`instructions`] for a loop.

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
pub mod migration;
pub mod module;
pub mod payload;
pub mod race;
pub mod rsa;
pub mod scheduling;
pub mod stress;
pub mod sysfs;
pub mod uapi;
pub mod vm;
