// SPDX-License-Identifier: GPL-2.0

//! VFIO devices with an emulated IOMMU.
//!
//! Owns the life of `struct vfio_device` with a driver's data behind it, and the callbacks. Knows
//! nothing about what the driver does.
//!
//! C header: [`include/linux/vfio.h`](srctree/include/linux/vfio.h)

use core::{
    marker::PhantomData,
    mem::{
        offset_of,
        size_of, //
    },
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
        }, //
    },
    types::Opaque,
    uaccess::UserPtr, //
};

use crate::{
    bindings as b,
    kvm::Kvm, //
};

/// A `struct vfio_device` and the driver's data, in one allocation that the VFIO core owns.
///
/// # Invariants
///
/// `raw` is first. Both are initialised, and pinned, as long as the count of `raw` is not zero.
#[repr(C)]
pub(crate) struct Device<T: Driver> {
    raw: Opaque<b::vfio_device>,
    inner: Inner<T>,
}

#[pin_data]
struct Inner<T> {
    /// How many pages are pinned, from before they are until they are no longer.
    pins: Atomic<u32>,
    #[pin]
    data: T,
}

// SAFETY: The C part has its own locks; `Driver` requires the rest to be `Send + Sync`.
unsafe impl<T: Driver> Send for Device<T> {}
// SAFETY: As above.
unsafe impl<T: Driver> Sync for Device<T> {}

// SAFETY: The count is that of the embedded `struct device`.
unsafe impl<T: Driver> AlwaysRefCounted for Device<T> {
    fn inc_ref(&self) {
        // SAFETY: A reference proves that the count is not zero.
        unsafe { bindings::get_device(&raw mut (*self.raw.get()).device) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns a count.
        unsafe { bindings::put_device(&raw mut (*obj.as_ref().raw.get()).device) };
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
    const OPS: &'static b::vfio_device_ops = &b::vfio_device_ops {
        name: kernel::str::as_char_ptr_in_const_context(T::NAME).cast_mut(),
        init: Some(Self::init),
        release: Some(Self::release),
        open_device: Some(Self::open_device),
        close_device: Some(Self::close_device),
        ioctl: Some(Self::ioctl),
        dma_unmap: Some(Self::dma_unmap),
        request: Some(Self::request),
        bind_iommufd: Some(b::vfio_iommufd_emulated_bind),
        unbind_iommufd: Some(b::vfio_iommufd_emulated_unbind),
        attach_ioas: Some(b::vfio_iommufd_emulated_attach_ioas),
        detach_ioas: Some(b::vfio_iommufd_emulated_detach_ioas),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `raw` must be a device that [`Device::new`] has made, after `init` and before `release`.
    unsafe fn device<'a>(raw: *mut b::vfio_device) -> &'a Device<T> {
        // SAFETY: By the safety requirement and the type invariant of `Device`.
        unsafe { &*raw.cast() }
    }

    // What the VFIO core promises to its callbacks is documented for `struct vfio_device_ops`.

    extern "C" fn init(raw: *mut b::vfio_device) -> ffi::c_int {
        let slot = raw.cast::<Device<T>>();
        from_result(|| {
            let inner = try_pin_init!(Inner {
                pins: Atomic::new(0),
                data <- T::new(),
            }? Error);
            // SAFETY: The allocation is of the size of `Device<T>`, pinned, and its rest is not
            // initialised.
            unsafe { pin_init::raw_try_init(&raw mut (*slot).inner, inner)? };
            Ok(0)
        })
    }

    extern "C" fn release(raw: *mut b::vfio_device) {
        // SAFETY: The count is zero; the core frees the memory after this.
        unsafe { core::ptr::drop_in_place(&raw mut (*raw.cast::<Device<T>>()).inner) };
    }

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

impl<T: Driver> Device<T> {
    /// Makes a device, without making it known.
    ///
    /// # Safety
    ///
    /// `parent` must be valid, and stay so until the device is unregistered.
    pub(crate) unsafe fn new(parent: *mut bindings::device) -> Result<ARef<Self>> {
        const { assert!(offset_of!(Self, raw) == 0) };
        // SAFETY: By the safety requirement; the operations are static.
        let raw = from_err_ptr(unsafe {
            b::_vfio_alloc_device(size_of::<Self>(), parent, Callbacks::<T>::OPS)
        })?;
        let device = NonNull::new(raw.cast()).ok_or(ENOMEM)?;
        // SAFETY: Initialised by `init`, and a count is ours.
        Ok(unsafe { ARef::from_raw(device) })
    }

    /// The device that this one was made for.
    pub(crate) fn parent(&self) -> &device::Device {
        // SAFETY: By the safety requirement of `new`. A user keeps the device registered, and all
        // others are done with it before `mdev::Driver::removed` is.
        unsafe { device::Device::from_raw((*self.raw.get()).dev) }
    }

    /// How many pages are pinned, or are just being so, or were until just now.
    pub(crate) fn pins(&self) -> usize {
        self.inner.pins.load(Acquire) as usize
    }

    /// Tells user space, by a uevent of that device, that something about it has changed; `what` is
    /// a variable of the event with its value.
    pub(crate) fn announce_change(&self, what: &'static CStr) {
        let mut variables = [what.as_char_ptr().cast_mut(), core::ptr::null_mut()];
        // SAFETY: The device is valid, as for `parent`. The list ends with NULL, and is only read.
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

/// A page of the user's memory that stays where it is, until this is dropped; which has to be before
/// the user has closed the device: [`Device::pins`] tells.
///
/// # Invariants
///
/// The page at `iova` is pinned for `device`, and one pin is ours, which `pins` counts.
pub(crate) struct PinnedPage<T: Driver> {
    device: ARef<Device<T>>,
    iova: u64,
    address: u64,
}

impl<T: Driver> PinnedPage<T> {
    /// Pins the page at an address of the user, for reading and writing.
    ///
    /// Takes locks of the IOMMU backend: must not be called with a lock that [`Driver::dma_unmap`]
    /// takes.
    ///
    /// # Errors
    ///
    /// `EFAULT` if there is no such page; others as the backend has it.
    pub(crate) fn new(device: &Device<T>, iova: u64) -> Result<Self> {
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
        if pinned != 1 {
            device.inner.pins.fetch_sub(1, Relaxed);
            to_result(pinned)?;
            return Err(EFAULT);
        }
        // INVARIANT: Pinned just now, and counted before that.
        Ok(Self {
            device: device.into(),
            iova,
            // SAFETY: The page is pinned, and so valid.
            address: unsafe { b::vfio_ap_page_to_phys(page) } + iova % PAGE_SIZE as u64,
        })
    }

    /// The address of the user.
    pub(crate) fn iova(&self) -> u64 {
        self.iova
    }

    /// The absolute address.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// Whether it was pinned for this device.
    pub(crate) fn is_of(&self, device: &Device<T>) -> bool {
        core::ptr::eq(&*self.device, device)
    }

    /// Makes sure that a page of a protected guest is shared with the host.
    ///
    /// # Errors
    ///
    /// As the ultravisor has it: the page is not shared.
    pub(crate) fn ensure_shared(&self) -> Result {
        // SAFETY: The page is pinned.
        to_result(unsafe { b::uv_pin_shared(self.address as usize & !(PAGE_SIZE - 1)) })
    }
}

impl<T: Driver> Drop for PinnedPage<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { b::vfio_unpin_pages(self.device.raw.get(), self.iova, 1) };
        self.device.inner.pins.fetch_sub(1, Release);
    }
}

/// A device that users can open, until this is dropped.
pub(crate) struct Registration<T: Driver>(ARef<Device<T>>);

impl<T: Driver> Registration<T> {
    /// Makes a device known to users.
    pub(crate) fn new(device: ARef<Device<T>>) -> Result<Self> {
        // SAFETY: Initialised, and not registered as there is no other way to do so.
        to_result(unsafe { b::vfio_register_emulated_iommu_dev(device.raw.get()) })?;
        Ok(Self(device))
    }

    /// The device.
    pub(crate) fn device(&self) -> &ARef<Device<T>> {
        &self.0
    }
}

impl<T: Driver> Drop for Registration<T> {
    /// Waits until there is no user any more, and asks for that by [`Driver::request`].
    fn drop(&mut self) {
        // SAFETY: Registered by `new`.
        unsafe { b::vfio_unregister_group_dev(self.0.raw.get()) }
    }
}
