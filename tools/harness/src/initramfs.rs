// SPDX-License-Identifier: GPL-2.0
//! Writes the archive with modules, programs and a scenario for the machine. The kernel unpacks
//! concatenated archives one after the other. The harness appends this archive to the base, so a
//! changed scenario needs no rebuild of the base.

use std::io::{self, Write};

use cpio::newc::{self, ModeFileType};

/// Writes files and their directories as a `newc` archive.
pub struct Archive<W: Write> {
    out: Option<W>,
    inode: u32,
}

impl<W: Write> Archive<W> {
    /// Returns an archive that is written to `out`, which may contain other archives.
    pub fn new(out: W) -> Self {
        Self {
            out: Some(out),
            inode: 0,
        }
    }

    fn entry(
        &mut self,
        name: &str,
        mode: u32,
        file_type: ModeFileType,
        data: &[u8],
    ) -> io::Result<()> {
        self.inode += 1;
        let size = u32::try_from(data.len()).map_err(io::Error::other)?;
        let out = self
            .out
            .take()
            .ok_or_else(|| io::Error::other("broken archive"))?;
        let mut writer = newc::Builder::new(name)
            .ino(self.inode)
            .mode(mode)
            .set_mode_file_type(file_type)
            .nlink(1)
            .write(out, size);
        writer.write_all(data)?;
        self.out = Some(writer.finish()?);
        Ok(())
    }

    /// Adds a directory. Its parent must exist.
    ///
    /// # Errors
    ///
    /// Returns the error of writing to `out`.
    pub fn directory(&mut self, name: &str) -> io::Result<()> {
        self.entry(name, 0o755, ModeFileType::Directory, &[])
    }

    /// Adds a file. Its directory must exist.
    ///
    /// # Errors
    ///
    /// Returns the error of writing to `out`.
    pub fn file(&mut self, name: &str, data: &[u8]) -> io::Result<()> {
        self.entry(name, 0o755, ModeFileType::Regular, data)
    }

    /// Ends the archive.
    ///
    /// # Errors
    ///
    /// Returns the error of writing to `out`.
    pub fn finish(mut self) -> io::Result<W> {
        match self.out.take() {
            Some(out) => newc::trailer(out),
            None => Err(io::Error::other("broken archive")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_is_written_can_be_read() {
        let mut archive = Archive::new(Vec::new());
        archive.directory("scenarios").unwrap();
        archive.file("scenarios/x.sh", b"true\n").unwrap();
        archive.file("empty", b"").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0, "the next archive must be aligned");

        let mut reader = newc::Reader::new(bytes.as_slice()).unwrap();
        assert_eq!(reader.entry().name(), "scenarios");
        assert_eq!(reader.entry().mode(), 0o040_755);
        reader = newc::Reader::new(reader.finish().unwrap()).unwrap();
        assert_eq!(reader.entry().name(), "scenarios/x.sh");
        assert_eq!(reader.entry().mode(), 0o100_755);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "true\n");
    }
}
