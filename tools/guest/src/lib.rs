// SPDX-License-Identifier: GPL-2.0
//! What the programs inside the emulated machine share.
//!
//! | module       | owns                                                        |
//! |--------------|-------------------------------------------------------------|
//! | [`backdoor`] | the one instruction that talks to the machine itself        |
//! | [`uapi`]     | ioctl numbers and structures of KVM, VFIO and iommufd       |
//! | [`vm`]       | a virtual machine that may use AP instructions, and devices |
//! | [`crycb`]    | what KVM wrote down about the masks it was given            |
//! | [`error`]    | an errno together with the step that met it                 |
//!
//! All `unsafe` code is in [`backdoor`] and [`uapi`].

pub mod backdoor;
pub mod crycb;
pub mod error;
pub mod uapi;
pub mod vm;
