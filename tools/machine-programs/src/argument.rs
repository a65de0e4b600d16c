// SPDX-License-Identifier: GPL-2.0
//! Arguments of ioctls in special memory: at the end of accessible memory, in read-only memory, or
//! in memory that userfaultfd withholds until its release.
//!
//! Structures and constants of userfaultfd come from the crate `linux-raw-sys`. The crate
//! `userfaultfd` generates its bindings at build time from the headers of the build host, and
//! does not support cross-compiling for s390x.

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

/// An argument of an ioctl. Values that the kernel writes to it are not read.
///
/// # Invariants
///
/// `page` is a page of memory that is used only for this argument. The page after it is not
/// accessible. The argument ends at the end of the page.
pub struct Argument {
    page: NonNull<c_void>,
    length: usize,
}

// SAFETY: the memory belongs to the process, not to a thread.
unsafe impl Send for Argument {}

impl Argument {
    /// Returns an argument with these words. An access beyond the last word fails.
    ///
    /// # Errors
    ///
    /// Returns the error of the kernel.
    pub fn new(words: &[u32]) -> nix::Result<Self> {
        let argument = Self::untouched(words.len())?;
        for (number, word) in words.iter().enumerate() {
            // SAFETY: the address is inside the page by the invariant, and aligned, as the page is.
            unsafe { argument.start().cast::<u32>().add(number).write(*word) };
        }
        Ok(argument)
    }

    /// Returns an argument for `words` words, in a page that is allocated at the first access.
    fn untouched(words: usize) -> nix::Result<Self> {
        let length = 4 * words;
        if length > PAGE {
            return Err(Errno::E2BIG);
        }
        let both = NonZero::new(2 * PAGE).ok_or(Errno::EINVAL)?;
        // SAFETY: a new mapping does not change others. Its first page becomes accessible.
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
        // INVARIANT: the mapping was created above.
        Ok(Self { page, length })
    }

    /// Makes the argument read-only.
    ///
    /// # Errors
    ///
    /// Returns the error of the kernel.
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

    /// Returns the address of the argument.
    pub fn address(&self) -> usize {
        self.start().addr()
    }
}

impl Drop for Argument {
    fn drop(&mut self) {
        // SAFETY: both pages are ours by the invariant. An error is ignored, because nothing can be
        // done about it.
        let _ = unsafe { munmap(self.page, 2 * PAGE) };
    }
}

/// Withholds an argument from all accesses. When this value is dropped, the argument becomes all
/// zero.
pub struct Hold {
    userfaultfd: OwnedFd,
    page: usize,
    contents: Argument,
}

impl Hold {
    /// Returns an argument whose words are not accessible before [`Self::release`].
    ///
    /// # Errors
    ///
    /// Returns the error of the kernel.
    pub fn new(words: &[u32]) -> nix::Result<(Argument, Self)> {
        let argument = Argument::untouched(words.len())?;
        let contents = Argument::new(words)?;
        // SAFETY: this system call takes a number, and returns a new descriptor.
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

    /// Waits for an access to the argument.
    ///
    /// # Errors
    ///
    /// Returns the error of the kernel.
    pub fn wait(&self) -> nix::Result<()> {
        let mut message = [0; size_of::<uffd_msg>()];
        unistd::read(&self.userfaultfd, &mut message).map(drop)
    }

    /// Makes the argument accessible.
    ///
    /// # Errors
    ///
    /// Returns the error of the kernel.
    pub fn release(self) -> nix::Result<()> {
        let mut copy = uffdio_copy {
            dst: self.page as u64,
            src: self.contents.page.addr().get() as u64,
            len: PAGE as u64,
            mode: 0,
            copy: 0,
        };
        // SAFETY: this is the structure of this request. The filled page contains only the
        // argument.
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
        // SAFETY: this is the last word of the argument.
        assert_eq!(unsafe { argument.start().add(8).cast::<u32>().read() }, 3);
        assert!(Argument::new(&[0; 1025]).is_err());
    }
}
