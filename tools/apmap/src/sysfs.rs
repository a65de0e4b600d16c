// SPDX-License-Identifier: GPL-2.0
//! The source of all data about a host: sysfs, or a recording.
//!
//! Owns the access to files, and remembers each file that was read. `apmap record` writes
//! exactly these files. This module does not know their meaning.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Something in sysfs.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// A file, with what it holds.
    Text(String),
    /// A symbolic link, with the last component of what it refers to.
    Link(String),
}

/// What was found under each path, which is relative to the root of sysfs.
pub type Recording = BTreeMap<String, Entry>;

enum Source {
    Directory(PathBuf),
    Recording(Recording),
}

/// A sysfs to read from.
pub struct Sysfs {
    source: Source,
    seen: RefCell<Recording>,
}

impl From<Recording> for Sysfs {
    fn from(recording: Recording) -> Self {
        Self::new(Source::Recording(recording))
    }
}

impl Sysfs {
    fn new(source: Source) -> Self {
        Self {
            source,
            seen: RefCell::default(),
        }
    }

    /// Reads below a directory, or from a file that has what [`Self::recording`] gave.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Ok(Self::new(Source::Directory(path.to_owned())));
        }
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let recording: Recording = serde_json::from_reader(file)
            .with_context(|| format!("{} is no recording of apmap", path.display()))?;
        Ok(recording.into())
    }

    /// All that was read so far, as JSON with a line for each entry.
    pub fn recording(&self) -> Result<String> {
        let seen = self.seen.borrow();
        let lines = seen.iter().map(|(path, entry)| {
            let (path, entry) = (serde_json::to_string(path)?, serde_json::to_string(entry)?);
            Ok(format!("  {path}: {entry}"))
        });
        let lines = lines.collect::<Result<Vec<_>>>()?;
        Ok(format!("{{\n{}\n}}\n", lines.join(",\n")))
    }

    /// The text of a file; none if it does not exist, or can only be written.
    pub fn text(&self, path: &str) -> Result<Option<String>> {
        self.entry(path, |file| fs::read_to_string(file).map(Entry::Text))
            .map(|entry| match entry {
                Some(Entry::Text(text)) => Some(text),
                _ => None,
            })
    }

    /// The name of what a link refers to; none if it does not exist.
    pub fn link(&self, path: &str) -> Result<Option<String>> {
        let read = |file: &Path| {
            let target = fs::read_link(file)?;
            let name = target.file_name().unwrap_or_default();
            Ok(Entry::Link(name.to_string_lossy().into_owned()))
        };
        self.entry(path, read).map(|entry| match entry {
            Some(Entry::Link(name)) => Some(name),
            _ => None,
        })
    }

    fn entry(
        &self,
        path: &str,
        read: impl FnOnce(&Path) -> io::Result<Entry>,
    ) -> Result<Option<Entry>> {
        let entry = match &self.source {
            Source::Recording(recording) => recording.get(path).cloned(),
            Source::Directory(root) => match read(&root.join(path)) {
                Ok(entry) => Some(entry),
                // Devices come and go while one looks.
                Err(e) if is_absence(&e) => None,
                Err(e) => return Err(e).with_context(|| format!("cannot read {path}")),
            },
        };
        if let Some(entry) = &entry {
            self.seen
                .borrow_mut()
                .insert(path.to_owned(), entry.clone());
        }
        Ok(entry)
    }

    /// The names in a directory, sorted; none if it does not exist.
    pub fn names(&self, path: &str) -> Result<BTreeSet<String>> {
        match &self.source {
            Source::Recording(recording) => Ok(recording
                .keys()
                .filter_map(|key| key.strip_prefix(path)?.strip_prefix('/')?.split('/').next())
                .map(str::to_owned)
                .collect()),
            Source::Directory(root) => match fs::read_dir(root.join(path)) {
                Ok(entries) => entries
                    .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                    .collect(),
                Err(e) if is_absence(&e) => Ok(BTreeSet::new()),
                Err(e) => Err(e).with_context(|| format!("cannot read {path}")),
            },
        }
    }
}

fn is_absence(error: &io::Error) -> bool {
    // A device that goes while its attribute is read gives ENODEV.
    const ENODEV: i32 = 19;
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(ENODEV)
}
