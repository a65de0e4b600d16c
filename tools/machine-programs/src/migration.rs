// SPDX-License-Identifier: GPL-2.0
//! Executes the commands for the migration of a device.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use vfio_bindings::bindings::vfio::{
    vfio_device_mig_state_VFIO_DEVICE_STATE_ERROR as ERROR,
    vfio_device_mig_state_VFIO_DEVICE_STATE_PRE_COPY as PRE_COPY,
    vfio_device_mig_state_VFIO_DEVICE_STATE_RESUMING as RESUMING,
    vfio_device_mig_state_VFIO_DEVICE_STATE_RUNNING as RUNNING,
    vfio_device_mig_state_VFIO_DEVICE_STATE_STOP as STOP,
    vfio_device_mig_state_VFIO_DEVICE_STATE_STOP_COPY as STOP_COPY,
};

use crate::error::{Result, Step};
use crate::vm::Device;

const STATES: [(&str, u32); 6] = [
    ("error", ERROR),
    ("stop", STOP),
    ("running", RUNNING),
    ("stop-copy", STOP_COPY),
    ("resuming", RESUMING),
    ("pre-copy", PRE_COPY),
];

/// The stream of a migration, which stays open after its state.
#[derive(Default)]
pub struct Migration {
    stream: Option<File>,
}

impl Migration {
    /// Executes a command about the stream, or about the device. Returns its answer.
    ///
    /// # Errors
    ///
    /// Returns the errors of the requests of VFIO, and of reading and writing.
    pub fn execute(&mut self, device: Option<&Device>, command: &[&str]) -> Result<String> {
        let device = || device.ok_or(Errno::ENXIO).step("no open device");
        match command {
            ["state"] => {
                let state = device()?.migration_state()?;
                let name = STATES.iter().find(|(_, number)| *number == state);
                return Ok(name.map_or_else(|| state.to_string(), |(name, _)| (*name).into()));
            }
            ["flags"] => return Ok(format!("{:#x}", device()?.migration_flags()?)),
            ["size"] => return Ok(device()?.migration_data_size()?.to_string()),
            ["to", name] => {
                let state = STATES.iter().find(|(known, _)| known == name);
                let state = state.map_or_else(|| name.parse().ok(), |(_, number)| Some(*number));
                let state = state.ok_or(Errno::EINVAL).step("no such state")?;
                if let Some(fd) = device()?.set_migration_state(state)? {
                    self.stream = Some(OwnedFd::into(fd));
                }
            }
            ["save", path, chunk] => {
                let chunk = number(chunk)?;
                let mut bytes = Vec::new();
                loop {
                    let mut piece = vec![0; chunk];
                    let length = self.stream()?.read(&mut piece).step("read")?;
                    if length == 0 {
                        break;
                    }
                    bytes.extend_from_slice(&piece[..length]);
                }
                std::fs::write(path, &bytes).step("save")?;
                return Ok(bytes.len().to_string());
            }
            ["load", path, chunk] => {
                let bytes = std::fs::read(path).step("load")?;
                for piece in bytes.chunks(number(chunk)?) {
                    self.stream()?.write_all(piece).step("write")?;
                }
                return Ok(bytes.len().to_string());
            }
            ["drop"] => self.stream = None,
            _ => return Err(Errno::EINVAL).step("no such command"),
        }
        Ok(String::new())
    }

    fn stream(&mut self) -> Result<&mut File> {
        self.stream.as_mut().ok_or(Errno::EBADF).step("no stream")
    }
}

fn number(text: &str) -> Result<usize> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or(Errno::EINVAL).step("no number")
}
