// SPDX-License-Identifier: GPL-2.0
//! The host's matrix of AP adapters and domains.
//!
//! `sysfs` reads files. `report` and `journal` interpret the driver's reports and messages, and
//! `host` interprets the other files. `explain` and `why` find reasons. `draw` and `json` produce
//! output. `request` and `plan` make plans, and `migrate` compares a guest of another host. `watch`
//! waits for changes.

pub mod cli;
pub mod draw;
pub mod explain;
pub mod host;
pub mod journal;
pub mod json;
pub mod migrate;
pub mod names;
pub mod plan;
pub mod report;
pub mod request;
pub mod sysfs;
pub mod watch;
pub mod why;
