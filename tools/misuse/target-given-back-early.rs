// SPDX-License-Identifier: GPL-2.0
// What a queue may still write to is taken from its interruptions.
// appended to: driver/interruptions.rs
// error: E0507

fn misuse(interruption: &Enabled) -> Target {
    *interruption.state.target()
}
