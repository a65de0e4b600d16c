// SPDX-License-Identifier: GPL-2.0

//! VFIO devices with an emulated IOMMU.
//!
//! Owns the life of `struct vfio_device` with a driver's data behind it, and the callbacks. Knows
//! nothing about what the driver does.
//!
//! C header: [`include/linux/vfio.h`](srctree/include/linux/vfio.h)

use core::{
    marker::PhantomData,
    mem::offset_of,
    ops::Deref,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    device,
    error::{
        from_err_ptr,
        from_result,
        to_result, //
    },
    ffi,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Refcount, //
    },
    types::Opaque,
    uaccess::UserPtr,
    workqueue::{
        HasWork,
        Work, //
    }, //
};

use crate::{
    bindings as b,
    linux::kvm::Kvm, //
};

/// A `struct vfio_device` and the driver's data, in one allocation that the VFIO core owns.
///
/// The VFIO core gives its last reference back when it likes: the module may have been unloaded by
/// then, as who has the character device open, and no virtual machine, holds no count of the module.
/// So the core must find nothing of the module in the allocation. The references of Rust code have a
/// count of their own, `inner` goes with the last of them, and `ops` lives as long as `raw`.
///
/// # Invariants
///
/// - `raw` is first. It is initialised, and refers to `ops`, which has no `release`.
/// - As long as `references` is not zero, `inner` is initialised and pinned, and Rust code owns one
///   count of `raw`.
#[repr(C)]
pub(crate) struct Device<T: Driver> {
    raw: Opaque<b::vfio_device>,
    ops: b::vfio_device_ops,
    references: Refcount,
    inner: Inner<T>,
}

#[pin_data]
struct Inner<T> {
    /// How many pages are pinned, from before they are until they are no longer.
    pins: Atomic<u32>,
    #[pin]
    data: T,
    /// What the device was made for.
    parent: ARef<device::Device>,
}

// SAFETY: The C part has its own locks; `Driver` requires the rest to be `Send + Sync`.
unsafe impl<T: Driver> Send for Device<T> {}
// SAFETY: As above.
unsafe impl<T: Driver> Sync for Device<T> {}

// SAFETY: By the type invariant, the device stays as long as `references` is not zero.
unsafe impl<T: Driver> AlwaysRefCounted for Device<T> {
    fn inc_ref(&self) {
        self.references.inc();
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        let device = obj.as_ptr();
        // SAFETY: The caller owns a count.
        if unsafe { (*device).references.dec_and_test() } {
            // SAFETY: It was the last count, so nobody refers to `inner` any more. The count of
            // `raw` is ours by the type invariant. The memory may be gone after that.
            unsafe {
                core::ptr::drop_in_place(&raw mut (*device).inner);
                bindings::put_device(&raw mut (*(*device).raw.get()).device);
            }
        }
    }
}

impl<T: Driver> Deref for Device<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner.data
    }
}

/// A driver for emulated VFIO devices.
pub(crate) trait Driver: Sized + Send + Sync + 'static {
    /// Its name.
    const NAME: &'static CStr;

    /// The data of a new device.
    fn new() -> impl PinInit<Self, Error>;

    /// The first user opens the device.
    fn open(device: &Device<Self>, kvm: Option<Kvm>) -> Result;

    /// The last user closes the device.
    fn close(device: &Device<Self>);

    /// A request by the user.
    fn ioctl(device: &Device<Self>, cmd: u32, arg: UserPtr) -> Result<isize>;

    /// Addresses go away: no page of them may stay pinned.
    fn dma_unmap(device: &Device<Self>, iova: u64, length: u64);

    /// The device is wanted back, for the `count`-th time.
    fn request(device: &Device<Self>, count: u32);
}

struct Callbacks<T>(PhantomData<T>);

impl<T: Driver> Callbacks<T> {
    /// What is copied to each device.
    const OPS: &'static b::vfio_device_ops = &b::vfio_device_ops {
        name: kernel::str::as_char_ptr_in_const_context(T::NAME).cast_mut(),
        open_device: Some(Self::open_device),
        close_device: Some(Self::close_device),
        ioctl: Some(Self::ioctl),
        dma_unmap: Some(Self::dma_unmap),
        request: Some(Self::request),
        #[cfg(CONFIG_IOMMUFD)]
        bind_iommufd: Some(b::vfio_iommufd_emulated_bind),
        #[cfg(CONFIG_IOMMUFD)]
        unbind_iommufd: Some(b::vfio_iommufd_emulated_unbind),
        #[cfg(CONFIG_IOMMUFD)]
        attach_ioas: Some(b::vfio_iommufd_emulated_attach_ioas),
        #[cfg(CONFIG_IOMMUFD)]
        detach_ioas: Some(b::vfio_iommufd_emulated_detach_ioas),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `raw` must be a device that [`NewDevice::new`] has made, and be registered.
    unsafe fn device<'a>(raw: *mut b::vfio_device) -> &'a Device<T> {
        // SAFETY: By the safety requirement: `Registration` has a reference to it.
        unsafe { &*raw.cast() }
    }

    // What the VFIO core promises to its callbacks is documented for `struct vfio_device_ops`.

    extern "C" fn open_device(raw: *mut b::vfio_device) -> ffi::c_int {
        // SAFETY: The device is registered; the core keeps the VM while the device is open.
        let (device, kvm) = unsafe {
            (
                Self::device(raw),
                NonNull::new((*raw).kvm).map(|kvm| Kvm::get(kvm)),
            )
        };
        from_result(|| T::open(device, kvm).map(|()| 0))
    }

    extern "C" fn close_device(raw: *mut b::vfio_device) {
        // SAFETY: The device is open.
        T::close(unsafe { Self::device(raw) });
    }

    extern "C" fn ioctl(
        raw: *mut b::vfio_device,
        cmd: ffi::c_uint,
        arg: ffi::c_ulong,
    ) -> ffi::c_long {
        // SAFETY: The device is open.
        let device = unsafe { Self::device(raw) };
        from_result(|| T::ioctl(device, cmd, UserPtr::from_addr(arg)))
    }

    extern "C" fn dma_unmap(raw: *mut b::vfio_device, iova: u64, length: u64) {
        // SAFETY: The device is open.
        T::dma_unmap(unsafe { Self::device(raw) }, iova, length);
    }

    extern "C" fn request(raw: *mut b::vfio_device, count: ffi::c_uint) {
        // SAFETY: The device is being unregistered, which waits for its users.
        T::request(unsafe { Self::device(raw) }, count);
    }
}

/// A device that users do not know yet.
pub(crate) struct NewDevice<T: Driver>(ARef<Device<T>>);

impl<T: Driver> NewDevice<T> {
    /// Makes a device.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of [`Driver::new`].
    ///
    /// # Safety
    ///
    /// `parent` must be valid, and stay in sysfs until the device is unregistered.
    pub(crate) unsafe fn new(parent: *mut bindings::device) -> Result<Self> {
        const {
            assert!(offset_of!(Device<T>, raw) == 0);
            // What the VFIO core allocates by.
            assert!(align_of::<Device<T>>() <= bindings::ARCH_KMALLOC_MINALIGN);
        }
        let ops = Callbacks::<T>::OPS;
        // SAFETY: By the safety requirement. Until the device has its own, the operations are the
        // static ones, of which nothing is called here.
        let raw =
            from_err_ptr(unsafe { b::_vfio_alloc_device(size_of::<Device<T>>(), parent, ops) })?;
        let inner = try_pin_init!(Inner {
            pins: Atomic::new(0),
            data <- T::new(),
            // SAFETY: Valid by the safety requirement.
            parent: unsafe { device::Device::get_device(parent) },
        }? Error);
        let device = raw.cast::<Device<T>>();
        // SAFETY: The allocation has the size of `Device<T>`, and nobody else knows it. Its rest is
        // zeroed, and not initialised.
        unsafe {
            (&raw mut (*device).ops).write(*ops);
            (*raw).ops = &raw const (*device).ops;
            (&raw mut (*device).references).write(Refcount::new(1));
            if let Err(error) = pin_init::raw_try_init(&raw mut (*device).inner, inner) {
                bindings::put_device(&raw mut (*raw).device);
                return Err(error);
            }
        }
        let device = NonNull::new(device).ok_or(ENOMEM)?;
        // INVARIANT: `references` is 1, and the count of `raw` is the one that it was made with.
        // SAFETY: All is initialised, and the count is ours.
        Ok(Self(unsafe { ARef::from_raw(device) }))
    }

    /// The device.
    pub(crate) fn device(&self) -> &ARef<Device<T>> {
        &self.0
    }

    /// Makes it known to users.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and others as the driver core has them.
    pub(crate) fn register(self) -> Result<Registration<T>> {
        // SAFETY: Initialised. It has not been registered before: this takes a `NewDevice`, and
        // there is one for each device.
        to_result(unsafe { b::vfio_register_emulated_iommu_dev(self.0.raw.get()) })?;
        // INVARIANT: Just registered.
        Ok(Registration(self.0))
    }
}

impl<T: Driver> Device<T> {
    /// The device that this one was made for.
    pub(crate) fn parent(&self) -> &device::Device {
        &self.inner.parent
    }

    /// How many pages are pinned, or are just being so, or were until just now.
    pub(crate) fn pins(&self) -> usize {
        self.inner.pins.load(Acquire) as usize
    }

    /// Returns true if the user's memory is that of a container, and not of an iommufd.
    ///
    /// A container calls [`Driver::dma_unmap`] again, up to ten times, as long as pages are pinned, and
    /// holds a lock over the call for which others may wait with the lock that pinning takes. An iommufd
    /// holds no lock that pinning takes, and may call only once.
    pub(crate) fn is_in_container(&self) -> bool {
        // SAFETY: The device is valid. The field is set while the user attaches memory, before which
        // nothing can be pinned.
        unsafe { (*self.raw.get()).iommufd_access.is_null() }
    }

    /// Tells user space, by a uevent of that device, that something about it has changed; `what` is
    /// a variable of the event with its value.
    pub(crate) fn announce_change(&self, what: &'static CStr) {
        let mut variables = [what.as_char_ptr().cast_mut(), core::ptr::null_mut()];
        // SAFETY: `dev` is the parent, to which we have a reference. The list ends with NULL, and is
        // only read.
        //
        // An event that is lost for want of memory is not an error of what it tells about.
        unsafe {
            bindings::kobject_uevent_env(
                &raw mut (*(*self.raw.get()).dev).kobj,
                bindings::kobject_action_KOBJ_CHANGE,
                variables.as_mut_ptr(),
            )
        };
    }
}

/// A page of the user's memory that is pinned until this is dropped; which has to be before the user has
/// closed the device: [`Device::pins`] tells.
///
/// # Invariants
///
/// The page at `iova`, a multiple of the size of a page, is pinned for `device`, and one pin is ours,
/// which `pins` counts.
pub(crate) struct PinnedPage<T: Driver> {
    device: ARef<Device<T>>,
    iova: u64,
    page: NonNull<bindings::page>,
}

// SAFETY: The page is pinned, wherever this is; a device is `Send` and `Sync`.
unsafe impl<T: Driver> Send for PinnedPage<T> {}
// SAFETY: As above.
unsafe impl<T: Driver> Sync for PinnedPage<T> {}

impl<T: Driver> PinnedPage<T> {
    /// Pins the page of an address of the user, for reading and writing.
    ///
    /// The backends look for what overlaps the bytes behind the address that they are given. So that
    /// has to be the address of the page: behind another one, part of the next mapping would be taken
    /// for it.
    ///
    /// Takes locks of the IOMMU backend: must not be called with a lock that [`Driver::dma_unmap`]
    /// takes.
    ///
    /// # Errors
    ///
    /// `EFAULT` if there is no such page; others as the backend has it.
    pub(crate) fn new(device: &Device<T>, address: u64) -> Result<Self> {
        let iova = page_of(address);
        device.inner.pins.fetch_add(1, Relaxed);
        let mut page = core::ptr::null_mut();
        // SAFETY: The device is valid; there is room for the one page that is asked for.
        let pinned = unsafe {
            b::vfio_pin_pages(
                device.raw.get(),
                iova,
                1,
                (b::IOMMU_READ | b::IOMMU_WRITE) as ffi::c_int,
                &mut page,
            )
        };
        match NonNull::new(page) {
            // INVARIANT: Pinned just now, and counted before that.
            Some(page) if pinned == 1 => Ok(Self {
                device: device.into(),
                iova,
                page,
            }),
            _ => {
                device.inner.pins.fetch_sub(1, Relaxed);
                to_result(pinned)?;
                Err(EFAULT)
            }
        }
    }

    /// The address of the page that the user has for it.
    pub(crate) fn iova(&self) -> u64 {
        self.iova
    }

    /// The device that it is pinned for.
    pub(crate) fn device(&self) -> &ARef<Device<T>> {
        &self.device
    }

    /// Makes sure that a page of a protected guest is shared with the host.
    ///
    /// # Errors
    ///
    /// As the ultravisor has it: the page is not shared.
    pub(crate) fn ensure_shared(&self) -> Result {
        // SAFETY: The page is pinned.
        to_result(unsafe { b::uv_pin_shared(b::vfio_ap_page_to_phys(self.page.as_ptr()) as usize) })
    }

    /// Holds the frame of the page beyond the time for which it is pinned.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the frame cannot be held, as it is not one of ordinary memory.
    pub(crate) fn hold_frame(&self) -> Result<Frame> {
        // SAFETY: The page is pinned, and so valid.
        if unsafe { b::vfio_ap_try_hold_page(self.page.as_ptr()) } {
            // INVARIANT: A reference was taken just now.
            Ok(Frame(self.page))
        } else {
            Err(EFAULT)
        }
    }
}

impl<T: Driver> Drop for PinnedPage<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { b::vfio_unpin_pages(self.device.raw.get(), self.iova, 1) };
        self.device.inner.pins.fetch_sub(1, Release);
    }
}

/// The address of the page of an address.
pub(crate) fn page_of(address: u64) -> u64 {
    address & !(PAGE_SIZE as u64 - 1)
}

/// A page frame that is nobody else's memory until this is dropped, whatever becomes of the memory of
/// the user that it belongs to.
///
/// # Invariants
///
/// A reference to the page is owned.
pub(crate) struct Frame(NonNull<bindings::page>);

// SAFETY: References of pages are counted.
unsafe impl Send for Frame {}
// SAFETY: As above.
unsafe impl Sync for Frame {}

impl Frame {
    /// The absolute address of the frame.
    pub(crate) fn address(&self) -> u64 {
        // SAFETY: By the type invariant.
        unsafe { b::vfio_ap_page_to_phys(self.0.as_ptr()) }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { b::vfio_ap_release_page(self.0.as_ptr()) };
    }
}

/// A driver whose data has a work item, which runs with the device. See [`embed_work`].
///
/// # Safety
///
/// `OFFSET` is that of a `Work<Device<Self>, ID>` in `Self`.
pub(crate) unsafe trait EmbedsWork<const ID: u64>: Driver {
    const OFFSET: usize;
}

/// Says in which field of its data a driver has a work item.
macro_rules! embed_work {
    ($data:ty, $id:literal, $field:ident) => {
        // SAFETY: The reference builds only if the field is of the right type.
        unsafe impl $crate::linux::vfio::EmbedsWork<$id> for $data {
            const OFFSET: usize = {
                const _: fn(
                    &$data,
                )
                    -> &::kernel::workqueue::Work<$crate::linux::vfio::Device<$data>, $id> =
                    |data| &data.$field;
                ::core::mem::offset_of!($data, $field)
            };
        }
    };
}
pub(crate) use embed_work;

impl<T: Driver> Device<T> {
    const fn work_offset<const ID: u64>() -> usize
    where
        T: EmbedsWork<ID>,
    {
        offset_of!(Self, inner) + offset_of!(Inner<T>, data) + T::OFFSET
    }
}

// SAFETY: Both add the same number, one to an address and the other one from it.
unsafe impl<T: EmbedsWork<ID>, const ID: u64> HasWork<Self, ID> for Device<T> {
    unsafe fn raw_get_work(ptr: *mut Self) -> *mut Work<Self, ID> {
        // SAFETY: The pointer is valid, and the work item is in it by the contract of `EmbedsWork`.
        unsafe { ptr.byte_add(Self::work_offset::<ID>()).cast() }
    }

    unsafe fn work_container_of(ptr: *mut Work<Self, ID>) -> *mut Self {
        // SAFETY: The work item is in a device, by the contract of this function.
        unsafe { ptr.byte_sub(Self::work_offset::<ID>()).cast() }
    }
}

/// A device that users can open, until this is dropped.
///
/// # Invariants
///
/// The device is registered.
pub(crate) struct Registration<T: Driver>(ARef<Device<T>>);

impl<T: Driver> Registration<T> {
    /// The device.
    pub(crate) fn device(&self) -> &ARef<Device<T>> {
        &self.0
    }
}

impl<T: Driver> Drop for Registration<T> {
    /// Waits until there is no user any more, and asks for that by [`Driver::request`].
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { b::vfio_unregister_group_dev(self.0.raw.get()) }
    }
}
