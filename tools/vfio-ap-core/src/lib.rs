// SPDX-License-Identifier: GPL-2.0

//! The driver's functional core, built and tested on any machine.
//!
//! These are the very files that the kernel module is made of; nothing is copied. Beside them is the
//! [`specification`] that they are tested against.

#[path = "../../../matrix.rs"]
pub mod matrix;
pub mod specification;

pub use matrix::{interrupts, mask, migration, queues, text, users};
