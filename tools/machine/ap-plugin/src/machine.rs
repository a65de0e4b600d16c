// SPDX-License-Identifier: GPL-2.0
//! The one machine that the plugin emulates, shared by all vCPUs and the socket.

use crate::instructions::{Counter, Instructions};
use crate::interruption::Pending;
use crate::sie::Shared;
use ap_model::control::Error;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The model, and whether what is done to it is printed.
pub(crate) struct Machine {
    model: Mutex<ap_model::Machine>,
    shadows: Shared,
    pending: Pending,
    trace: bool,
    instructions: Option<Instructions>,
}

impl Machine {
    /// A machine in which no CPU can run guests.
    pub(crate) fn new(model: ap_model::Machine, trace: bool) -> Self {
        Self {
            model: Mutex::new(model),
            shadows: Shared::new(0),
            pending: Pending::default(),
            trace,
            instructions: None,
        }
    }

    /// Have so many CPUs that can.
    pub(crate) fn with_cpus(self, cpus: usize) -> Self {
        Self {
            shadows: Shared::new(cpus),
            ..self
        }
    }

    /// Count instructions.
    pub(crate) fn counting_instructions(self, counter: impl Counter + 'static) -> Self {
        Self {
            instructions: Some(Instructions::new(counter)),
            ..self
        }
    }

    /// The counts of instructions, if they are counted.
    pub(crate) fn instructions(&self) -> Option<&Instructions> {
        self.instructions.as_ref()
    }

    /// What the CPUs share in running guests.
    pub(crate) fn shadows(&self) -> &Shared {
        &self.shadows
    }

    /// Interruptions of the host that are pending.
    pub(crate) fn pending(&self) -> &Pending {
        &self.pending
    }

    /// The model. AP instructions are rare, so one lock serves.
    pub(crate) fn model(&self) -> MutexGuard<'_, ap_model::Machine> {
        // Nothing leaves the model half changed: a control request works on a copy.
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carry out a request that came while the machine runs: one about instructions, which
    /// the model knows nothing of, or commands for the model.
    ///
    /// # Errors
    ///
    /// What is wrong with it; nothing was changed then.
    pub(crate) fn control(&self, request: &str) -> Result<String, Error> {
        let mut words = request.split_whitespace();
        if words.next() != Some("instructions") {
            return self.model().control(request);
        }
        let words: Vec<&str> = words.collect();
        self.instructions
            .as_ref()
            .ok_or_else(|| "instructions are counted with the argument count=on only".into())
            .and_then(|instructions| instructions.control(&words))
            .map_err(|message| Error { line: 1, message })
    }

    /// Print what a CPU did, if that is wanted.
    pub(crate) fn trace(&self, cpu: u32, what: impl FnOnce() -> String) {
        if self.trace {
            say(format_args!("cpu {cpu}: {}", what()));
        }
    }
}

/// Print a line for the person who runs QEMU.
pub(crate) fn say(what: fmt::Arguments<'_>) {
    eprintln!("ap-plugin: {what}");
}
