// SPDX-License-Identifier: GPL-2.0
//! The machine that the plugin emulates. All vCPUs and the socket share it.

use crate::instructions::{Counter, Instructions};
use crate::interruption::Pending;
use crate::sie::Shared;
use ap_model::control::Error;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The model, and the state that all CPUs share.
pub(crate) struct Machine {
    model: Mutex<ap_model::Machine>,
    shadows: Shared,
    pending: Pending,
    trace: bool,
    instructions: Option<Instructions>,
}

impl Machine {
    /// Returns a machine in which no CPU can run guests.
    pub(crate) fn new(model: ap_model::Machine, trace: bool) -> Self {
        Self {
            model: Mutex::new(model),
            shadows: Shared::new(0),
            pending: Pending::default(),
            trace,
            instructions: None,
        }
    }

    /// Sets the number of CPUs that can run guests.
    pub(crate) fn with_cpus(self, cpus: usize) -> Self {
        Self {
            shadows: Shared::new(cpus),
            ..self
        }
    }

    /// Enables the counting of instructions.
    pub(crate) fn counting_instructions(self, counter: impl Counter + 'static) -> Self {
        Self {
            instructions: Some(Instructions::new(counter)),
            ..self
        }
    }

    /// Returns the counts of instructions if counting is enabled.
    pub(crate) fn instructions(&self) -> Option<&Instructions> {
        self.instructions.as_ref()
    }

    /// Returns the state that all CPUs share for running guests.
    pub(crate) fn shadows(&self) -> &Shared {
        &self.shadows
    }

    /// Returns the pending interruptions of the host.
    pub(crate) fn pending(&self) -> &Pending {
        &self.pending
    }

    /// Locks the model. AP instructions are rare, so one lock is enough.
    pub(crate) fn model(&self) -> MutexGuard<'_, ap_model::Machine> {
        // No panic leaves the model half changed, because a control request works on a copy.
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Executes a request to the running machine: one about counts of instructions, or commands for
    /// the model.
    ///
    /// # Errors
    ///
    /// Returns the error of the request. The machine is then unchanged.
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

    /// Prints an action of a CPU if tracing is enabled.
    pub(crate) fn trace(&self, cpu: u32, what: impl FnOnce() -> String) {
        if self.trace {
            say(format_args!("cpu {cpu}: {}", what()));
        }
    }
}

/// Prints a line on stderr.
pub(crate) fn say(what: fmt::Arguments<'_>) {
    eprintln!("ap-plugin: {what}");
}
