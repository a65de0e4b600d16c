// SPDX-License-Identifier: GPL-2.0
//! Fuzzes the control language. A failing command changes nothing, and the output of `show`
//! configures an equal machine.

#![no_main]

use ap_model::Machine;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut machine = Machine::preset();
    let answer = machine.control(text);
    if answer.is_err() {
        assert_eq!(machine, Machine::preset());
    }
    let shown = machine.control("show");
    let mut copy = Machine::bare();
    assert_eq!(
        copy.control(shown.as_deref().unwrap_or_default()),
        Ok(String::new())
    );
    assert_eq!(copy.control("show"), shown);
});
