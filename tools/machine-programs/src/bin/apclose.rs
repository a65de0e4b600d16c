// SPDX-License-Identifier: GPL-2.0
//! `apclose FILE [HOGS]`: close a file of a device for the last time while the driver is being
//! unloaded, in a thread that gets no CPU.
//!
//! FILE, such as `/dev/vfio/devices/vfio0`, is only opened; so it keeps the device, but not the
//! module. One thread unloads the driver, and that waits for the device. Then a thread that runs
//! only when nobody else wants to closes the file, and HOGS threads (2) take all CPU time until the
//! module is gone. So the kernel knows that nobody uses the device any more long before the thread
//! is through with closing.
//!
//! It says how the unloading has ended, in the last line; the exit status is 1 if it was refused.

use std::fs::OpenOptions;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use machine_programs::error::{Result, Step};
use machine_programs::module;
use machine_programs::scheduling::{self, Hogs, SELF, Share};
use nix::errno::Errno;

/// How long unloading takes to come to where it waits for the device.
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
        // The other end is dropped when it is time.
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
