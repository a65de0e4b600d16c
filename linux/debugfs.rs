// SPDX-License-Identifier: GPL-2.0

//! Read-only files in debugfs that keep this module loaded while they are open.
//!
//! Owns directories and files in debugfs, and the file operations. The text of a file comes from a
//! [`Writer`] of the kernel crate.
//!
//! The kernel crate has an abstraction of debugfs, but its file operations have no owner. A module can
//! be unloaded while a file of it is open, and closing that file calls freed memory. See
//! `Documentation/upstream.rst`.
//!
//! Not supported: writable files, binary files, and nested directories.
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

/// An entry of debugfs. Dropping it removes the entry.
///
/// # Invariants
///
/// `dentry` is NULL, an error pointer, or an entry that is owned by this object. `_parent` owns the
/// directory of the entry; it is [`None`] for entries in the root.
struct Entry {
    dentry: *mut bindings::dentry,
    _parent: Option<Arc<Entry>>,
}

// SAFETY: An entry can be removed by any thread.
unsafe impl Send for Entry {}
// SAFETY: debugfs has its own locks.
unsafe impl Sync for Entry {}

impl Drop for Entry {
    /// Removes the entry, and waits until nobody reads it.
    fn drop(&mut self) {
        // SAFETY: By the type invariant. NULL and error pointers are ignored.
        #[cfg(CONFIG_DEBUG_FS)]
        unsafe {
            bindings::debugfs_remove(self.dentry)
        }
    }
}

/// A directory. It is removed when this object and all [`File`]s in it have been dropped.
///
/// Failures are ignored, as by other users of debugfs: without memory, or without debugfs, there is no
/// directory.
pub(crate) struct Dir(Option<Arc<Entry>>);

impl Dir {
    /// Creates a directory in the root of debugfs.
    pub(crate) fn new(name: &CStr) -> Self {
        // SAFETY: The name is a valid string, and is copied. NULL stands for the root.
        #[cfg(CONFIG_DEBUG_FS)]
        let dentry =
            unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), core::ptr::null_mut()) };
        #[cfg(not(CONFIG_DEBUG_FS))]
        let dentry = core::ptr::null_mut();

        // INVARIANT: The entry was created above, in the root.
        let entry = Entry {
            dentry,
            _parent: None,
        };
        Self(Arc::new(entry, GFP_KERNEL).ok())
    }

    /// Creates a file in this directory that root can read. Each read calls `data`.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is no memory for `data`, or if there was none for the directory. A failure of
    /// debugfs to create the file is ignored.
    pub(crate) fn read_only_file<T>(&self, name: &CStr, data: T) -> Result<File<T>>
    where
        T: Writer + Send + Sync + 'static,
    {
        let parent = self.0.clone().ok_or(ENOMEM)?;
        let data = KBox::new(data, GFP_KERNEL)?;
        // SAFETY: The name is a valid string, and is copied. `parent.dentry` was returned by
        // `debugfs_create_dir`. The operations are static and are those for a `T`. `data` is dropped
        // after the file has been removed.
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

        // INVARIANT: The entry was created above, in `parent`.
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

/// A file. Dropping it removes the file.
pub(crate) struct File<T> {
    /// Dropped first. Nobody reads `_data` after that.
    _entry: Entry,
    _data: KBox<T>,
}

/// The operations of a file with a `T`.
struct Operations<T>(PhantomData<T>);

#[cfg_attr(not(CONFIG_DEBUG_FS), expect(dead_code))]
impl<T: Writer + Sync + 'static> Operations<T> {
    const TABLE: &'static bindings::file_operations = &bindings::file_operations {
        // debugfs holds a reference to the module from opening a file until after `release`.
        owner: <crate::LocalModule as ModuleMetadata>::THIS_MODULE.as_ptr(),
        open: Some(Self::open),
        read: Some(bindings::seq_read),
        llseek: Some(bindings::seq_lseek),
        release: Some(bindings::single_release),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// Called by debugfs to open a file that [`Dir::read_only_file`] has created.
    unsafe extern "C" fn open(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> ffi::c_int {
        // SAFETY: `i_private` of the inode is the pointer that was passed to
        // `debugfs_create_file_full`.
        unsafe { bindings::single_open(file, Some(Self::show), (*inode).i_private) }
    }

    /// # Safety
    ///
    /// Called by `seq_read` for a file that [`Self::open`] has opened.
    unsafe extern "C" fn show(seq: *mut bindings::seq_file, _: *mut ffi::c_void) -> ffi::c_int {
        // SAFETY: `private` is the `T` that `open` has passed, and only this thread uses the
        // `seq_file`. debugfs calls `seq_read` and `seq_lseek` only while a file exists, and removing
        // a file waits for such calls.
        let (seq_file, data) = unsafe { (SeqFile::from_raw(seq), &*(*seq).private.cast::<T>()) };
        seq_print!(seq_file, "{}", Shown(data));
        0
    }
}

/// Displays the text of a [`Writer`].
struct Shown<'a, T>(&'a T);

impl<T: Writer> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f)
    }
}
