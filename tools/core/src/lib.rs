// SPDX-License-Identifier: GPL-2.0

//! The driver's functional core, built and tested on any machine.
//!
//! These are the very files that the kernel module is made of; nothing is copied. Beside them is the
//! [`specification`] that they are tested against.

#[path = "../../../interrupts.rs"]
pub mod interrupts;
#[path = "../../../mask.rs"]
pub mod mask;
#[path = "../../../matrix.rs"]
pub mod matrix;
#[path = "../../../queues.rs"]
pub mod queues;
pub mod specification;
#[path = "../../../text.rs"]
pub mod text;
#[path = "../../../users.rs"]
pub mod users;
