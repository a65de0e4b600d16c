// SPDX-License-Identifier: GPL-2.0

//! What the kernel crate does not have yet: an end to work, a wait for it, and what is done
//! after a system call.
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

/// Takes delayed work off its queue, or waits for its end if it is running. It may queue itself again
/// until this returns, and must not be queued by anybody else.
pub(crate) fn cancel_delayed_sync<T, const ID: u64>(item: &Arc<T>)
where
    T: HasDelayedWork<T, ID> + WorkItem<ID, Pointer = Arc<T>>,
{
    let raw = Arc::as_ptr(item).cast_mut();
    // SAFETY: The item is valid, and by the contract of `HasDelayedWork` its work is that of a
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
        // SAFETY: Queueing gave a count to the queue, for `run` to take. `run` will not be called.
        drop(unsafe { Arc::from_raw(raw.cast_const()) });
    }
}

/// Takes work off its queue, or waits for its end if it is running. It must not be queued again.
pub(crate) fn cancel_sync<T, const ID: u64>(item: &ARef<T>)
where
    T: AlwaysRefCounted + HasWork<T, ID> + WorkItem<ID, Pointer = ARef<T>>,
{
    // SAFETY: The item is valid.
    if unsafe { bindings::cancel_work_sync(raw_work::<T, ID>(item)) } {
        let queued = core::ptr::NonNull::from(&**item);
        // SAFETY: Queueing gave a count to the queue, for `run` to take. `run` will not be called.
        drop(unsafe { ARef::from_raw(queued) });
    }
}

/// Waits until work that is queued or running has ended. Returns at once if there is none.
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

/// Has `run` called when the current task has left the system call that it is in. Without memory for
/// that, `run` is called at once.
///
/// The last reference to a file is given back by a task on its way to user space, so a file is made,
/// and given back: its operations keep the module until they have returned.
///
/// C header: [`include/linux/anon_inodes.h`](srctree/include/linux/anon_inodes.h)
pub(crate) fn after_system_call<F: FnOnce() + Send + 'static>(run: F) {
    let Ok(place) = KBox::new_uninit(GFP_KERNEL) else {
        return run();
    };
    let run = KBox::into_raw(KBox::write(place, run));
    // SAFETY: The name is a string. The operations are static, and take `run` over.
    let file = from_err_ptr(unsafe {
        b::anon_inode_getfile(
            c"[vfio_ap]".as_char_ptr(),
            Operations::<F>::TABLE,
            run.cast(),
            0,
        )
    });
    match file {
        // SAFETY: The one reference is ours.
        Ok(file) => unsafe { bindings::fput(file) },
        Err(_) => {
            // SAFETY: It came out of a box just now, and nobody else has it.
            let run = unsafe { KBox::from_raw(run) };
            KBox::into_inner(run)();
        }
    }
}

/// The operations of a file that does something when it goes.
struct Operations<F>(PhantomData<F>);

impl<F: FnOnce() + Send + 'static> Operations<F> {
    const TABLE: &'static bindings::file_operations = &bindings::file_operations {
        owner: <crate::LocalModule as ModuleMetadata>::THIS_MODULE.as_ptr(),
        release: Some(Self::release),
        ..pin_init::zeroed()
    };

    extern "C" fn release(_: *mut bindings::inode, file: *mut bindings::file) -> ffi::c_int {
        // SAFETY: The file was made with it, and is released once.
        let run = unsafe { KBox::from_raw((*file).private_data.cast::<F>()) };
        KBox::into_inner(run)();
        0
    }
}
