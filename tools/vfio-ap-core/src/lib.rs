// SPDX-License-Identifier: GPL-2.0

//! The driver's functional core, built and tested on any machine.
//!
//! The sources are those of the kernel module. The [`specification`] is for their tests.

#[path = "../../../matrix.rs"]
pub mod matrix;
pub mod specification;

pub use matrix::{cause, interrupts, mask, mdev_index, migration, queues, text};
