// SPDX-License-Identifier: GPL-2.0
//! The source of all data about a host: sysfs with debugfs, procfs, and the kernel's messages, or a
//! recording of them.
//!
//! This module reads files, and remembers each of them. `apmap record` writes exactly these files.
//! The module does not know the meaning of the files.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// An entry of sysfs.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// A file with its contents.
    Text(String),
    /// A symbolic link with the last component of its target.
    Link(String),
    /// A file or directory that only other users may read.
    Denied,
}

/// The result of a read.
#[derive(Debug, Eq, PartialEq)]
pub enum Access {
    /// The text of the file.
    Text(String),
    /// The file does not exist.
    Absent,
    /// Only other users may read the file.
    Denied,
}

/// The processes that have certain files open.
pub struct Openers {
    /// The number of each process, and the file.
    pub found: Vec<(u32, PathBuf)>,
    /// True if all processes could be examined.
    pub is_complete: bool,
}

/// The directory of procfs, relative to the root of sysfs.
pub const PROC: &str = "../proc";

/// The entries by path, relative to the root of sysfs.
///
/// The kernel's messages have a name that is not a path (see [`Sysfs::messages`]).
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

    /// Opens a directory, or a file with the text of [`Self::recording`].
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or is not a recording.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Ok(Self::new(Source::Directory(path.to_owned())));
        }
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let recording: Recording = serde_json::from_reader(file)
            .with_context(|| format!("{} is no recording of apmap", path.display()))?;
        Ok(recording.into())
    }

    /// Returns all entries that were read, as JSON with a line for each entry.
    ///
    /// # Errors
    ///
    /// Returns an error if the entries cannot be written as JSON.
    pub fn recording(&self) -> Result<String> {
        let seen = self.seen.borrow();
        let lines = seen.iter().map(|(path, entry)| {
            let (path, entry) = (serde_json::to_string(path)?, serde_json::to_string(entry)?);
            Ok(format!("  {path}: {entry}"))
        });
        let lines = lines.collect::<Result<Vec<_>>>()?;
        Ok(format!("{{\n{}\n}}\n", lines.join(",\n")))
    }

    /// Returns the text of a file, or `None` if it does not exist or is write-only.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read.
    pub fn text(&self, path: &str) -> Result<Option<String>> {
        self.entry(path, |file| fs::read_to_string(file).map(Entry::Text))
            .map(|entry| match entry {
                Some(Entry::Text(text)) => Some(text),
                _ => None,
            })
    }

    /// Returns the text of a file that only some users may read, such as a file in debugfs.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read for another reason than permission.
    pub fn restricted(&self, path: &str) -> Result<Access> {
        self.restricted_part(path, |text| text)
    }

    /// Returns the text of a file as [`Self::restricted`] does, and keeps only a part of the text.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read for another reason than permission.
    pub fn restricted_part(&self, path: &str, part: fn(String) -> String) -> Result<Access> {
        let read = |file: &Path| match fs::read_to_string(file) {
            Err(e) if e.kind() == ErrorKind::PermissionDenied => Ok(Entry::Denied),
            text => text.map(part).map(Entry::Text),
        };
        Ok(match self.entry(path, read)? {
            Some(Entry::Text(text)) => Access::Text(text),
            Some(Entry::Denied) => Access::Denied,
            _ => Access::Absent,
        })
    }

    /// Returns the kernel's messages. `read` reads them (see `journal`). They belong to this
    /// machine, so there are none for the sysfs of another machine.
    ///
    /// # Errors
    ///
    /// Returns the error of `read`, except for a missing permission.
    pub fn messages(&self, read: impl FnOnce() -> io::Result<String>) -> Result<Access> {
        const NAME: &str = "kernel messages";

        let is_here = match &self.source {
            Source::Directory(root) => root
                .canonicalize()
                .is_ok_and(|root| root == Path::new("/sys")),
            Source::Recording(_) => true,
        };
        if !is_here {
            return Ok(Access::Absent);
        }
        let entry = self.entry(NAME, |_| match read() {
            Err(e) if e.kind() == ErrorKind::PermissionDenied => Ok(Entry::Denied),
            text => text.map(Entry::Text),
        });
        Ok(match entry? {
            Some(Entry::Text(text)) => Access::Text(text),
            Some(Entry::Denied) => Access::Denied,
            _ => Access::Absent,
        })
    }

    /// Returns the processes that have a file below `directory` open.
    pub fn openers(&self, directory: &Path) -> Openers {
        let mut openers = Openers {
            found: Vec::new(),
            is_complete: true,
        };
        match &self.source {
            Source::Recording(recording) => {
                for (path, entry) in recording {
                    let Some(process) = process_of(path) else {
                        continue;
                    };
                    match entry {
                        Entry::Link(file) if Path::new(file).starts_with(directory) => {
                            openers.found.push((process, file.into()));
                        }
                        Entry::Denied => openers.is_complete = false,
                        _ => {}
                    }
                }
                // A recording without procfs contains no processes.
                openers.is_complete &= recording.keys().any(|path| path.starts_with(PROC));
            }
            Source::Directory(root) => self.look_for_openers(root, directory, &mut openers),
        }
        openers
    }

    fn look_for_openers(&self, root: &Path, directory: &Path, openers: &mut Openers) {
        let Ok(processes) = fs::read_dir(root.join(PROC)) else {
            openers.is_complete = false;
            return;
        };
        let processes =
            processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        for process in processes {
            let path = format!("{PROC}/{process}/fd");
            let files = match fs::read_dir(root.join(&path)) {
                Ok(files) => files,
                // The process may have ended in the meantime.
                Err(e) if e.kind() != ErrorKind::PermissionDenied => continue,
                Err(_) => {
                    // One entry is enough to record that some processes could not be examined.
                    if openers.is_complete {
                        self.seen.borrow_mut().insert(path, Entry::Denied);
                    }
                    openers.is_complete = false;
                    continue;
                }
            };
            for file in files.flatten() {
                let Ok(target) = fs::read_link(file.path()) else {
                    continue;
                };
                if target.starts_with(directory) {
                    let path = format!("{path}/{}", file.file_name().display());
                    let link = Entry::Link(target.display().to_string());
                    self.seen.borrow_mut().insert(path, link);
                    openers.found.push((process, target));
                }
            }
        }
    }

    /// Returns the name of the target of a link, or `None` if the link does not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if the link cannot be read.
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
                // The device may have been removed in the meantime.
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

    /// Returns the names in a directory, sorted. A missing directory has no names.
    ///
    /// # Errors
    ///
    /// Returns an error if the directory cannot be read.
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

/// Returns the number of the process in a path of an open file, or of the directory of open files.
fn process_of(path: &str) -> Option<u32> {
    let mut parts = Path::new(path.strip_prefix(PROC)?).components();
    let process = parts.by_ref().find_map(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    })?;
    let is_fd = parts.next() == Some(Component::Normal("fd".as_ref()));
    is_fd.then(|| process.to_str()?.parse().ok()).flatten()
}

fn is_absence(error: &io::Error) -> bool {
    // Reading an attribute of a device that is being removed returns ENODEV.
    const ENODEV: i32 = 19;
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(ENODEV)
}
