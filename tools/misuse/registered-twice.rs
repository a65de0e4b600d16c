// SPDX-License-Identifier: GPL-2.0
// A VFIO device that is registered twice.
// appended to: linux/mdev.rs
// error: E0382

fn misuse<T: Driver>(device: vfio::NewDevice<T>) -> Result {
    let _first = device.register()?;
    let _second = device.register()?;
    Ok(())
}
