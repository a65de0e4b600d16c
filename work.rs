// SPDX-License-Identifier: GPL-2.0

//! What the kernel crate does not have yet: an end to work, and a wait for it.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use kernel::{
    bindings,
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
    }, //
};

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
