// SPDX-License-Identifier: GPL-2.0
// The indicator byte is removed from the interruptions of a queue that may still write to it.
// appended to: driver/interruptions.rs
// error: E0507

fn misuse(interruption: &Enabled) -> Target {
    *interruption.state.target()
}
