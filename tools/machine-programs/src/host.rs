// SPDX-License-Identifier: GPL-2.0
//! The host as programs here see it: its AP bus, its mdevs, the driver under test.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::{module, sysfs};

/// Where the AP bus is.
pub const AP: &str = "/sys/bus/ap";
/// Where mdevs are.
pub const MDEVS: &str = "/sys/bus/mdev/devices";
/// Creates mdevs.
pub const CREATE: &str =
    "/sys/devices/vfio_ap/matrix/mdev_supported_types/vfio_ap-passthrough/create";
/// The driver under test.
pub const DRIVER: &str = "/lib/modules/vfio_ap.ko";

/// The UUID of an mdev, as scenarios have it.
pub fn uuid(name: char) -> String {
    let digits = name.to_ascii_lowercase().to_string().repeat(8);
    format!("{digits}-0000-4000-8000-000000000000")
}

/// The directory of an mdev.
pub fn mdev(name: char) -> PathBuf {
    Path::new(MDEVS).join(uuid(name))
}

/// Creates an mdev.
///
/// # Errors
///
/// What the kernel says.
pub fn create(name: char) -> Result<()> {
    sysfs::write(CREATE, &uuid(name))
}

/// Has the AP bus look at its host configuration, and waits for that.
///
/// # Errors
///
/// What the kernel says.
pub fn scan() -> Result<()> {
    // A write while another scan is on only waits for that one.
    for _ in 0..2 {
        sysfs::write(Path::new(AP).join("scans"), "1")?;
    }
    Ok(())
}

/// The queues of the bus for which something holds.
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

/// The queues that have no driver: they do not look for one by themselves.
pub fn driverless() -> Vec<String> {
    queues(|directory| !directory.join("driver").exists())
}

/// Has a queue look for a driver.
///
/// # Errors
///
/// What the kernel says.
pub fn probe(queue: &str) -> Result<()> {
    sysfs::write(Path::new(AP).join("drivers_probe"), queue)
}

/// Loads the driver, if it is not.
///
/// # Errors
///
/// What the kernel says.
pub fn load() -> Result<()> {
    match is_loaded() {
        true => Ok(()),
        false => module::insert(DRIVER, ""),
    }
}

/// Unloads the driver, if it is loaded.
///
/// # Errors
///
/// What the kernel says.
pub fn unload() -> Result<()> {
    match is_loaded() {
        true => module::remove("vfio_ap"),
        false => Ok(()),
    }
}

fn is_loaded() -> bool {
    Path::new("/sys/module/vfio_ap").exists()
}
