// SPDX-License-Identifier: GPL-2.0
//! The back door of the emulated machine.
//!
//! The operation code 0xb2fe belongs to no instruction. The emulated machine executes it as a
//! request in the control language, also in problem state. Requests change the host configuration,
//! set the faults of a queue or read a counter, for example. The answer is complete before the next
//! instruction, so a change never races with the next step of a test.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// The size of the longest reply, which is `show` of a full machine or the counters of all queues.
const REPLY: usize = 32 * 1024;

/// The size of a reply with all executed blocks of the kernel.
const LONG_REPLY: usize = 4 * 1024 * 1024;

/// Sends `request` and returns the reply. An error is the reply of a machine that refused the
/// request.
pub fn ask(request: &str) -> Result<String, String> {
    ask_for(request, REPLY)
}

/// Sends `request` and returns the reply, which can be very long.
pub fn ask_at_length(request: &str) -> Result<String, String> {
    ask_for(request, LONG_REPLY)
}

/// Sends `request` without any system call. The reply is lost.
pub fn tell(request: &'static str) {
    exchange(request.as_bytes(), &mut []);
}

fn ask_for(request: &str, room: usize) -> Result<String, String> {
    // The machine accesses both buffers through the current page tables. Writing to each page maps
    // the page first.
    let request = request.as_bytes().to_vec();
    let mut reply = vec![0xff_u8; room];
    std::hint::black_box((&request, &mut reply));

    let (cc, length) = exchange(&request, &mut reply);
    reply.truncate(length);
    let reply = String::from_utf8_lossy(&reply).into_owned();
    if cc == 0 { Ok(reply) } else { Err(reply) }
}

/// Executes the instruction. Returns the condition code and the length of the reply.
#[cfg(target_arch = "s390x")]
fn exchange(request: &[u8], reply: &mut [u8]) -> (u32, usize) {
    let length: usize;
    let cc: u32;
    // SAFETY: the machine reads `r3` bytes at `r2` and writes at most `r5` bytes at `r4`. Both
    // buffers live until after the instruction. Only r2 and the condition code change.
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

/// On other architectures, the compiler only checks these programs.
#[cfg(not(target_arch = "s390x"))]
fn exchange(_: &[u8], _: &mut [u8]) -> (u32, usize) {
    (1, 0)
}

/// Prints an explanation if the instruction does not exist, because QEMU runs without the plugin.
/// The default message is "Illegal instruction".
pub fn explain_absence() {
    extern "C" fn absent(_: i32) {
        const TEXT: &[u8] = b"error: no AP machine answers: QEMU runs without its plugin\n";
        // SAFETY: both functions are async-signal-safe, and TEXT is static.
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
    // SAFETY: the handler calls only async-signal-safe functions.
    let installed = unsafe { sigaction(Signal::SIGILL, &action) };
    debug_assert!(installed.is_ok());
}
