// SPDX-License-Identifier: GPL-2.0
// The guard of another mutex as the proof that the masks of the AP bus do not change.
// appended to: driver/ap_driver.rs
// error: E0308

fn misuse(pinning: kernel::sync::lock::Guard<'static, (), kernel::sync::lock::mutex::MutexBackend>) {
    ap_bus::reserved_masks(&pinning);
}
