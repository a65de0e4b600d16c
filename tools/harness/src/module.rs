// SPDX-License-Identifier: GPL-2.0
//! The memory of a kernel module, computed from the sections of its file.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::{Object, ObjectSection, SectionFlags, elf};
use serde::{Deserialize, Serialize};

/// The sizes of a module in bytes.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Sizes {
    /// The instructions.
    pub text: u64,
    /// The read-only data.
    pub read_only: u64,
    /// The writable data.
    pub data: u64,
    /// The sections that are freed after initialisation.
    pub init: u64,
}

impl Sizes {
    /// Reads the file of a module.
    ///
    /// # Errors
    ///
    /// Returns an error if the file does not exist or is no ELF file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        let file = object::File::parse(&*bytes).with_context(|| path.display().to_string())?;
        let mut sizes = Self::default();
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags } = section.flags() else {
                continue;
            };
            let has = |flag: u32| sh_flags & u64::from(flag) != 0;
            if !has(elf::SHF_ALLOC) {
                continue;
            }
            let kind = if section.name()?.starts_with(".init") {
                &mut sizes.init
            } else if has(elf::SHF_EXECINSTR) {
                &mut sizes.text
            } else if has(elf::SHF_WRITE) {
                &mut sizes.data
            } else {
                &mut sizes.read_only
            };
            *kind += section.size();
        }
        Ok(sizes)
    }
}
