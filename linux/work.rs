// SPDX-License-Identifier: GPL-2.0

//! Additions to the workqueues of the kernel crate: cancelling work, waiting for work, and work that
//! runs after the current system call.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use core::marker::PhantomData;

use kernel::{
    bindings,
    error::from_err_ptr,
    ffi,
    prelude::*,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        Arc, //
    },
    workqueue::{
        HasDelayedWork,
        HasWork,
        Work,
        WorkItem, //
    },
    ModuleMetadata, //
};

use crate::bindings as b;

/// Cancels delayed work, and waits for its end if it is running.
///
/// The work may queue itself again while this waits. Nobody else must queue it any more.
pub(crate) fn cancel_delayed_sync<T, const ID: u64>(item: &Arc<T>)
where
    T: HasDelayedWork<T, ID> + WorkItem<ID, Pointer = Arc<T>>,
{
    let raw = Arc::as_ptr(item).cast_mut();
    // SAFETY: The item is valid. By the contract of `HasDelayedWork` its work is embedded in a
    // `struct delayed_work`.
    let cancelled = unsafe {
        let work = Work::raw_get(T::raw_get_work(raw));
        bindings::cancel_delayed_work_sync(kernel::container_of!(
            work,
            bindings::delayed_work,
            work
        ))
    };
    if cancelled {
        // SAFETY: The queue owned a reference, which `run` would have taken. `run` will not be called.
        drop(unsafe { Arc::from_raw(raw.cast_const()) });
    }
}

/// Cancels work, and waits for its end if it is running. The work must not be queued again.
pub(crate) fn cancel_sync<T, const ID: u64>(item: &ARef<T>)
where
    T: AlwaysRefCounted + HasWork<T, ID> + WorkItem<ID, Pointer = ARef<T>>,
{
    // SAFETY: The item is valid.
    if unsafe { bindings::cancel_work_sync(raw_work::<T, ID>(item)) } {
        let queued = core::ptr::NonNull::from(&**item);
        // SAFETY: The queue owned a reference, which `run` would have taken. `run` will not be called.
        drop(unsafe { ARef::from_raw(queued) });
    }
}

/// Waits for the end of work that is queued or running.
pub(crate) fn flush<T, const ID: u64>(item: &T)
where
    T: AlwaysRefCounted + HasWork<T, ID> + WorkItem<ID, Pointer = ARef<T>>,
{
    // SAFETY: The item is valid.
    unsafe { bindings::flush_work(raw_work::<T, ID>(item)) };
}

fn raw_work<T: HasWork<T, ID>, const ID: u64>(item: &T) -> *mut bindings::work_struct {
    // SAFETY: The item is valid. A `work_struct` has its own lock.
    unsafe { Work::raw_get(T::raw_get_work(core::ptr::from_ref(item).cast_mut())) }
}

/// Calls `run` when the current task leaves its system call. Without memory, calls `run` at once.
///
/// A task drops the last reference to a file on its way to user space. This function creates such a
/// file, whose operations keep the module loaded.
///
/// C header: [`include/linux/anon_inodes.h`](srctree/include/linux/anon_inodes.h)
pub(crate) fn after_system_call<F: FnOnce() + Send + 'static>(run: F) {
    let Ok(place) = KBox::new_uninit(GFP_KERNEL) else {
        return run();
    };
    let run = KBox::into_raw(KBox::write(place, run));
    // SAFETY: The name is a valid string. The operations are static, and take ownership of `run`.
    let file = from_err_ptr(unsafe {
        b::anon_inode_getfile(
            c"[vfio_ap]".as_char_ptr(),
            Operations::<F>::TABLE,
            run.cast(),
            0,
        )
    });
    match file {
        // SAFETY: This function owns the only reference.
        Ok(file) => unsafe { bindings::fput(file) },
        Err(_) => {
            // SAFETY: The pointer came from a box above, and there is no file that owns it.
            let run = unsafe { KBox::from_raw(run) };
            KBox::into_inner(run)();
        }
    }
}

/// The operations of a file that calls `F` when it is released.
struct Operations<F>(PhantomData<F>);

impl<F: FnOnce() + Send + 'static> Operations<F> {
    const TABLE: &'static bindings::file_operations = &bindings::file_operations {
        owner: <crate::LocalModule as ModuleMetadata>::THIS_MODULE.as_ptr(),
        release: Some(Self::release),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// Called once for a file that [`after_system_call`] has created.
    unsafe extern "C" fn release(_: *mut bindings::inode, file: *mut bindings::file) -> ffi::c_int {
        // SAFETY: The file owns the box, and is released once.
        let run = unsafe { KBox::from_raw((*file).private_data.cast::<F>()) };
        KBox::into_inner(run)();
        0
    }
}
