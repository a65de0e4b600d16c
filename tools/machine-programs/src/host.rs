// SPDX-License-Identifier: GPL-2.0
//! The host: its AP bus, its mdevs, and the driver under test.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::{module, sysfs};

/// The directory of the AP bus.
pub const AP: &str = "/sys/bus/ap";
/// The directory of mdevs.
pub const MDEVS: &str = "/sys/bus/mdev/devices";
/// The file that creates mdevs.
pub const CREATE: &str =
    "/sys/devices/vfio_ap/matrix/mdev_supported_types/vfio_ap-passthrough/create";
/// The driver under test.
pub const DRIVER: &str = "/lib/modules/vfio_ap.ko";

/// Returns the UUID of an mdev, as in scenarios.
pub fn uuid(name: char) -> String {
    let digits = name.to_ascii_lowercase().to_string().repeat(8);
    format!("{digits}-0000-4000-8000-000000000000")
}

/// Returns the directory of an mdev.
pub fn mdev(name: char) -> PathBuf {
    Path::new(MDEVS).join(uuid(name))
}

/// Creates an mdev.
///
/// # Errors
///
/// Returns the error of the kernel.
pub fn create(name: char) -> Result<()> {
    sysfs::write(CREATE, &uuid(name))
}

/// Starts a scan of the AP bus, and waits for its end.
///
/// # Errors
///
/// Returns the error of the kernel.
pub fn scan() -> Result<()> {
    // A write during another scan only waits for the end of that scan.
    for _ in 0..2 {
        sysfs::write(Path::new(AP).join("scans"), "1")?;
    }
    Ok(())
}

/// Returns the queues of the bus that fulfil a condition.
pub fn queues(holds: impl Fn(&Path) -> bool) -> Vec<String> {
    let entries = fs::read_dir(Path::new(AP).join("devices"));
    entries
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| holds(&entry.path()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains('.'))
        .collect()
}

/// Returns the queues without a driver. They are not probed again automatically.
pub fn driverless() -> Vec<String> {
    queues(|directory| !directory.join("driver").exists())
}

/// Probes the drivers for a queue.
///
/// # Errors
///
/// Returns the error of the kernel.
pub fn probe(queue: &str) -> Result<()> {
    sysfs::write(Path::new(AP).join("drivers_probe"), queue)
}

/// Loads the driver if it is not loaded.
///
/// # Errors
///
/// Returns the error of the kernel.
pub fn load() -> Result<()> {
    match is_loaded() {
        true => Ok(()),
        false => module::insert(DRIVER, ""),
    }
}

/// Unloads the driver if it is loaded.
///
/// # Errors
///
/// Returns the error of the kernel.
pub fn unload() -> Result<()> {
    match is_loaded() {
        true => module::remove("vfio_ap"),
        false => Ok(()),
    }
}

fn is_loaded() -> bool {
    Path::new("/sys/module/vfio_ap").exists()
}
