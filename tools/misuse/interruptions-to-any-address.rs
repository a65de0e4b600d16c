// SPDX-License-Identifier: GPL-2.0
// AQIC with an arbitrary address for the indicator byte.
// appended to: driver/ap_driver.rs
// error: E0308

fn misuse(apqn: Apqn) {
    pqap::enable_interruptions(apqn, &mut 0x1000);
}
