// SPDX-License-Identifier: GPL-2.0
//! Waits for changes: the kernel's uevents about AP, and an interval for changes without a uevent,
//! such as assignments with the C driver.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{
    self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType,
};

/// The time without events after which the picture is drawn. Events come in bursts.
const QUIET: Duration = Duration::from_millis(50);
/// The maximum delay of the picture by a burst.
const PATIENCE: Duration = Duration::from_secs(1);
/// The netlink group of the kernel's own events.
const KERNEL: u32 = 1;

/// A socket that receives uevents.
pub struct Uevents(OwnedFd);

impl Uevents {
    /// Opens the socket. This needs no privilege.
    ///
    /// # Errors
    ///
    /// Returns the error of the kernel.
    pub fn listen() -> io::Result<Self> {
        let socket = socket::socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkKObjectUEvent,
        )?;
        socket::bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL))?;
        Ok(Self(socket))
    }

    /// Waits until a burst of events about AP has ended, but no longer than `interval`.
    ///
    /// # Errors
    ///
    /// Returns the error of the kernel.
    pub fn wait(&self, interval: Duration) -> io::Result<()> {
        let mut until = Instant::now() + interval;
        let mut latest = until;
        loop {
            let now = Instant::now();
            if now >= until {
                return Ok(());
            }
            // The time is rounded up, which avoids a busy loop in the last millisecond.
            let left = until - now + Duration::from_micros(999);
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            match nix::poll::poll(&mut fds, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
            if self.drain()? {
                let now = Instant::now();
                latest = latest.min(now + PATIENCE);
                until = latest.min(now + QUIET);
            }
        }
    }

    /// Reads all available events. Returns true if one of them is about AP.
    fn drain(&self) -> io::Result<bool> {
        let mut message = [0; 8192];
        let mut any = false;
        loop {
            match socket::recv(self.0.as_raw_fd(), &mut message, MsgFlags::empty()) {
                Ok(length) => any |= is_about_ap(&message[..length]),
                Err(Errno::EAGAIN) => return Ok(any),
                // The buffer has overflowed. A lost event may be about AP.
                Err(Errno::ENOBUFS) => any = true,
                Err(Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

/// Returns true if a uevent is about AP. A uevent is `ACTION@DEVPATH` followed by variables, each
/// of which ends with a zero.
fn is_about_ap(message: &[u8]) -> bool {
    message.split(|byte| *byte == 0).any(|field| {
        matches!(
            field,
            b"SUBSYSTEM=ap" | b"SUBSYSTEM=mdev" | b"DRIVER=vfio_ap"
        ) || field.starts_with(b"DEVPATH=/devices/ap")
            || field.starts_with(b"DEVPATH=/devices/vfio_ap")
            || field == b"DEVPATH=/module/vfio_ap"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_events_are_about_ap() {
        for (message, about) in [
            (
                &b"change@/devices/ap\0ACTION=change\0DEVPATH=/devices/ap\0APMASK=0xff\0"[..],
                true,
            ),
            (b"add@/devices/ap/card01\0ACTION=add\0SUBSYSTEM=ap\0", true),
            (b"add@/devices/x\0ACTION=add\0SUBSYSTEM=mdev\0", true),
            (b"add@/module/vfio_ap\0DEVPATH=/module/vfio_ap\0", true),
            (b"add@/devices/cpu0\0ACTION=add\0SUBSYSTEM=cpu\0", false),
            (b"", false),
        ] {
            assert_eq!(is_about_ap(message), about, "{message:?}");
        }
    }

    #[test]
    fn waiting_ends_with_the_interval() {
        let begun = Instant::now();
        Uevents::listen()
            .unwrap()
            .wait(Duration::from_millis(20))
            .unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(20));
    }
}
