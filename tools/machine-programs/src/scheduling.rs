// SPDX-License-Identifier: GPL-2.0
//! Scheduling: threads without CPU time, and threads that take all of it.

use std::hint;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

/// The share of a CPU that a thread gets while other threads run, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// The share for this niceness, from -20 (most) to 19.
    Nice(i32),
    /// Nearly none: SCHED_IDLE.
    Idle,
}

/// This thread, as an argument of [`give`].
pub const SELF: Pid = Pid::from_raw(0);

/// Changes the share of a thread.
///
/// # Errors
///
/// Returns the error of the kernel.
pub fn give(thread: Pid, share: Share) -> nix::Result<()> {
    let (policy, niceness) = match share {
        Share::Nice(niceness) => (libc::SCHED_OTHER, Some(niceness)),
        Share::Idle => (libc::SCHED_IDLE, None),
    };
    // SAFETY: the fields are integers. Zero is valid, and required for these policies.
    let parameter: libc::sched_param = unsafe { mem::zeroed() };
    // SAFETY: the parameter lives through the call, and is only read.
    Errno::result(unsafe {
        libc::sched_setscheduler(thread.as_raw(), policy, &raw const parameter)
    })?;
    if let Some(niceness) = niceness {
        // SAFETY: no memory is involved. The number of a thread selects only this thread.
        Errno::result(unsafe {
            libc::setpriority(
                libc::PRIO_PROCESS,
                thread.as_raw().cast_unsigned(),
                niceness,
            )
        })?;
    }
    Ok(())
}

/// Threads that get nearly no CPU time until this value is dropped.
pub struct Starving(Vec<Pid>);

impl Starving {
    /// Sets the share of these threads.
    ///
    /// # Errors
    ///
    /// Returns the error of the kernel.
    pub fn new(threads: &[Pid]) -> nix::Result<Self> {
        // After an error, dropping this value restores the changed threads.
        let mut starving = Self(Vec::new());
        for thread in threads {
            give(*thread, Share::Idle)?;
            starving.0.push(*thread);
        }
        Ok(starving)
    }
}

impl Drop for Starving {
    fn drop(&mut self) {
        for thread in &self.0 {
            // The thread may have ended.
            let _ = give(*thread, Share::Nice(0));
        }
    }
}

/// Threads that take all available CPU time until this value is dropped.
pub struct Hogs(Arc<AtomicBool>);

impl Hogs {
    /// Starts `count` threads.
    pub fn new(count: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..count {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    hint::spin_loop();
                }
            });
        }
        Self(over)
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_alone_becomes_idle() {
        let policy = || {
            // SAFETY: no memory is involved.
            unsafe { libc::sched_getscheduler(0) }
        };
        let idle = thread::spawn(move || {
            give(SELF, Share::Idle).unwrap();
            policy()
        });
        assert_eq!(idle.join().unwrap(), libc::SCHED_IDLE);
        assert_eq!(policy(), libc::SCHED_OTHER);
    }
}
