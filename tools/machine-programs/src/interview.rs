// SPDX-License-Identifier: GPL-2.0
//! Queries of the program in a guest, in the words of scenarios, and the answers.

use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::error::{Result, Step};
use crate::payload::{Operation, Outcome, Payload};
use crate::rsa::{Method, RESULT, Vector};
use crate::vm::Guest;

/// The maximum time for an answer of a guest.
const PATIENCE: Duration = Duration::from_secs(10);

/// The function codes of PQAP.
const AQIC: u64 = 3 << 24;
const QCI: u64 = 4 << 24;
/// NQAP: the last part of a message.
const LAST_PART: u64 = 1 << 30;
/// DQAP: the whole reply.
const DQAP: u64 = 1 << 31;
/// AQIC: enable interruptions for this interruption subclass of the guest.
const ENABLE: u64 = 1 << 47;
const SUBCLASS: u64 = 4;
/// The length of the message.
const MESSAGE: u64 = 0x100;

/// Sends a query to the guest, and returns the answer as text.
///
/// # Errors
///
/// Returns an error if the guest does not answer, or if the words are not a query.
pub fn ask(guest: &Guest, words: &[&str]) -> Result<String> {
    let unknown = || Err(Errno::EINVAL).step("no such command");
    let (cpu, words) = match words {
        [first, rest @ ..] => match first.parse::<usize>() {
            Ok(cpu) if cpu < guest.cpus.len() => (cpu, rest),
            Ok(_) => return Err(Errno::ENXIO).step("no such CPU"),
            Err(_) => (0, words),
        },
        [] => return unknown(),
    };
    let guest = Interview { guest, cpu };
    let (buffer, indicator) = Payload::places(cpu);
    let payload = &guest.guest.payload;
    Ok(match words {
        ["queues"] => guest.queues()?,
        ["rc", queue] => guest.execute(Operation::Pqap, &[apqn(queue)?])?.to_string(),
        ["pqap", registers @ ..] if (1..=3).contains(&registers.len()) => {
            let registers = registers
                .iter()
                .map(|word| number(word))
                .collect::<Result<Vec<_>>>()?;
            guest.execute(Operation::Pqap, &registers)?.to_string()
        }
        ["masks"] => {
            let outcome = guest.execute(Operation::Pqap, &[QCI, 0, buffer])?;
            if outcome.cc != 0 {
                return Ok(outcome.to_string());
            }
            payload.configuration(cpu).to_string()
        }
        ["enable", queue, operands @ ..] if operands.len() <= 2 => {
            let operand = |index: usize, default| {
                operands.get(index).map_or(Ok(default), |word| number(word))
            };
            let (at, subclass) = (operand(0, indicator)?, operand(1, SUBCLASS)?);
            let registers = [AQIC | apqn(queue)?, ENABLE | subclass, at];
            guest.execute(Operation::Pqap, &registers)?.to_string()
        }
        ["disable", queue] => {
            let registers = [AQIC | apqn(queue)?, 0, 0];
            guest.execute(Operation::Pqap, &registers)?.to_string()
        }
        ["send", queue] => {
            let gr0 = LAST_PART | apqn(queue)?;
            let registers = [gr0, 0, 0, 0, 0, 0x77, buffer, MESSAGE];
            guest.execute(Operation::Nqap, &registers)?.to_string()
        }
        ["rsa", queue] => guest.rsa(apqn(queue)?)?,
        ["receive", queue] => {
            let gr0 = DQAP | apqn(queue)?;
            let registers = [gr0, 0, 0, 0, 0, 0, buffer, 0x1000];
            let outcome = guest.execute(Operation::Dqap, &registers)?;
            format!("{outcome} psmid={:x}", outcome.registers[5])
        }
        ["interruptions"] => {
            let (count, word) = payload.interruptions(cpu);
            let indicator = payload.indicator(cpu);
            format!("{count} word={word:08x} indicator={indicator:02x}")
        }
        ["wait"] => {
            payload.order(cpu, Operation::Wait, [0; 8]);
            String::new()
        }
        ["woken"] => {
            let woken = payload.outcome(cpu).is_some();
            if woken { "yes" } else { "no" }.into()
        }
        ["scans"] => payload.scans(cpu).to_string(),
        _ => return unknown(),
    })
}

struct Interview<'a> {
    guest: &'a Guest,
    cpu: usize,
}

impl Interview<'_> {
    /// Waits for an action of the guest. Returns an error if the guest has ended.
    fn wait<T>(&self, mut done: impl FnMut() -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = done() {
                return Ok(value);
            }
            if let Some(why) = self.guest.cpus[self.cpu].end() {
                let why = match self.guest.payload.exception(self.cpu) {
                    Some((code, at)) => format!("program interruption {code:08x} at {at:x}, {why}"),
                    None => why,
                };
                return Err(Errno::EIO).step(why);
            }
            if Instant::now() > deadline {
                return Err(Errno::ETIMEDOUT).step("the guest does not answer");
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Returns the available queues, after a test of all queues that has begun after this call.
    fn queues(&self) -> Result<String> {
        let payload = &self.guest.payload;
        let before = payload.scans(self.cpu);
        self.wait(|| (payload.scans(self.cpu) >= before + 2).then_some(()))?;
        let queues: Vec<_> = payload.queues(self.cpu).iter().map(name).collect();
        Ok(match queues.as_slice() {
            [] => "none".into(),
            _ => queues.join(" "),
        })
    }

    /// Makes the guest send a message to an accelerator and receive the reply. Returns `right` if
    /// the result is correct.
    fn rsa(&self, apqn: u64) -> Result<String> {
        let vector = Vector::of("1024").ok_or(Errno::ENOENT).step("RSA vector")?;
        let message = vector.message();
        let (buffer, _) = Payload::places(self.cpu);
        let payload = &self.guest.payload;
        payload.fill(self.cpu, &message);
        let length = message.len() as u64;
        let registers = [LAST_PART | apqn, 0, 0, 0, 0, 0x77, buffer, length];
        let sent = self.execute(Operation::Nqap, &registers)?;
        if sent.cc != 0 {
            return Ok(format!("NQAP {sent}"));
        }
        let registers = [DQAP | apqn, 0, 0, 0, 0, 0, buffer, 0x1000];
        let received = self.execute(Operation::Dqap, &registers)?;
        if received.cc != 0 {
            return Ok(format!("DQAP {received}"));
        }
        let reply = payload.buffer(self.cpu, 0x1000 - received.registers[7] as usize);
        let result = reply.get(RESULT..).unwrap_or_default();
        let right = vector.is_right(Method::Exponentiation, result);
        Ok(if right { "right" } else { "wrong" }.into())
    }

    fn execute(&self, operation: Operation, registers: &[u64]) -> Result<Outcome> {
        let mut all = [0; 8];
        all[..registers.len()].copy_from_slice(registers);
        let payload = &self.guest.payload;
        payload.order(self.cpu, operation, all);
        self.wait(|| payload.outcome(self.cpu))
    }
}

/// Returns the name of a queue in Linux.
fn name(apqn: &u16) -> String {
    format!("{:02x}.{:04x}", apqn >> 8, apqn & 0xff)
}

fn apqn(name: &str) -> Result<u64> {
    let parsed = name.split_once('.').and_then(|(adapter, domain)| {
        let part = |text| u8::from_str_radix(text, 16).ok();
        Some(u64::from(part(adapter)?) << 8 | u64::from(part(domain)?))
    });
    parsed
        .ok_or(Errno::EINVAL)
        .step(format!("'{name}' is no queue"))
}

/// Parses a number, hexadecimal with 0x or decimal.
///
/// # Errors
///
/// Returns `EINVAL` if the word is not a number.
pub fn number(word: &str) -> Result<u64> {
    let parsed = match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => word.parse(),
    };
    parsed
        .map_err(|_| Errno::EINVAL)
        .step(format!("'{word}' is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_and_numbers() {
        assert_eq!(apqn("1a.00fe").unwrap(), 0x1afe);
        assert!(apqn("1a").is_err() && apqn("100.0000").is_err());
        assert_eq!(name(&0x1afe), "1a.00fe");
        assert_eq!((number("0x10").unwrap(), number("10").unwrap()), (16, 10));
    }
}
