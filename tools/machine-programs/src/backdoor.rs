// SPDX-License-Identifier: GPL-2.0
//! The back door of the emulated machine.
//!
//! The operation code 0xb2fe belongs to no instruction. The emulated machine
//! takes it, in problem state too, as a request in its own line language: change
//! the host configuration, make a queue fail, read a counter. The answer is
//! there when the next instruction runs, so there is no race between a change
//! and what a test does next.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Room for the longest reply (`show` of a full machine, counters of all queues).
const REPLY: usize = 32 * 1024;

/// Room for where all of the kernel's instructions were executed.
const LONG_REPLY: usize = 4 * 1024 * 1024;

/// Sends `request`; the reply is `Err` if the machine refused it.
pub fn ask(request: &str) -> Result<String, String> {
    ask_for(request, REPLY)
}

/// Sends a `request` whose reply may be very long.
pub fn ask_at_length(request: &str) -> Result<String, String> {
    ask_for(request, LONG_REPLY)
}

/// Sends `request`, and needs nothing of the kernel for it. Nobody hears the reply.
pub fn tell(request: &'static str) {
    exchange(request.as_bytes(), &mut []);
}

fn ask_for(request: &str, room: usize) -> Result<String, String> {
    // The machine reads and writes these two through the page tables as they
    // are: write to every page, so that none is still to be faulted in.
    let request = request.as_bytes().to_vec();
    let mut reply = vec![0xff_u8; room];
    std::hint::black_box((&request, &mut reply));

    let (cc, length) = exchange(&request, &mut reply);
    reply.truncate(length);
    let reply = String::from_utf8_lossy(&reply).into_owned();
    if cc == 0 { Ok(reply) } else { Err(reply) }
}

/// The instruction: the condition code, and the length of the reply.
#[cfg(target_arch = "s390x")]
fn exchange(request: &[u8], reply: &mut [u8]) -> (u32, usize) {
    let length: usize;
    let cc: u32;
    // SAFETY: the machine reads `r3` bytes at `r2` and writes at most `r5` bytes
    // at `r4`; both buffers live until after the instruction. Only r2 and the
    // condition code change.
    unsafe {
        std::arch::asm!(
            ".long 0xb2fe0000",
            "ipm {cc}",
            "srl {cc}, 28",
            cc = out(reg) cc,
            inout("r2") request.as_ptr() => length,
            in("r3") request.len(),
            in("r4") reply.as_mut_ptr(),
            in("r5") reply.len(),
            options(nostack),
        );
    }
    (cc, length)
}

/// Elsewhere these programs are only checked by the compiler.
#[cfg(not(target_arch = "s390x"))]
fn exchange(_: &[u8], _: &mut [u8]) -> (u32, usize) {
    (1, 0)
}

/// Says what it means if the instruction does not exist: a QEMU without the
/// plugin. Without this a user sees "Illegal instruction".
pub fn explain_absence() {
    extern "C" fn absent(_: i32) {
        const TEXT: &[u8] = b"error: no AP machine answers: QEMU runs without its plugin\n";
        // SAFETY: both are async-signal-safe, and TEXT lives forever.
        unsafe {
            nix::libc::write(2, TEXT.as_ptr().cast(), TEXT.len());
            nix::libc::_exit(1)
        }
    }
    let action = SigAction::new(
        SigHandler::Handler(absent),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler calls nothing but async-signal-safe functions.
    let installed = unsafe { sigaction(Signal::SIGILL, &action) };
    debug_assert!(installed.is_ok());
}
