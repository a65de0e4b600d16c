// SPDX-License-Identifier: GPL-2.0
//! The AP instructions PQAP, NQAP and DQAP, on registers.
//!
//! Sources: the register layouts are those of arch/s390/include/asm/ap.h. The specification
//! exceptions are those that KVM raises for a guest (arch/s390/kvm/s390/priv.c, `handle_pqap`),
//! that the AP bus avoids (drivers/s390/crypto/ap_bus.c, `ap_queue_info`; `ap_dqap` for a length
//! of zero), and that IBM's tests for kvm-unit-tests expect ("s390x: Add base AP support", 2024).
//!
//! The caller handles storage and the condition code. The answer contains the data for storage.

use crate::adapter::{Adapter, State};
use crate::function::Function;
use crate::ids::Apqn;
use crate::interruption::Interruption;
use crate::machine::Machine;
use crate::message::{MAX_MESSAGE, Reply};
use crate::qci;
use crate::queue::Queue;
use crate::status::{ProgramInterruption, ResponseCode, Status};

/// The general registers of PQAP.
#[derive(Clone, Copy, Debug)]
pub struct Pqap {
    /// Register 0: function code, flags and queue number.
    pub gr0: u64,
    /// Register 1.
    pub gr1: u64,
    /// Register 2.
    pub gr2: u64,
    /// True if the absolute address in register 2 is in storage. AQIC needs it.
    pub gr2_is_storage: bool,
}

/// The result of PQAP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PqapAnswer {
    /// The status for general register 1, and the new general register 2 if it changes.
    Status(Status, Option<u64>),
    /// The result of QCI: the block for the storage at general register 2. The condition code is 0.
    Configuration([u8; qci::LENGTH]),
}

/// The result of DQAP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DqapAnswer {
    /// The status, if there is no reply.
    Status(Status),
    /// A whole reply or its last part.
    Reply {
        /// The status for general register 1.
        status: Status,
        /// The identifier of the message.
        psmid: u64,
        /// The data for the buffer.
        data: Vec<u8>,
    },
    /// A part of a reply, because the buffer is too short. The condition code is 1, and there is no
    /// status.
    Partial {
        /// The data for the buffer.
        data: Vec<u8>,
        /// The number of remaining bytes, for general register 2.
        residual: u64,
    },
}

/// The bits of general register 0, numbered from the left as in the architecture.
mod gr0 {
    /// Bit 32: set in DQAP.
    pub(super) const DEQUEUE: u64 = 1 << 31;
    /// Bit 33, NQAP: the last part of the message.
    pub(super) const LAST_PART: u64 = 1 << 30;
    /// Bits 34 and 35.
    pub(super) const RESERVED_HIGH: u64 = 3 << 28;
    /// Bit 40, TAPQ: test facilities.
    pub(super) const T: u64 = 1 << 23;
    /// Bit 41, RAPQ, ZAPQ and QACT: a modifier; NQAP: a special command.
    pub(super) const F: u64 = 1 << 22;
    /// Bits 41-47.
    pub(super) const RESERVED: u64 = 0x007f_0000;
    /// The bits of a queue number that are defined only with APXA.
    pub(super) const EXTENDED: u64 = 0xc0f0;
}

/// The result of the checks that all functions on a queue have in common.
enum Access<'a> {
    /// The function is not performed. The adapter is present if the queue exists.
    Answered(Status, Option<&'a Adapter>),
    /// The function can be performed.
    Open(&'a Adapter, &'a mut Queue),
}

impl Machine {
    /// Executes PQAP.
    ///
    /// # Errors
    ///
    /// Returns the program interruption of the instruction.
    pub fn pqap(&mut self, operands: &Pqap) -> Result<PqapAnswer, ProgramInterruption> {
        let function = self.examine(operands)?;
        let limits = self.limits;
        let t = operands.gr0 & gr0::T != 0;
        if function == Function::Qci {
            self.counters.count(function, None);
            return Ok(PqapAnswer::Configuration(qci::block(
                &limits, self.apm, self.aqm, self.adm,
            )));
        }
        if limits.apxa && t && self.beyond_limits(operands.gr0) {
            self.counters
                .count(function, Some(Apqn::from_gr0(operands.gr0)));
            let status = Status::bare(ResponseCode::NOT_AVAILABLE);
            return Ok(PqapAnswer::Status(status, None));
        }
        let answer = match (function, self.access(function, operands.gr0)?) {
            (Function::Tapq, Access::Answered(status, adapter)) => {
                // The status of a missing queue contains only the response code.
                let known = status.rc != ResponseCode::NOT_AVAILABLE;
                let info = adapter.filter(|_| known).map(|a| a.hardware_info(&limits));
                PqapAnswer::Status(status, info)
            }
            (_, Access::Answered(status, _)) => PqapAnswer::Status(status, None),
            (function, Access::Open(adapter, queue)) => {
                let depth = adapter.depth;
                let mut gr2 = None;
                let rc = match function {
                    Function::Rapq | Function::Zapq => {
                        queue.reset();
                        ResponseCode::NORMAL
                    }
                    Function::Aqic => aqic(queue, operands),
                    Function::Qact => {
                        gr2 = Some(qact(adapter, operands.gr1));
                        ResponseCode::NORMAL
                    }
                    _ => {
                        gr2 = Some(adapter.hardware_info(&limits));
                        ResponseCode::NORMAL
                    }
                };
                PqapAnswer::Status(queue.status(depth, rc), gr2)
            }
        };
        Ok(answer)
    }

    /// Returns the function that the registers select.
    ///
    /// # Errors
    ///
    /// Returns the program interruption if the registers select no function of this machine.
    pub fn examine(&self, operands: &Pqap) -> Result<Function, ProgramInterruption> {
        let limits = &self.limits;
        if !limits.ap {
            return Err(ProgramInterruption::Operation);
        }
        let [_, _, _, _, code, ..] = operands.gr0.to_be_bytes();
        let function = Function::from_pqap(code)
            .filter(|function| match function {
                Function::Qci => limits.qci,
                Function::Aqic => limits.aqic,
                Function::Qact => limits.qact,
                _ => true,
            })
            .ok_or(ProgramInterruption::Specification)?;
        let t = operands.gr0 & gr0::T != 0;
        let defined = match function {
            Function::Rapq | Function::Zapq | Function::Qact => gr0::F,
            _ => 0,
        };
        if operands.gr0 & gr0::RESERVED & !defined != 0
            || t && !(limits.apft && function == Function::Tapq)
            || function == Function::Qci && !operands.gr2.is_multiple_of(8)
        {
            return Err(ProgramInterruption::Specification);
        }
        Ok(function)
    }

    /// Checks the general register 0 of NQAP or DQAP, and the length of the message or the buffer.
    ///
    /// # Errors
    ///
    /// Returns the program interruption of the instruction.
    pub fn examine_message(
        &self,
        function: Function,
        gr0: u64,
        length: u64,
    ) -> Result<(), ProgramInterruption> {
        if !self.limits.ap {
            return Err(ProgramInterruption::Operation);
        }
        let undefined = gr0::RESERVED_HIGH
            | gr0::T
            | match function {
                Function::Nqap => gr0::DEQUEUE,
                _ => gr0::LAST_PART | gr0::F,
            };
        if gr0 & undefined != 0 || !(1..=MAX_MESSAGE as u64).contains(&length) {
            return Err(ProgramInterruption::Specification);
        }
        Ok(())
    }

    /// Executes NQAP: puts message `psmid` on the queue in `gr0`.
    ///
    /// A message consists of one part. No adapter of this machine accepts several.
    ///
    /// # Errors
    ///
    /// Returns the program interruption of the instruction.
    pub fn nqap(
        &mut self,
        gr0: u64,
        psmid: u64,
        message: &[u8],
    ) -> Result<Status, ProgramInterruption> {
        self.examine_message(Function::Nqap, gr0, message.len() as u64)?;
        let apqn = Apqn::from_gr0(gr0);
        let status = match self.access(Function::Nqap, gr0)? {
            Access::Answered(status, _) => status,
            Access::Open(adapter, queue) => {
                let rc = if gr0 & gr0::LAST_PART == 0 {
                    ResponseCode::FACILITY_NOT_INSTALLED
                } else {
                    queue.put(Reply::to(adapter.mode, apqn, psmid, message), adapter.depth)
                };
                queue.status(adapter.depth, rc)
            }
        };
        // A reply without a delay is available immediately.
        if let Some(queue) = self.queues.get_mut(&apqn) {
            self.interruptions.extend(queue.take_request());
        }
        Ok(status)
    }

    /// Executes DQAP: receives a reply, or a part of it, into a buffer of `space` bytes.
    ///
    /// # Errors
    ///
    /// Returns the program interruption of the instruction.
    pub fn dqap(&mut self, gr0: u64, space: u64) -> Result<DqapAnswer, ProgramInterruption> {
        self.examine_message(Function::Dqap, gr0, space)?;
        Ok(match self.access(Function::Dqap, gr0)? {
            Access::Answered(status, _) => DqapAnswer::Status(status),
            Access::Open(adapter, queue) => match queue.take(space) {
                None => {
                    DqapAnswer::Status(queue.status(adapter.depth, ResponseCode::NO_PENDING_REPLY))
                }
                Some(taken) if taken.residual != 0 => DqapAnswer::Partial {
                    data: taken.data,
                    residual: taken.residual as u64,
                },
                Some(taken) => DqapAnswer::Reply {
                    status: queue.status(adapter.depth, ResponseCode::NORMAL),
                    psmid: taken.psmid,
                    data: taken.data,
                },
            },
        })
    }

    /// Returns true if the queue number in `gr0` exceeds the limits of this machine.
    pub(crate) fn beyond_limits(&self, gr0: u64) -> bool {
        let apqn = Apqn::from_gr0(gr0);
        if self.limits.apxa {
            apqn.apid.0 > self.limits.na || apqn.apqi.0 > self.limits.nd
        } else {
            gr0 & gr0::EXTENDED != 0
        }
    }

    /// Performs the steps that all functions on a queue have in common. It counts the function, and
    /// then checks forced responses, the configuration, the state and a reset in progress, in this
    /// order.
    fn access(&mut self, function: Function, gr0: u64) -> Result<Access<'_>, ProgramInterruption> {
        if !self.limits.ap {
            return Err(ProgramInterruption::Operation);
        }
        if self.beyond_limits(gr0) {
            return Err(ProgramInterruption::Specification);
        }
        let apqn = Apqn::from_gr0(gr0);
        self.counters.count(function, Some(apqn));
        let configured = self.has(apqn);
        let Some(adapter) = self.adapters.get(&apqn.apid) else {
            let status = Status::bare(ResponseCode::NOT_AVAILABLE);
            return Ok(Access::Answered(status, None));
        };
        let queue = self.queues.entry(apqn).or_default();
        let resetting = queue.begin();
        self.interruptions.extend(queue.take_request());
        if let Some(fault) = queue.take_fault(function) {
            let status = Status {
                asynchronous: fault.asynchronous,
                ..queue.status(adapter.depth, fault.rc)
            };
            return Ok(Access::Answered(status, Some(adapter)));
        }
        if !configured {
            let status = Status::bare(ResponseCode::NOT_AVAILABLE);
            return Ok(Access::Answered(status, None));
        }
        let state = match adapter.state {
            State::Online => queue.settings.state,
            state => state,
        };
        let rc = match state {
            State::Deconfigured => ResponseCode::DECONFIGURED,
            State::Checkstopped => ResponseCode::CHECKSTOPPED,
            // QACT describes the adapter, and a reset of the queue does not change it.
            State::Online if resetting && function != Function::Qact => {
                ResponseCode::RESET_IN_PROGRESS
            }
            State::Online => return Ok(Access::Open(adapter, queue)),
        };
        let status = queue.status(adapter.depth, rc);
        Ok(Access::Answered(status, Some(adapter)))
    }
}

fn aqic(queue: &mut Queue, operands: &Pqap) -> ResponseCode {
    match Interruption::decode(operands.gr1, operands.gr2) {
        Err(rc) => rc,
        Ok(Some(_)) if !operands.gr2_is_storage => ResponseCode::INVALID_ADDRESS,
        Ok(to) => queue.control_interruption(to),
    }
}

/// Executes QACT: returns the lower one of the category in `gr1` and the type of the adapter. The
/// other bits of `gr1` are unchanged (`union ap_qact_ap_info`).
fn qact(adapter: &Adapter, gr1: u64) -> u64 {
    const CATEGORY: u64 = 0xff00_0000;
    let wanted = (gr1 & CATEGORY) >> 24;
    gr1 & !CATEGORY | wanted.min(u64::from(adapter.kind.0)) << 24
}

#[cfg(test)]
#[path = "execute_tests.rs"]
mod tests;
