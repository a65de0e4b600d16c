// SPDX-License-Identifier: GPL-2.0

//! Files without a name, which user space reads or writes as a stream.
//!
//! C header: [`include/linux/anon_inodes.h`](srctree/include/linux/anon_inodes.h)

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    error::{
        from_err_ptr,
        from_result, //
    },
    ffi,
    fs::File,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        ArcBorrow, //
    },
    types::ForeignOwnable,
    uaccess::{
        UserPtr,
        UserSlice,
        UserSliceReader,
        UserSliceWriter, //
    },
    ModuleMetadata, //
};

use crate::bindings as b;

/// The contents of a stream.
pub(crate) trait Stream: Send + Sync + 'static {
    /// The name of the file, for `/proc/*/fd`.
    const NAME: &'static CStr;

    /// Called to read from the stream. Returns the number of bytes that were written to `user`.
    ///
    /// # Errors
    ///
    /// An error is the result of the system call.
    fn read(&self, user: &mut UserSliceWriter) -> Result<usize>;

    /// Called to write to the stream. Returns the number of bytes that were read from `user`.
    ///
    /// # Errors
    ///
    /// An error is the result of the system call.
    fn write(&self, user: &mut UserSliceReader) -> Result<usize>;
}

/// The direction of a stream.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    /// User space reads.
    Read,
    /// User space writes.
    Write,
}

/// Creates a file of a stream. The file owns the reference to the stream.
///
/// # Errors
///
/// `ENOMEM` if there is no memory, and `ENFILE` if the system has too many files.
pub(crate) fn open<S: Stream>(stream: Arc<S>, direction: Direction) -> Result<ARef<File>> {
    let flags = match direction {
        Direction::Read => bindings::O_RDONLY,
        Direction::Write => bindings::O_WRONLY,
    };
    let data = stream.into_foreign();
    // SAFETY: The name is a static string. The operations are static, and are those for an `Arc<S>`,
    // which `data` is.
    let file = from_err_ptr(unsafe {
        b::anon_inode_getfile(
            S::NAME.as_char_ptr(),
            Operations::<S>::TABLE,
            data,
            flags as ffi::c_int,
        )
    });
    let file = match file.map(NonNull::new) {
        Ok(Some(file)) => file,
        failure => {
            // SAFETY: No file was created, so nothing else owns `data`.
            drop(unsafe { Arc::<S>::from_foreign(data) });
            return Err(failure.err().unwrap_or(ENOMEM));
        }
    };
    // SAFETY: The file was created above, and is not shared yet. The reference is passed on. `ARef` of
    // `File` requires that no `fdget_pos` call of it is active, and it has no descriptor.
    unsafe {
        bindings::stream_open(core::ptr::null_mut(), file.as_ptr());
        Ok(ARef::from_raw(file.cast()))
    }
}

/// The operations of a file with an `Arc<S>`.
struct Operations<S>(PhantomData<S>);

impl<S: Stream> Operations<S> {
    const TABLE: &'static bindings::file_operations = &bindings::file_operations {
        // The file holds a reference to the module until after `release`.
        owner: <crate::LocalModule as ModuleMetadata>::THIS_MODULE.as_ptr(),
        read: Some(Self::read),
        write: Some(Self::write),
        release: Some(Self::release),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `file` must be a file that [`open`] has created, and that is not released.
    unsafe fn stream<'a>(file: *mut bindings::file) -> ArcBorrow<'a, S> {
        // SAFETY: By the safety requirement. The file owns the reference until it is released.
        unsafe { Arc::<S>::borrow((*file).private_data) }
    }

    /// # Safety
    ///
    /// Called by the kernel to read from an open file.
    unsafe extern "C" fn read(
        file: *mut bindings::file,
        buffer: *mut ffi::c_char,
        length: usize,
        _position: *mut bindings::loff_t,
    ) -> isize {
        // SAFETY: The file is open.
        let stream = unsafe { Self::stream(file) };
        let mut user = UserSlice::new(UserPtr::from_ptr(buffer.cast()), length).writer();
        from_result(|| Ok(stream.read(&mut user)? as isize))
    }

    /// # Safety
    ///
    /// Called by the kernel to write to an open file.
    unsafe extern "C" fn write(
        file: *mut bindings::file,
        buffer: *const ffi::c_char,
        length: usize,
        _position: *mut bindings::loff_t,
    ) -> isize {
        // SAFETY: The file is open.
        let stream = unsafe { Self::stream(file) };
        let mut user = UserSlice::new(UserPtr::from_ptr(buffer.cast_mut().cast()), length).reader();
        from_result(|| Ok(stream.write(&mut user)? as isize))
    }

    /// # Safety
    ///
    /// Called by the kernel to release a file, as the last callback.
    unsafe extern "C" fn release(
        _inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> ffi::c_int {
        // SAFETY: The file owns the reference, and nothing uses it after this call.
        drop(unsafe { Arc::<S>::from_foreign((*file).private_data) });
        0
    }
}
