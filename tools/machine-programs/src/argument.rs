// SPDX-License-Identifier: GPL-2.0
//! Arguments of ioctls in memory that is hard to get at: where it ends, where it is
//! read-only, or where it does not come until somebody says so, by userfaultfd.
//!
//! Structures and constants of userfaultfd come from the crate `linux-raw-sys`. The crate
//! `userfaultfd` makes its bindings while it is built, from the headers of the build host, and so
//! does not serve a build for s390x on another machine.

use std::ffi::c_void;
use std::num::NonZero;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

use linux_raw_sys::general::{
    _UFFDIO_API, _UFFDIO_COPY, _UFFDIO_REGISTER, UFFD_API, UFFDIO, UFFDIO_REGISTER_MODE_MISSING,
    uffd_msg, uffdio_api, uffdio_copy, uffdio_range, uffdio_register,
};
use nix::errno::Errno;
use nix::libc::{self, Ioctl};
use nix::request_code_readwrite;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use nix::unistd;

use crate::uapi::by_reference;

const UFFD: u8 = UFFDIO as u8;
const API: Ioctl = request_code_readwrite!(UFFD, _UFFDIO_API, size_of::<uffdio_api>());
const REGISTER: Ioctl =
    request_code_readwrite!(UFFD, _UFFDIO_REGISTER, size_of::<uffdio_register>());
const COPY: Ioctl = request_code_readwrite!(UFFD, _UFFDIO_COPY, size_of::<uffdio_copy>());

const PAGE: usize = 4096;

/// An argument. What the kernel writes to it is not looked at.
///
/// # Invariants
///
/// `page` is a page of memory that nothing else uses, with one behind it that cannot be
/// accessed. The argument ends where the page ends.
pub struct Argument {
    page: NonNull<c_void>,
    length: usize,
}

// SAFETY: the memory belongs to the process, not to a thread.
unsafe impl Send for Argument {}

impl Argument {
    /// Words, behind which an access fails.
    pub fn new(words: &[u32]) -> nix::Result<Self> {
        let argument = Self::untouched(words.len())?;
        for (number, word) in words.iter().enumerate() {
            // SAFETY: inside of the page by the invariant, and aligned, as the page is.
            unsafe { argument.start().cast::<u32>().add(number).write(*word) };
        }
        Ok(argument)
    }

    /// Room for that many words, in a page that does not exist before it is accessed.
    fn untouched(words: usize) -> nix::Result<Self> {
        let length = 4 * words;
        if length > PAGE {
            return Err(Errno::E2BIG);
        }
        let both = NonZero::new(2 * PAGE).ok_or(Errno::EINVAL)?;
        // SAFETY: a new mapping disturbs nobody; its first page is made accessible.
        let page = unsafe {
            let page = mmap_anonymous(
                None,
                both,
                ProtFlags::PROT_NONE,
                MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS,
            )?;
            mprotect(page, PAGE, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE)?;
            page
        };
        // INVARIANT: just made.
        Ok(Self { page, length })
    }

    /// From now on it can only be read.
    pub fn read_only(self) -> nix::Result<Self> {
        // SAFETY: the page is ours by the invariant.
        unsafe { mprotect(self.page, PAGE, ProtFlags::PROT_READ)? };
        Ok(self)
    }

    fn start(&self) -> *mut u8 {
        self.page
            .as_ptr()
            .cast::<u8>()
            .wrapping_add(PAGE - self.length)
    }

    /// Its address.
    pub fn address(&self) -> usize {
        self.start().addr()
    }
}

impl Drop for Argument {
    fn drop(&mut self) {
        // SAFETY: both pages are ours by the invariant. There is nothing to be done if it
        // fails.
        let _ = unsafe { munmap(self.page, 2 * PAGE) };
    }
}

/// Keeps an argument away from whoever wants to access it. If this is dropped, the argument
/// is all zero.
pub struct Hold {
    userfaultfd: OwnedFd,
    page: usize,
    contents: Argument,
}

impl Hold {
    /// An argument whose words nobody can have before [`Self::release`].
    pub fn new(words: &[u32]) -> nix::Result<(Argument, Self)> {
        let argument = Argument::untouched(words.len())?;
        let contents = Argument::new(words)?;
        // SAFETY: this system call takes a number, and returns a descriptor that nobody has.
        let userfaultfd = unsafe {
            let fd = Errno::result(libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC))?;
            OwnedFd::from_raw_fd(fd as i32)
        };
        let mut api = uffdio_api {
            api: UFFD_API.into(),
            features: 0,
            ioctls: 0,
        };
        let mut register = uffdio_register {
            range: uffdio_range {
                start: argument.page.addr().get() as u64,
                len: PAGE as u64,
            },
            mode: UFFDIO_REGISTER_MODE_MISSING.into(),
            ioctls: 0,
        };
        // SAFETY: these are the structures of these requests.
        unsafe {
            by_reference(userfaultfd.as_fd(), API, &mut api)?;
            by_reference(userfaultfd.as_fd(), REGISTER, &mut register)?;
        }
        let hold = Self {
            userfaultfd,
            page: argument.page.addr().get(),
            contents,
        };
        Ok((argument, hold))
    }

    /// Waits until somebody waits for the argument.
    pub fn wait(&self) -> nix::Result<()> {
        let mut message = [0; size_of::<uffd_msg>()];
        unistd::read(&self.userfaultfd, &mut message).map(drop)
    }

    /// Lets everybody have the argument.
    pub fn release(self) -> nix::Result<()> {
        let mut copy = uffdio_copy {
            dst: self.page as u64,
            src: self.contents.page.addr().get() as u64,
            len: PAGE as u64,
            mode: 0,
            copy: 0,
        };
        // SAFETY: that is the structure of this request. The page that is filled is one that
        // nothing but the argument is in.
        unsafe { by_reference(self.userfaultfd.as_fd(), COPY, &mut copy) }.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_where_the_memory_ends() {
        let argument = Argument::new(&[1, 2, 3]).unwrap();
        assert!((argument.address() + 12).is_multiple_of(PAGE));
        // SAFETY: the last word of the argument.
        assert_eq!(unsafe { argument.start().add(8).cast::<u32>().read() }, 3);
        assert!(Argument::new(&[0; 1025]).is_err());
    }
}
