// SPDX-License-Identifier: GPL-2.0
//! The results of a run of all benches, and their file.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::module::Sizes;
use crate::samples::Samples;

/// The name of the page of benchmarks, and of the directory for plots and results.
pub(crate) const NAME: &str = "benchmarks";

/// The name of the file in that directory.
pub(crate) const FILE: &str = "results.json";

/// The results of a run.
#[derive(Deserialize, Serialize)]
pub struct Results {
    /// The version of the kernel.
    pub kernel: String,
    /// The sizes of this driver's module.
    pub rust_module: Sizes,
    /// The sizes of the C driver's module.
    pub c_module: Sizes,
    /// The costs of operations.
    pub samples: Samples,
}

impl Results {
    /// Reads the results beside a page in `directory`.
    ///
    /// # Errors
    ///
    /// Returns an error if the file does not exist or has another format.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(NAME).join(FILE);
        let json = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&json).with_context(|| path.display().to_string())
    }

    /// Writes the results to the file `path`.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        // The file has one sample in each line.
        let json = serde_json::to_string(self)?.replace("},{", "},\n{");
        std::fs::write(path, json + "\n").with_context(|| path.display().to_string())
    }
}
