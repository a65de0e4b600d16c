// SPDX-License-Identifier: GPL-2.0

//! `/sys/devices/vfio_ap/matrix`: the parent of all mediated devices.
//!
//! Owns the root device `vfio_ap`, the bus `matrix`, the device `matrix` on it with its attribute,
//! and the driver `vfio_ap` that the device is bound to: what mdevctl and libvirt look for.

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

/// What the driver can do, for mdevctl.
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
        page.write_str("guest_matrix hotplug ap_config\n")?;
        Ok(())
    }
}

/// The devices, the bus and the driver, until this is dropped; and data that the device `matrix` has
/// in its hands until its release.
///
/// The fields are dropped in this order.
pub(crate) struct MatrixDevice<D> {
    _driver: DriverRegistration,
    device: Matrix<D>,
    _bus: BusRegistration,
    _root: Root,
}

impl<D: Send + Sync + 'static> MatrixDevice<D> {
    /// Makes all of them known. This can be done once as long as the module is loaded.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it was done before. Others as the driver core has them.
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

// SAFETY: The device is registered as long as this exists. The data is pinned in the allocation of
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

/// The device `vfio_ap`, until this is dropped.
struct Root(NonNull<bindings::device>);

// SAFETY: Devices have their own locks.
unsafe impl Send for Root {}
// SAFETY: As above.
unsafe impl Sync for Root {}

impl Root {
    fn new(module: &'static ThisModule) -> Result<Self> {
        // SAFETY: The name is a string, the module is this one.
        let root = from_err_ptr(unsafe {
            bindings::__root_device_register(c"vfio_ap".as_char_ptr(), module.as_ptr())
        })?;
        NonNull::new(root).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`.
        unsafe { bindings::root_device_unregister(self.0.as_ptr()) }
    }
}

/// The registration of the bus, until this is dropped.
struct BusRegistration(());

/// `BUS` has been registered: the driver core does not take the same memory again.
static BUS_TAKEN: Atomic<bool> = Atomic::new(false);

impl BusRegistration {
    fn new() -> Result<Self> {
        if BUS_TAKEN.xchg(true, Full) {
            return Err(EBUSY);
        }
        // SAFETY: `BUS` is initialised. It was not registered before.
        to_result(unsafe { bindings::bus_register(BUS.get()) })?;
        Ok(Self(()))
    }
}

impl Drop for BusRegistration {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`.
        unsafe { bindings::bus_unregister(BUS.get()) }
    }
}

/// The registration of the driver, until this is dropped.
struct DriverRegistration(());

impl DriverRegistration {
    fn new(_bus: &BusRegistration) -> Result<Self> {
        // SAFETY: `DRIVER` is initialised and its bus registered. It was not registered before, as
        // there is one `BusRegistration`, for which `MatrixDevice` calls this once.
        to_result(unsafe { bindings::driver_register(DRIVER.get()) })?;
        Ok(Self(()))
    }
}

impl Drop for DriverRegistration {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`.
        unsafe { bindings::driver_unregister(DRIVER.get()) }
    }
}

/// The device `matrix` with data, in one allocation.
#[repr(C)]
#[pin_data]
struct Allocation<D> {
    /// First, so that a pointer to it is a pointer to all.
    #[pin]
    raw: Opaque<bindings::device>,
    #[pin]
    data: D,
}

/// The device `matrix`, until this is dropped.
///
/// # Invariants
///
/// The allocation is initialised and pinned, the device in it is registered, and a reference to it is
/// ours.
struct Matrix<D>(NonNull<Allocation<D>>);

// SAFETY: Devices have their own locks.
unsafe impl<D: Send + Sync> Send for Matrix<D> {}
// SAFETY: As above.
unsafe impl<D: Send + Sync> Sync for Matrix<D> {}

/// The one device that there is, see `BUS_TAKEN`, has been released.
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
                    // SAFETY: The slot can be written to.
                    unsafe { slot.write_bytes(0, 1) }
                }),
                data <- data,
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: Nothing is moved.
        let allocation = KBox::into_raw(unsafe { Pin::into_inner_unchecked(allocation) });
        let device = allocation.cast::<bindings::device>();
        // SAFETY: The memory of the device is zeroed, as it has to be, and belongs to the device
        // from `device_initialize` on.
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
                Self::give_back(device);
                return Err(error);
            }
            // INVARIANT: All is done.
            Ok(Self(NonNull::new_unchecked(allocation)))
        }
    }

    /// Gives back our reference, and returns when the device has been released: `release` is code of
    /// this module, and must not be called when the module is gone.
    ///
    /// # Safety
    ///
    /// The caller owns a reference. The device is not registered.
    unsafe fn give_back(device: *mut bindings::device) {
        // SAFETY: When the device is out of sysfs and of the lists of the driver core, nobody finds
        // it any more. The reference is the caller's.
        unsafe { kobject::put_last(&raw mut (*device).kobj) };
        // It has been released here, unless the kernel has CONFIG_DEBUG_KOBJECT_RELEASE.
        while !RELEASED.load(Acquire) {
            fsleep(Delta::from_millis(1));
        }
    }

    extern "C" fn release(device: *mut bindings::device) {
        // SAFETY: It came out of a pinned box, and nobody has it any more.
        drop(unsafe { Pin::new_unchecked(KBox::from_raw(device.cast::<Allocation<D>>())) });
        RELEASED.store(true, Release);
    }
}

impl<D> Drop for Matrix<D> {
    fn drop(&mut self) {
        let device = self.raw();
        // SAFETY: Registered, with a reference that is ours, by the type invariant.
        unsafe {
            bindings::device_del(device);
            Self::give_back(device);
        }
    }
}
