// SPDX-License-Identifier: GPL-2.0
//! `apclose FILE [HOGS]`: close a file of a device for the last time while the driver is being
//! unloaded, in a thread that gets no CPU.
//!
//! FILE, such as `/dev/vfio/devices/vfio0`, is only opened. It holds a reference to the device but
//! not to the module. One thread unloads the driver and waits for the device. Then a thread of idle
//! priority closes the file, and HOGS threads (2) take all CPU time until the module is unloaded.
//! The kernel therefore counts the device as unused long before the thread has finished closing.
//!
//! The last line reports the result of the unloading. The exit status is 1 if it was refused.

use std::fs::OpenOptions;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use machine_programs::error::{Result, Step};
use machine_programs::module;
use machine_programs::scheduling::{self, Hogs, SELF, Share};
use nix::errno::Errno;

/// The time until the unloading thread waits for the device.
const AT_WORK: Duration = Duration::from_millis(700);

fn close(path: &str, hogs: usize) -> Result<()> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .step(path)?;
    let (tell, told) = mpsc::channel::<()>();
    let closer = thread::spawn(move || {
        scheduling::give(SELF, Share::Idle).step("scheduling")?;
        // The other end of the channel is dropped to start the close.
        let _ = told.recv();
        drop(file);
        Ok(())
    });
    let unloader = thread::spawn(|| module::remove("vfio_ap"));
    thread::sleep(AT_WORK);
    let begun = Instant::now();
    drop(tell);
    let unloaded = {
        let _hogs = Hogs::new(hogs);
        unloader.join()
    };
    let took = begun.elapsed();
    let lost = |_| Errno::EIO;
    closer.join().map_err(lost).step("thread")??;
    println!("closed after {} ms", begun.elapsed().as_millis());
    unloaded.map_err(lost).step("thread")??;
    println!("unloaded after {} ms", took.as_millis());
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match args.as_slice() {
        [path] => Some((path, 2)),
        [path, hogs] => hogs.parse().ok().map(|hogs| (path, hogs)),
        _ => None,
    };
    let Some((path, hogs)) = parsed else {
        eprintln!("usage: apclose FILE [HOGS]");
        return ExitCode::from(2);
    };
    match close(path, hogs) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            println!("{e}");
            ExitCode::FAILURE
        }
    }
}
