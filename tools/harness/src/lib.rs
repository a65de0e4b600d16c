// SPDX-License-Identifier: GPL-2.0
//! Boots emulated IBM Z machines, runs one scenario in each machine, and judges the result.
//!
//! A *scenario* is a shell script in `tools/scenarios` with a header that describes its
//! machine. Each runs in its own machine, once with this driver and once with the C driver of
//! the same kernel tree.
//!
//! | module        | contents                                                     |
//! |---------------|--------------------------------------------------------------|
//! | [`scenario`]  | the header of a scenario                                      |
//! | [`console`]   | the classes of lines on the console, and the verdict          |
//! | [`artifacts`] | the paths of kernel, modules, plugin and programs             |
//! | [`initramfs`] | the archive that carries a scenario into the machine          |
//! | [`machine`]   | the QEMU process: its start, its console and its end          |
//! | [`run`]       | one scenario from its file to its outcome                     |
//! | [`mod@bench`] | all benches, at several sizes, several times                  |
//! | [`samples`]   | the measurements of benches, and their summaries              |
//! | [`results`]   | the results of a run of all benches, and their file           |
//! | [`targets`]   | the targets for costs                                         |
//! | [`report`]    | the pages of tables and the plots                             |
//! | [`module`]    | the sizes of a module's sections                              |
//! | [`judges`]    | foreign suites of tests, and their known results              |
//! | [`walk`]      | random walks, and their expected results                      |
//!
//! [`scenario`] and [`console`] only decide. They start no process and read no file.

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
