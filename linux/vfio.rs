// SPDX-License-Identifier: GPL-2.0

//! VFIO devices with an emulated IOMMU.
//!
//! Owns `struct vfio_device` and the driver's data in it, the callbacks of a driver, and pages of the
//! user that are pinned.
//!
//! Not supported: other features of devices than migration, `read`, `write` and `mmap` of a device, and
//! pins of several pages at once.
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
    fs::File,
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
    linux::{
        kvm::Kvm,
        migration::State, //
    }, //
};

/// A `struct vfio_device` and the driver's data, in one allocation that the VFIO core owns.
///
/// The VFIO core may drop its last reference after the module has been unloaded: an open character
/// device that is not bound to an iommufd holds no reference to the module. The core must therefore
/// find nothing of the module in the allocation. Rust code has a reference count of its own. The last
/// of these references drops `inner`. `ops` and `migration_ops` live as long as `raw`.
///
/// # Invariants
///
/// - `raw` is the first field. It is initialised, and refers to `migration_ops`, and to `ops`, which has
///   no `release`.
/// - As long as `references` is not zero, `inner` is initialised and pinned, and Rust code owns one
///   reference to `raw`.
#[repr(C)]
pub(crate) struct Device<T: Driver> {
    raw: Opaque<b::vfio_device>,
    ops: b::vfio_device_ops,
    migration_ops: b::vfio_migration_ops,
    references: Refcount,
    inner: Inner<T>,
}

#[pin_data]
struct Inner<T> {
    /// The number of pages that are pinned. It is incremented before a page is pinned, and decremented
    /// after a page has been unpinned.
    pins: Atomic<u32>,
    #[pin]
    data: T,
    /// The device that this one was created for.
    parent: ARef<device::Device>,
}

// SAFETY: The C structure has its own locks. `Driver` requires the data to be `Send + Sync`.
unsafe impl<T: Driver> Send for Device<T> {}
// SAFETY: As above.
unsafe impl<T: Driver> Sync for Device<T> {}

// SAFETY: By the type invariant, the device lives as long as `references` is not zero.
unsafe impl<T: Driver> AlwaysRefCounted for Device<T> {
    fn inc_ref(&self) {
        self.references.inc();
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        let device = obj.as_ptr();
        // SAFETY: The caller owns a reference.
        if unsafe { (*device).references.dec_and_test() } {
            // SAFETY: There are no references to `inner` any more. By the type invariant, Rust code
            // owns a reference to `raw`. The memory is not accessed after that.
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
    /// The name of the driver.
    const NAME: &'static CStr;

    /// Returns an initialiser of the data of a new device.
    fn new() -> impl PinInit<Self, Error>;

    /// Called when the device is opened. `kvm` is the virtual machine that the user has given to VFIO.
    ///
    /// # Errors
    ///
    /// An error makes the open fail.
    fn open(device: &Device<Self>, kvm: Option<Kvm>) -> Result;

    /// Called when the device is closed.
    fn close(device: &Device<Self>);

    /// Called for an `ioctl` that VFIO does not handle itself.
    ///
    /// # Errors
    ///
    /// An error is the result of the system call.
    fn ioctl(device: &Device<Self>, cmd: u32, arg: UserPtr) -> Result<isize>;

    /// Called when the user unmaps addresses. No page of them may stay pinned when this has returned.
    fn dma_unmap(device: &Device<Self>, iova: u64, length: u64);

    /// Called to ask the user for the device. `count` is the number of earlier calls.
    fn request(device: &Device<Self>, count: u32);

    /// Called to change the state of an open device in a migration. Returns the file that the new state
    /// comes with.
    ///
    /// # Errors
    ///
    /// An error is the result of the system call. The device can be in any state on the way then.
    fn set_migration_state(device: &Device<Self>, new: State) -> Result<Option<ARef<File>>>;

    /// Returns the state of an open device in a migration.
    fn migration_state(device: &Device<Self>) -> State;

    /// Returns the length of the stream of a migration in bytes, for an open device.
    fn migration_data_size(device: &Device<Self>) -> usize;
}

struct Callbacks<T>(PhantomData<T>);

impl<T: Driver> Callbacks<T> {
    /// The operations that are copied to each device.
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

    /// The operations for migration that are copied to each device.
    const MIGRATION_OPS: &'static b::vfio_migration_ops = &b::vfio_migration_ops {
        migration_set_state: Some(Self::set_migration_state),
        migration_get_state: Some(Self::get_migration_state),
        migration_get_data_size: Some(Self::get_migration_data_size),
    };

    /// # Safety
    ///
    /// `raw` must be a registered device that [`NewDevice::new`] has created.
    unsafe fn device<'a>(raw: *mut b::vfio_device) -> &'a Device<T> {
        // SAFETY: By the safety requirement. `Registration` owns a reference to the device.
        unsafe { &*raw.cast() }
    }

    // `struct vfio_device_ops` documents when the core of VFIO calls each of these.

    /// # Safety
    ///
    /// Called by VFIO for a registered device that is not open.
    unsafe extern "C" fn open_device(raw: *mut b::vfio_device) -> ffi::c_int {
        // SAFETY: The device is registered. VFIO holds a reference to the virtual machine while the
        // device is open.
        let (device, kvm) = unsafe {
            (
                Self::device(raw),
                NonNull::new((*raw).kvm).map(|kvm| Kvm::get(kvm)),
            )
        };
        from_result(|| T::open(device, kvm).map(|()| 0))
    }

    /// # Safety
    ///
    /// Called by VFIO for an open device.
    unsafe extern "C" fn close_device(raw: *mut b::vfio_device) {
        // SAFETY: The device is open.
        T::close(unsafe { Self::device(raw) });
    }

    /// # Safety
    ///
    /// Called by VFIO for an open device.
    unsafe extern "C" fn ioctl(
        raw: *mut b::vfio_device,
        cmd: ffi::c_uint,
        arg: ffi::c_ulong,
    ) -> ffi::c_long {
        // SAFETY: The device is open.
        let device = unsafe { Self::device(raw) };
        from_result(|| T::ioctl(device, cmd, UserPtr::from_addr(arg)))
    }

    /// # Safety
    ///
    /// Called by VFIO for an open device.
    unsafe extern "C" fn dma_unmap(raw: *mut b::vfio_device, iova: u64, length: u64) {
        // SAFETY: The device is open.
        T::dma_unmap(unsafe { Self::device(raw) }, iova, length);
    }

    /// # Safety
    ///
    /// Called by VFIO for a device that is being unregistered.
    unsafe extern "C" fn request(raw: *mut b::vfio_device, count: ffi::c_uint) {
        // SAFETY: Unregistering a device waits for its users, and has not returned.
        T::request(unsafe { Self::device(raw) }, count);
    }

    /// # Safety
    ///
    /// Called by VFIO for an open device.
    unsafe extern "C" fn set_migration_state(
        raw: *mut b::vfio_device,
        new: b::vfio_device_mig_state,
    ) -> *mut bindings::file {
        // SAFETY: The device is open.
        let device = unsafe { Self::device(raw) };
        match State::from_raw(new).and_then(|new| T::set_migration_state(device, new)) {
            Ok(Some(file)) => ARef::into_raw(file).as_ptr().cast(),
            Ok(None) => core::ptr::null_mut(),
            Err(error) => error.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// Called by VFIO for an open device, with a valid pointer to the result.
    unsafe extern "C" fn get_migration_state(
        raw: *mut b::vfio_device,
        state: *mut b::vfio_device_mig_state,
    ) -> ffi::c_int {
        // SAFETY: The device is open, and `state` is valid.
        unsafe { *state = T::migration_state(Self::device(raw)).to_raw() };
        0
    }

    /// # Safety
    ///
    /// Called by VFIO for an open device, with a valid pointer to the result.
    unsafe extern "C" fn get_migration_data_size(
        raw: *mut b::vfio_device,
        length: *mut ffi::c_ulong,
    ) -> ffi::c_int {
        // SAFETY: The device is open, and `length` is valid.
        unsafe { *length = T::migration_data_size(Self::device(raw)) };
        0
    }
}

/// A device that is not registered yet.
pub(crate) struct NewDevice<T: Driver>(ARef<Device<T>>);

impl<T: Driver> NewDevice<T> {
    /// Creates a device for `parent`.
    ///
    /// # Errors
    ///
    /// - `ENOMEM` if there is no memory.
    /// - Those of [`Driver::new`].
    ///
    /// # Safety
    ///
    /// `parent` must be valid, and must stay in sysfs until the device has been unregistered.
    pub(crate) unsafe fn new(parent: *mut bindings::device) -> Result<Self> {
        const {
            assert!(offset_of!(Device<T>, raw) == 0);
            // The core of VFIO allocates with `kzalloc()`.
            assert!(align_of::<Device<T>>() <= bindings::ARCH_KMALLOC_MINALIGN);
        }
        let ops = Callbacks::<T>::OPS;
        // SAFETY: By the safety requirement. The device gets its own operations below, and no
        // operation is called before that.
        let raw =
            from_err_ptr(unsafe { b::_vfio_alloc_device(size_of::<Device<T>>(), parent, ops) })?;
        let inner = try_pin_init!(Inner {
            pins: Atomic::new(0),
            data <- T::new(),
            // SAFETY: By the safety requirement, `parent` is valid.
            parent: unsafe { device::Device::get_device(parent) },
        }? Error);
        let device = raw.cast::<Device<T>>();
        // SAFETY: The allocation has the size of `Device<T>`, and is not shared yet. Its fields after
        // `raw` are not initialised.
        unsafe {
            (&raw mut (*device).ops).write(*ops);
            (*raw).ops = &raw const (*device).ops;
            (&raw mut (*device).migration_ops).write(*Callbacks::<T>::MIGRATION_OPS);
            (*raw).mig_ops = &raw const (*device).migration_ops;
            (*raw).migration_flags = b::VFIO_MIGRATION_STOP_COPY;
            (&raw mut (*device).references).write(Refcount::new(1));
            if let Err(error) = pin_init::raw_try_init(&raw mut (*device).inner, inner) {
                bindings::put_device(&raw mut (*raw).device);
                return Err(error);
            }
        }
        let device = NonNull::new(device).ok_or(ENOMEM)?;
        // INVARIANT: `references` is 1. The reference to `raw` is the one from its creation.
        // SAFETY: All fields are initialised, and the reference is passed on.
        Ok(Self(unsafe { ARef::from_raw(device) }))
    }

    /// Returns the device.
    pub(crate) fn device(&self) -> &ARef<Device<T>> {
        &self.0
    }

    /// Registers the device, so that users can open it.
    ///
    /// # Errors
    ///
    /// Those of `vfio_register_emulated_iommu_dev()`.
    pub(crate) fn register(self) -> Result<Registration<T>> {
        // SAFETY: The device is initialised. It has not been registered before, as there is one
        // `NewDevice` for each device, which this consumes.
        to_result(unsafe { b::vfio_register_emulated_iommu_dev(self.0.raw.get()) })?;
        // INVARIANT: The device was registered above.
        Ok(Registration(self.0))
    }
}

impl<T: Driver> Device<T> {
    /// Returns the device that this one was created for.
    pub(crate) fn parent(&self) -> &device::Device {
        &self.inner.parent
    }

    /// Returns the number of pages that are pinned, or are being pinned or unpinned.
    pub(crate) fn pins(&self) -> usize {
        self.inner.pins.load(Acquire) as usize
    }

    /// Returns true if the user's memory belongs to a container, and not to an iommufd.
    ///
    /// A container calls [`Driver::dma_unmap`] up to ten times as long as pages are pinned. It holds
    /// `device_list_lock` over the call, and others may wait for that lock with `iommu->lock`, which
    /// pinning takes. An iommufd holds no lock that pinning takes, and may call only once.
    pub(crate) fn is_in_container(&self) -> bool {
        // SAFETY: The device is valid. The field is set when the user attaches memory, and no page can
        // be pinned before that.
        unsafe { (*self.raw.get()).iommufd_access.is_null() }
    }

    /// Returns the next state on the way from one state to another.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no way.
    pub(crate) fn next_migration_state(&self, from: State, to: State) -> Result<State> {
        let mut next = from.to_raw();
        // SAFETY: The device is valid. The function reads its migration flags.
        to_result(unsafe {
            b::vfio_mig_get_next_state(self.raw.get(), from.to_raw(), to.to_raw(), &mut next)
        })?;
        State::from_raw(next)
    }

    /// Sends a `change` uevent of the parent. `variables` are up to four variables with their values.
    /// Each ends with a NUL.
    ///
    /// An event that is lost for want of memory is not an error.
    pub(crate) fn send_uevent(&self, variables: &[u8]) {
        let mut list = [core::ptr::null_mut(); 5];
        for (place, variable) in list[..4]
            .iter_mut()
            .zip(variables.split_inclusive(|c| *c == 0))
        {
            if let [_, .., 0] = variable {
                *place = variable.as_ptr().cast_mut().cast();
            }
        }
        // SAFETY: `dev` is the parent, to which `inner` owns a reference. The elements of the list are
        // strings, and NULL terminates it. The strings are only read.
        unsafe {
            bindings::kobject_uevent_env(
                &raw mut (*(*self.raw.get()).dev).kobj,
                bindings::kobject_action_KOBJ_CHANGE,
                list.as_mut_ptr(),
            )
        };
    }
}

/// A page of the user's memory that is pinned.
///
/// It must be dropped before the device is closed: VFIO unpins pages of open devices only. A driver can
/// wait for [`Device::pins`].
///
/// # Invariants
///
/// `iova` is a multiple of the page size. This object owns one pin of the page at `iova` for `device`,
/// and `pins` of the device counts it.
pub(crate) struct PinnedPage<T: Driver> {
    device: ARef<Device<T>>,
    iova: u64,
    page: NonNull<bindings::page>,
}

// SAFETY: A pin does not depend on a thread. A device is `Send` and `Sync`.
unsafe impl<T: Driver> Send for PinnedPage<T> {}
// SAFETY: As above.
unsafe impl<T: Driver> Sync for PinnedPage<T> {}

impl<T: Driver> PinnedPage<T> {
    /// Pins the page of an address of the user, for reading and writing.
    ///
    /// The backends take a range of one page size from the address that they are given. The address of
    /// the page is passed, as the range from another address would include a part of the next page.
    ///
    /// Takes locks of the IOMMU backend. Must not be called with a lock that [`Driver::dma_unmap`]
    /// takes.
    ///
    /// # Errors
    ///
    /// - `EFAULT` if the address is not mapped.
    /// - Those of `vfio_pin_pages()`.
    pub(crate) fn new(device: &Device<T>, address: u64) -> Result<Self> {
        let iova = page_of(address);
        device.inner.pins.fetch_add(1, Relaxed);
        let mut page = core::ptr::null_mut();
        // SAFETY: The device is valid. `page` has room for one page.
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
            // INVARIANT: The page was counted and pinned above.
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

    /// Returns the user's address of the page.
    pub(crate) fn iova(&self) -> u64 {
        self.iova
    }

    /// Returns the device that the page is pinned for.
    pub(crate) fn device(&self) -> &ARef<Device<T>> {
        &self.device
    }

    /// Checks that a page of a protected guest is shared with the host, and keeps it shared.
    ///
    /// # Errors
    ///
    /// Those of `uv_pin_shared()`: the page is not shared.
    pub(crate) fn ensure_shared(&self) -> Result {
        // SAFETY: The page is pinned.
        to_result(unsafe { b::uv_pin_shared(b::vfio_ap_page_to_phys(self.page.as_ptr()) as usize) })
    }

    /// Takes a reference to the frame of the page, which may outlive the pin.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the frame has no reference count, as it is not ordinary memory.
    pub(crate) fn hold_frame(&self) -> Result<Frame> {
        // SAFETY: A pinned page is valid.
        if unsafe { b::vfio_ap_try_hold_page(self.page.as_ptr()) } {
            // INVARIANT: The reference was taken above.
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

/// Returns the address of the page that has an address.
pub(crate) fn page_of(address: u64) -> u64 {
    address & !(PAGE_SIZE as u64 - 1)
}

/// A reference to a page frame.
///
/// The frame does not become other memory before the reference is dropped, even if the user has unmapped
/// or freed the page.
///
/// # Invariants
///
/// This object owns a reference to the page.
pub(crate) struct Frame(NonNull<bindings::page>);

// SAFETY: Pages are reference counted.
unsafe impl Send for Frame {}
// SAFETY: As above.
unsafe impl Sync for Frame {}

impl Frame {
    /// Returns the absolute address of the frame.
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

/// A driver whose data has a work item of the device. See [`embed_work`].
///
/// # Safety
///
/// `OFFSET` must be the offset of a `Work<Device<Self>, ID>` in `Self`.
pub(crate) unsafe trait EmbedsWork<const ID: u64>: Driver {
    /// The offset of the work item.
    const OFFSET: usize;
}

/// Implements [`EmbedsWork`] for a field of a driver's data.
macro_rules! embed_work {
    ($data:ty, $id:literal, $field:ident) => {
        // SAFETY: The function builds only if the field has the right type.
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

// SAFETY: One function adds the offset of the work item, the other one subtracts it.
unsafe impl<T: EmbedsWork<ID>, const ID: u64> HasWork<Self, ID> for Device<T> {
    unsafe fn raw_get_work(ptr: *mut Self) -> *mut Work<Self, ID> {
        // SAFETY: The pointer is valid. By the contract of `EmbedsWork` the device has a work item at
        // the offset.
        unsafe { ptr.byte_add(Self::work_offset::<ID>()).cast() }
    }

    unsafe fn work_container_of(ptr: *mut Work<Self, ID>) -> *mut Self {
        // SAFETY: By the contract of this function, the work item is embedded in a device.
        unsafe { ptr.byte_sub(Self::work_offset::<ID>()).cast() }
    }
}

/// The registration of a device. Users can open the device.
///
/// # Invariants
///
/// The device is registered.
pub(crate) struct Registration<T: Driver>(ARef<Device<T>>);

impl<T: Driver> Registration<T> {
    /// Returns the device.
    pub(crate) fn device(&self) -> &ARef<Device<T>> {
        &self.0
    }
}

impl<T: Driver> Drop for Registration<T> {
    /// Unregisters the device. Calls [`Driver::request`] and waits until the device is closed.
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { b::vfio_unregister_group_dev(self.0.raw.get()) }
    }
}
