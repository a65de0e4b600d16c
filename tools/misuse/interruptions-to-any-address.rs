// SPDX-License-Identifier: GPL-2.0
// An adapter that is told to set a byte at an address out of the blue.
// appended to: driver/ap_driver.rs
// error: E0308

fn misuse(apqn: Apqn) {
    pqap::enable_interruptions(apqn, &mut 0x1000);
}
