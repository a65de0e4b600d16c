// SPDX-License-Identifier: GPL-2.0

//! Read-only files in debugfs that keep this module loaded while they are open.
//!
//! Owns directories and files in debugfs, and the file operations. Knows nothing about what is
//! written to the files.
//!
//! The kernel crate has an abstraction for debugfs, but its file operations do not name their owner.
//! So a module can be unloaded while a file of it is open, and closing the file calls into memory
//! that is gone; see `Documentation/upstream.rst`. What is written is a [`Writer`] of the kernel
//! crate.
//!
//! What is not supported: files that can be written, binary files, and directories in directories.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use core::marker::PhantomData;

use kernel::{
    bindings,
    debugfs::Writer,
    ffi,
    fmt,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::Arc,
    ModuleMetadata, //
};

/// An entry, until this is dropped.
///
/// # Invariants
///
/// `dentry` is NULL, an error pointer, or an entry that this owns. What the entry belongs to is
/// still there: `_parent`, if it is not the root.
struct Entry {
    dentry: *mut bindings::dentry,
    _parent: Option<Arc<Entry>>,
}

// SAFETY: An entry can be removed by any thread.
unsafe impl Send for Entry {}
// SAFETY: debugfs has its own locks.
unsafe impl Sync for Entry {}

impl Drop for Entry {
    /// Waits for those who are reading.
    fn drop(&mut self) {
        // SAFETY: By the type invariant. NULL and error pointers are ignored.
        #[cfg(CONFIG_DEBUG_FS)]
        unsafe {
            bindings::debugfs_remove(self.dentry)
        }
    }
}

/// A directory, which is there until this and all [`File`]s in it are dropped.
///
/// Nothing depends on files for debugging: without memory, or without debugfs, there are none.
pub(crate) struct Dir(Option<Arc<Entry>>);

impl Dir {
    /// Makes a directory in the root of debugfs.
    pub(crate) fn new(name: &CStr) -> Self {
        // SAFETY: The name is a string, and copied. NULL stands for the root.
        #[cfg(CONFIG_DEBUG_FS)]
        let dentry =
            unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), core::ptr::null_mut()) };
        #[cfg(not(CONFIG_DEBUG_FS))]
        let dentry = core::ptr::null_mut();

        // INVARIANT: It is in the root, and ours.
        let entry = Entry {
            dentry,
            _parent: None,
        };
        Self(Arc::new(entry, GFP_KERNEL).ok())
    }

    /// Makes a file in this directory that root can read. Whoever reads it gets what `data` writes
    /// at that time.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is no memory for `data`, or was none for the directory. That there is none
    /// for the file is not seen.
    pub(crate) fn read_only_file<T>(&self, name: &CStr, data: T) -> Result<File<T>>
    where
        T: Writer + Send + Sync + 'static,
    {
        let parent = self.0.clone().ok_or(ENOMEM)?;
        let data = KBox::new(data, GFP_KERNEL)?;
        // SAFETY: The name is a string, and copied. By its invariant, `parent` is what
        // `debugfs_create_dir` has returned. The operations are those for a `T`; they are static,
        // and what is behind `data` stays until the file is removed.
        #[cfg(CONFIG_DEBUG_FS)]
        let dentry = unsafe {
            bindings::debugfs_create_file_full(
                name.as_char_ptr(),
                0o400,
                parent.dentry,
                core::ptr::from_ref(&*data).cast_mut().cast(),
                core::ptr::null(),
                Operations::<T>::TABLE,
            )
        };
        #[cfg(not(CONFIG_DEBUG_FS))]
        let dentry = core::ptr::null_mut();

        // INVARIANT: It is in `parent`, and ours.
        let entry = Entry {
            dentry,
            _parent: Some(parent),
        };
        Ok(File {
            _entry: entry,
            _data: data,
        })
    }
}

/// A file, until this is dropped.
pub(crate) struct File<T> {
    /// First: nobody reads `_data` when this has been dropped.
    _entry: Entry,
    _data: KBox<T>,
}

/// The operations of a file with a `T`.
struct Operations<T>(PhantomData<T>);

#[cfg_attr(not(CONFIG_DEBUG_FS), expect(dead_code))]
impl<T: Writer + Sync + 'static> Operations<T> {
    const TABLE: &'static bindings::file_operations = &bindings::file_operations {
        // debugfs takes a count of the module when the file is opened, and gives it back after
        // `release`.
        owner: <crate::LocalModule as ModuleMetadata>::THIS_MODULE.as_ptr(),
        open: Some(Self::open),
        read: Some(bindings::seq_read),
        llseek: Some(bindings::seq_lseek),
        release: Some(bindings::single_release),
        ..pin_init::zeroed()
    };

    extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> ffi::c_int {
        // SAFETY: debugfs opens a file with this table, and its inode has what
        // `debugfs_create_file_full` was given.
        unsafe { bindings::single_open(file, Some(Self::show), (*inode).i_private) }
    }

    extern "C" fn show(seq: *mut bindings::seq_file, _: *mut ffi::c_void) -> ffi::c_int {
        // SAFETY: `open` has given a `T` to the `seq_file`, which only this thread has. debugfs
        // calls `seq_read` and `seq_lseek` for files only that have not been removed, and removing a
        // file waits for such calls.
        let (seq_file, data) = unsafe { (SeqFile::from_raw(seq), &*(*seq).private.cast::<T>()) };
        seq_print!(seq_file, "{}", Shown(data));
        0
    }
}

/// Shows what a [`Writer`] writes.
struct Shown<'a, T>(&'a T);

impl<T: Writer> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f)
    }
}
