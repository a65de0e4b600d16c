// SPDX-License-Identifier: GPL-2.0
//! The host's matrix of AP adapters and domains.
//!
//! `sysfs` reads, `report` and `journal` understand what the driver tells, `host` says what
//! there is, `explain` and `why` why, `draw` and `json` show it, `request` and `plan` say
//! what to do about it, `watch` when to look again.

pub mod cli;
pub mod draw;
pub mod explain;
pub mod host;
pub mod journal;
pub mod json;
pub mod names;
pub mod plan;
pub mod report;
pub mod request;
pub mod sysfs;
pub mod watch;
pub mod why;
