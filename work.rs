// SPDX-License-Identifier: GPL-2.0

//! What the kernel crate does not have yet: an end to work, a wait for it, and work of a task.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        Arc, //
    },
    task::Task,
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

/// What runs when a task returns to user space.
#[repr(C)]
struct OnReturn<F> {
    /// First, so that a pointer to it is a pointer to all.
    head: bindings::callback_head,
    run: F,
}

/// Has `run` called when the current task returns to user space, or ends.
///
/// C header: [`include/linux/task_work.h`](srctree/include/linux/task_work.h)
///
/// # Errors
///
/// `ESRCH` if the task never returns: it is one of the kernel's, or is ending. `ENOMEM`. Then `run` is
/// not called.
pub(crate) fn on_return_to_user<F: FnOnce() + Send + 'static>(run: F) -> Result {
    extern "C" fn call<F: FnOnce()>(head: *mut bindings::callback_head) {
        // SAFETY: The head is the first field of what came out of a box, and is called once.
        let it = unsafe { KBox::from_raw(head.cast::<OnReturn<F>>()) };
        (KBox::into_inner(it).run)();
    }

    // SAFETY: The current task is valid. Only the task itself sets the flags that are asked for.
    let flags = unsafe { (*Task::current_raw()).flags };
    if flags & bindings::PF_KTHREAD != 0 {
        return Err(ESRCH);
    }
    let head = bindings::callback_head {
        next: core::ptr::null_mut(),
        func: Some(call::<F>),
    };
    let it = KBox::into_raw(KBox::new(OnReturn { head, run }, GFP_KERNEL)?);
    // SAFETY: The task is the current one. The head is valid until it is called.
    let added = to_result(unsafe {
        bindings::task_work_add(
            Task::current_raw(),
            it.cast(),
            bindings::task_work_notify_mode_TWA_RESUME,
        )
    });
    if added.is_err() {
        // SAFETY: It came out of a box just now, and nobody else has it.
        drop(unsafe { KBox::from_raw(it) });
    }
    added
}
