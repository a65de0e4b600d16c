// SPDX-License-Identifier: GPL-2.0
// An attribute of queues among the attributes of an mdev.
// appended to: driver/ap_driver.rs
// error: E0308

sysfs::attribute_groups! {
    static MISUSE: crate::driver::Mdev = { text: { c"status": Status = Status, }, long: {}, };
}
