// SPDX-License-Identifier: GPL-2.0

//! What the kernel crate does not have yet: an end to delayed work.

use kernel::{
    bindings,
    sync::Arc,
    workqueue::{
        HasDelayedWork,
        Work,
        WorkItem, //
    }, //
};

/// Takes work off its queue, or waits for its end if it is running. It may queue itself again
/// until this returns, and must not be queued by anybody else.
pub(crate) fn cancel_sync<T>(item: &Arc<T>)
where
    T: HasDelayedWork<T> + WorkItem<Pointer = Arc<T>>,
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
