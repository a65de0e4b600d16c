// SPDX-License-Identifier: GPL-2.0
//! The QEMU process: its command line, its console, and its end. This module does not know
//! scenarios.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::artifacts::Artifacts;
use crate::console::End;

/// The time that a machine may take to switch itself off after the verdict.
const GRACE: Duration = Duration::from_secs(5);

/// The configuration of a machine.
pub struct Config<'a> {
    /// The path of the initramfs.
    pub initrd: &'a Path,
    /// The configuration file of the AP plugin, or `None` for a machine without AP.
    pub ap: Option<&'a Path>,
    /// The number of CPUs.
    pub cpus: u32,
    /// True if executed instructions are counted. In a machine with one CPU, each instruction then
    /// takes one nanosecond of the machine's time, regardless of the load of the computer. Sleeping
    /// takes no real time.
    pub counts: bool,
    /// The memory in MiB.
    pub memory: u32,
    /// The files that become the disks `/dev/NAME` in the machine. Writes to the disks are lost at
    /// the end.
    pub disks: Vec<(&'static str, PathBuf)>,
}

/// Returns the command that boots a machine, without its console.
fn command(artifacts: &Artifacts, config: &Config<'_>) -> Result<Command> {
    let mut qemu = Command::new(&artifacts.qemu);
    // A crash causes an immediate reboot, and a reboot ends the machine.
    let append = format!(
        "console=ttysclp0 loglevel=5 panic=-1 rdinit=/init {}",
        artifacts.append
    );
    qemu.args(["-M", "s390-ccw-virtio", "-accel", "tcg", "-cpu", "max"])
        .args([
            "-nodefaults",
            "-no-reboot",
            "-run-with",
            "exit-with-parent=on",
        ])
        .args(["-m", &config.memory.to_string()])
        .args(["-smp", &config.cpus.to_string()])
        .arg("-kernel")
        .arg(artifacts.kernel_image())
        .arg("-initrd")
        .arg(config.initrd)
        .args(["-append", append.trim_end()]);
    if config.counts && config.cpus == 1 {
        qemu.args(["-icount", "shift=0,sleep=off"]);
    }
    for (name, file) in &config.disks {
        let file = file.display();
        let drive = format!("if=none,id={name},format=raw,snapshot=on,file={file}");
        // Linux finds the disks in any order.
        let device = format!("virtio-blk-ccw,drive={name},serial={name}");
        qemu.args(["-drive", &drive, "-device", &device]);
    }
    if let Some(ap) = config.ap {
        let plugin = artifacts
            .plugin
            .as_ref()
            .context("the AP plugin is missing; give its path with --plugin")?;
        let trace = if artifacts.trace { ",trace=on" } else { "" };
        let count = if config.counts { ",count=on" } else { "" };
        let plugin = format!("{},config={}{trace}{count}", plugin.display(), ap.display());
        qemu.arg("-plugin").arg(plugin);
    }
    Ok(qemu)
}

/// A process that is killed when this value is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both calls fail only if the process has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads lines and sends each one immediately. Bytes that are not UTF-8 are replaced.
fn lines(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(stream.read_until(b'\n', &mut line), Ok(n) if n > 0) {
            let text = String::from_utf8_lossy(&line);
            if sender
                .send(text.trim_end_matches(['\r', '\n']).into())
                .is_err()
            {
                break;
            }
            line.clear();
        }
    });
    receiver
}

/// Runs a machine until it ends or `timeout` has passed. `console` receives each line, and returns
/// true for the last line. The machine then has a few seconds to switch itself off. Error messages
/// of QEMU are in the console, too.
///
/// # Errors
///
/// Returns an error if QEMU cannot be started.
pub fn run(
    artifacts: &Artifacts,
    config: &Config<'_>,
    timeout: Duration,
    mut console: impl FnMut(&str) -> bool,
) -> Result<End> {
    let (reader, writer) = std::io::pipe()?;
    let mut qemu = command(artifacts, config)?;
    qemu.args(["-display", "none", "-monitor", "none", "-serial", "stdio"])
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let child = qemu
        .spawn()
        .with_context(|| format!("cannot start {}", artifacts.qemu.display()))?;
    // The command contains the writing end of the pipe. Dropping the command closes it on this
    // side.
    drop(qemu);
    let mut child = Killed(child);
    let lines = lines(reader);

    let mut deadline = Instant::now() + timeout;
    let mut over = false;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if console(&line) && !over {
                    over = true;
                    deadline = Instant::now() + GRACE;
                }
            }
            Err(RecvTimeoutError::Timeout) => return Ok(End::Timeout),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.0.wait()?;
    Ok(match status.code() {
        Some(0) => End::Off,
        code => End::Broken(code.unwrap_or(-1)),
    })
}

/// Runs a machine on the terminal until its user ends it.
///
/// # Errors
///
/// Returns an error if QEMU cannot be started.
pub fn interact(artifacts: &Artifacts, config: &Config<'_>) -> Result<()> {
    let mut qemu = command(artifacts, config)?;
    qemu.args(["-display", "none", "-serial", "mon:stdio"]);
    let mut child = Killed(qemu.spawn().context("cannot start QEMU")?);
    child.0.wait()?;
    Ok(())
}
