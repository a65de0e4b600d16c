// SPDX-License-Identifier: GPL-2.0

//! `/sys/devices/vfio_ap/matrix`: the parent of all mediated devices.
//!
//! Owns the root device `vfio_ap`, the bus `matrix`, the device `matrix` on that bus with its attribute,
//! and the driver `vfio_ap` of the device. mdevctl and libvirt look for these names.
//!
//! C header: [`include/linux/device.h`](srctree/include/linux/device.h)

use core::{
    mem::offset_of,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    fmt::Write,
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Full,
        Release, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
    types::Opaque, //
};

use crate::{
    linux::{
        kobject,
        mdev,
        sysfs::{
            self,
            CStatic, //
        }, //
    }, //
};

static BUS: CStatic<bindings::bus_type> = CStatic::new({
    let mut bus: bindings::bus_type = pin_init::zeroed();
    bus.name = kernel::str::as_char_ptr_in_const_context(c"matrix");
    bus
});

static DRIVER: CStatic<bindings::device_driver> = CStatic::new({
    let mut driver: bindings::device_driver = pin_init::zeroed();
    driver.name = kernel::str::as_char_ptr_in_const_context(c"vfio_ap");
    driver.bus = BUS.get();
    driver.suppress_bind_attrs = true;
    driver.dev_groups = ATTRIBUTES.get().cast();
    driver
});

sysfs::attribute_groups! {
    static ATTRIBUTES: Features = { text: { c"features": Features = Features, }, long: {}, };
}

/// The attribute `features`: the features of the driver, for mdevctl.
struct Features;

impl sysfs::DeviceData for Features {
    unsafe fn from_device<'a>(_dev: *mut bindings::device) -> &'a Self {
        &Self
    }
}

#[vtable]
impl sysfs::Attribute for Features {
    type Device = Self;

    fn show(&self, _device: &Self, page: &mut sysfs::Page<'_>) -> Result {
        page.write_str("guest_matrix hotplug ap_config migratable\n")?;
        Ok(())
    }
}

/// The registrations of the devices, the bus and the driver. The device `matrix` owns a `D`, which it
/// drops when it is released.
///
/// The fields are dropped in this order.
pub(crate) struct MatrixDevice<D> {
    _driver: DriverRegistration,
    device: Matrix<D>,
    _bus: BusRegistration,
    _root: Root,
}

impl<D: Send + Sync + 'static> MatrixDevice<D> {
    /// Registers the devices, the bus and the driver. This is possible once while the module is loaded.
    ///
    /// # Errors
    ///
    /// - `EBUSY` if it was done before.
    /// - `ENOMEM` if there is no memory.
    /// - Those of the driver core.
    pub(crate) fn new(module: &'static ThisModule, data: impl PinInit<D>) -> Result<Self> {
        let root = Root::new(module)?;
        let bus = BusRegistration::new()?;
        let device = Matrix::new(&root, &bus, data)?;
        let driver = DriverRegistration::new(&bus)?;
        Ok(Self {
            _driver: driver,
            device,
            _bus: bus,
            _root: root,
        })
    }
}

// SAFETY: The device is registered as long as `self` exists. The data is pinned in the allocation of
// the device, which `Matrix::release` frees.
unsafe impl<T: mdev::Driver> mdev::ParentDevice<T> for MatrixDevice<mdev::ParentData<T>> {
    fn as_raw(&self) -> *mut bindings::device {
        self.device.raw()
    }

    fn data(&self) -> &mdev::ParentData<T> {
        // SAFETY: By the type invariant of `Matrix`.
        unsafe { &self.device.0.as_ref().data }
    }
}

/// The registration of the root device `vfio_ap`.
struct Root(NonNull<bindings::device>);

// SAFETY: Devices have their own locks.
unsafe impl Send for Root {}
// SAFETY: As above.
unsafe impl Sync for Root {}

impl Root {
    fn new(module: &'static ThisModule) -> Result<Self> {
        // SAFETY: The name is a valid string. The module is the current one.
        let root = from_err_ptr(unsafe {
            bindings::__root_device_register(c"vfio_ap".as_char_ptr(), module.as_ptr())
        })?;
        NonNull::new(root).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // SAFETY: `new` has registered it.
        unsafe { bindings::root_device_unregister(self.0.as_ptr()) }
    }
}

/// The registration of the bus `matrix`.
struct BusRegistration(());

/// `BUS` is registered, or was. The driver core does not accept the same memory again.
static BUS_TAKEN: Atomic<bool> = Atomic::new(false);

impl BusRegistration {
    fn new() -> Result<Self> {
        if BUS_TAKEN.xchg(true, Full) {
            return Err(EBUSY);
        }
        // SAFETY: `BUS` is initialised. `BUS_TAKEN` ensures that it is registered once.
        to_result(unsafe { bindings::bus_register(BUS.get()) })?;
        Ok(Self(()))
    }
}

impl Drop for BusRegistration {
    fn drop(&mut self) {
        // SAFETY: `new` has registered it.
        unsafe { bindings::bus_unregister(BUS.get()) }
    }
}

/// The registration of the driver of the device.
struct DriverRegistration(());

impl DriverRegistration {
    fn new(_bus: &BusRegistration) -> Result<Self> {
        // SAFETY: `DRIVER` is initialised, and its bus is registered. It is registered once, as there
        // is one `BusRegistration`, for which `MatrixDevice` calls this function once.
        to_result(unsafe { bindings::driver_register(DRIVER.get()) })?;
        Ok(Self(()))
    }
}

impl Drop for DriverRegistration {
    fn drop(&mut self) {
        // SAFETY: `new` has registered it.
        unsafe { bindings::driver_unregister(DRIVER.get()) }
    }
}

/// The device `matrix` and its data, in one allocation.
#[repr(C)]
#[pin_data]
struct Allocation<D> {
    /// The first field, so that a pointer to it is a pointer to the whole.
    #[pin]
    raw: Opaque<bindings::device>,
    #[pin]
    data: D,
}

/// The registration of the device `matrix`.
///
/// # Invariants
///
/// The allocation is initialised and pinned. The device in it is registered. This object owns a
/// reference to the device.
struct Matrix<D>(NonNull<Allocation<D>>);

// SAFETY: Devices have their own locks.
unsafe impl<D: Send + Sync> Send for Matrix<D> {}
// SAFETY: As above.
unsafe impl<D: Send + Sync> Sync for Matrix<D> {}

/// The device has been released. There is one device, see `BUS_TAKEN`.
static RELEASED: Atomic<bool> = Atomic::new(false);

impl<D> Matrix<D> {
    fn raw(&self) -> *mut bindings::device {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }.raw.get()
    }

    fn new(root: &Root, _bus: &BusRegistration, data: impl PinInit<D>) -> Result<Self> {
        const { assert!(offset_of!(Allocation<D>, raw) == 0) };
        let allocation = KBox::pin_init(
            pin_init!(Allocation {
                raw <- Opaque::ffi_init(|slot: *mut bindings::device| {
                    // SAFETY: The slot is valid for writes.
                    unsafe { slot.write_bytes(0, 1) }
                }),
                data <- data,
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: The value is not moved.
        let allocation = KBox::into_raw(unsafe { Pin::into_inner_unchecked(allocation) });
        let device = allocation.cast::<bindings::device>();
        // SAFETY: The memory of the device is zeroed. It belongs to the driver core from
        // `device_initialize` on, until `release`.
        unsafe {
            (*device).parent = root.0.as_ptr();
            (*device).bus = BUS.get();
            (*device).release = Some(Self::release);
            bindings::device_initialize(device);
            let added = to_result(bindings::dev_set_name(
                device,
                c"%s".as_char_ptr(),
                c"matrix".as_char_ptr(),
            ))
            .and_then(|()| to_result(bindings::device_add(device)));
            if let Err(error) = added {
                Self::put(device);
                return Err(error);
            }
            // INVARIANT: The device is registered, with the reference of `device_initialize`.
            Ok(Self(NonNull::new_unchecked(allocation)))
        }
    }

    /// Drops a reference to the device, and waits until the device has been released: `release` is code
    /// of this module.
    ///
    /// # Safety
    ///
    /// The caller must own a reference. The device must not be registered.
    unsafe fn put(device: *mut bindings::device) {
        // SAFETY: The caller owns a reference. The device is neither in sysfs nor in a list of the
        // driver core, so no new references can be taken.
        unsafe { kobject::put_last(&raw mut (*device).kobj) };
        // CONFIG_DEBUG_KOBJECT_RELEASE delays the release.
        while !RELEASED.load(Acquire) {
            fsleep(Delta::from_millis(1));
        }
    }

    /// # Safety
    ///
    /// Called by the driver core for the last reference to a device that [`Self::new`] has created.
    unsafe extern "C" fn release(device: *mut bindings::device) {
        // SAFETY: The memory came from a pinned box, and there are no references to the device.
        drop(unsafe { Pin::new_unchecked(KBox::from_raw(device.cast::<Allocation<D>>())) });
        RELEASED.store(true, Release);
    }
}

impl<D> Drop for Matrix<D> {
    fn drop(&mut self) {
        let device = self.raw();
        // SAFETY: By the type invariant, the device is registered, and a reference is owned.
        unsafe {
            bindings::device_del(device);
            Self::put(device);
        }
    }
}
