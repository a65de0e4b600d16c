// SPDX-License-Identifier: GPL-2.0
//! Boots emulated IBM Z machines, runs one scenario in each, and judges it.
//!
//! A *scenario* is a shell script in `tools/scenarios` with a header that says
//! which machine it wants. Each runs in a machine of its own, once with our
//! driver and once with the C driver of the same kernel tree.
//!
//! | module        | owns                                                         |
//! |---------------|--------------------------------------------------------------|
//! | [`scenario`]  | the header of a scenario: what it asks for                    |
//! | [`console`]   | the meaning of a line on the console, and the verdict         |
//! | [`artifacts`] | where kernel, modules, plugin and programs are                |
//! | [`initramfs`] | the archive that carries a scenario into the machine          |
//! | [`machine`]   | the QEMU process: started, read, and gone when it must be     |
//! | [`run`]       | one scenario from its file to its outcome                     |
//! | [`mod@bench`] | all benches, at several sizes, several times                  |
//! | [`samples`]   | what they measured, and what that says of a driver            |
//! | [`targets`]   | whether that is what is wanted                                |
//! | [`report`]    | the page of tables and the plots that show it                 |
//! | [`module`]    | what a module takes of memory, by its file                    |
//! | [`judges`]    | suites that others have written, and what is known of them   |
//! | [`walk`]      | random walks, and what they have to lead to                   |
//!
//! [`scenario`] and [`console`] decide; they start nothing and read no files.

pub mod artifacts;
pub mod bench;
pub mod console;
pub mod initramfs;
pub mod judges;
pub mod machine;
pub mod module;
pub mod report;
pub mod results;
pub mod run;
pub mod samples;
pub mod scenario;
pub mod targets;
pub mod walk;
