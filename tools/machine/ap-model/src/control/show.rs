// SPDX-License-Identifier: GPL-2.0
//! Prints the machine as text. The text configures a bare machine to the same state. State that
//! cannot be configured (messages, interruptions, a reset in progress) is in comments.

use crate::adapter::State;
use crate::function::Function;
use crate::machine::Machine;
use crate::mask::Mask;
use crate::queue::Settings;
use std::fmt::Write;

impl Machine {
    pub(super) fn show(&self) -> String {
        let mut text = String::new();
        // Writing to a `String` does not fail.
        let _ = self.write_to(&mut text);
        text
    }

    fn write_to(&self, out: &mut String) -> std::fmt::Result {
        write!(out, "limits")?;
        for (name, flag) in self.limits.flags() {
            write!(out, " {name}={}", if flag { "on" } else { "off" })?;
        }
        writeln!(out, " na={} nd={}", self.limits.na, self.limits.nd)?;
        for (apid, adapter) in &self.adapters {
            writeln!(out, "adapter {} {adapter} depth={}", apid.0, adapter.depth)?;
            if adapter.state != State::Online {
                writeln!(out, "adapter {} state {}", apid.0, adapter.state.name())?;
            }
        }
        for (name, mask) in [("apm", self.apm), ("aqm", self.aqm), ("adm", self.adm)] {
            write_mask(out, name, mask)?;
        }
        for (apqn, queue) in &self.queues {
            let settings = &queue.settings;
            let default = Settings::default();
            if settings.state != default.state {
                writeln!(out, "queue {apqn} state {}", settings.state.name())?;
            }
            if settings.reset_polls != default.reset_polls {
                writeln!(out, "queue {apqn} reset-polls {}", settings.reset_polls)?;
            }
            if settings.irq_polls != default.irq_polls {
                writeln!(out, "queue {apqn} irq-polls {}", settings.irq_polls)?;
            }
            if settings.reply_polls != default.reply_polls {
                writeln!(out, "queue {apqn} reply-polls {}", settings.reply_polls)?;
            }
            for function in Function::ALL {
                if let Some(fault) = settings.faults[function.index()] {
                    writeln!(out, "queue {apqn} {function} {fault}")?;
                }
            }
            if let Some(activity) = queue.activity() {
                writeln!(out, "# {apqn}: {activity}")?;
            }
        }
        Ok(())
    }
}

fn write_mask(out: &mut String, name: &str, mask: Mask) -> std::fmt::Result {
    if mask.is_empty() {
        writeln!(out, "{name} =")
    } else {
        writeln!(out, "{name} = {mask}")
    }
}
