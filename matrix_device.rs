// SPDX-License-Identifier: GPL-2.0

//! `/sys/devices/vfio_ap/matrix`: the parent of all mediated devices.
//!
//! Owns the root device `vfio_ap`, the bus `matrix`, the device `matrix` on it with its attribute,
//! and the driver `vfio_ap` that the device is bound to: what mdevctl and libvirt look for.

use core::ptr::NonNull;

use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    fmt::Write,
    prelude::*, //
};

use crate::sysfs::{
    self,
    CStatic, //
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
    static ATTRIBUTES = { text: { c"features": Features = Features, }, long: {}, };
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

/// The devices, the bus and the driver, until this is dropped.
///
/// The fields are dropped in this order.
pub(crate) struct MatrixDevice {
    _driver: DriverRegistration,
    device: Matrix,
    _bus: BusRegistration,
    _root: Root,
}

impl MatrixDevice {
    /// Makes all of them known.
    pub(crate) fn new(module: &'static ThisModule) -> Result<Self> {
        let root = Root::new(module)?;
        let bus = BusRegistration::new()?;
        let device = Matrix::new(&root, &bus)?;
        let driver = DriverRegistration::new(&bus)?;
        Ok(Self {
            _driver: driver,
            device,
            _bus: bus,
            _root: root,
        })
    }

    /// The device `matrix`, which is valid until this is dropped.
    pub(crate) fn as_raw(&self) -> *mut bindings::device {
        self.device.0.as_ptr()
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

impl BusRegistration {
    fn new() -> Result<Self> {
        // SAFETY: `BUS` is initialised. It is not registered: there is one module, with one
        // `MatrixDevice`.
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
        // SAFETY: `DRIVER` is initialised and its bus registered.
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

/// The device `matrix`, until this is dropped.
struct Matrix(NonNull<bindings::device>);

// SAFETY: Devices have their own locks.
unsafe impl Send for Matrix {}
// SAFETY: As above.
unsafe impl Sync for Matrix {}

impl Matrix {
    fn new(root: &Root, _bus: &BusRegistration) -> Result<Self> {
        let device = KBox::into_raw(KBox::<bindings::device>::init(
            pin_init::init_zeroed(),
            GFP_KERNEL,
        )?);
        // SAFETY: The memory is zeroed, as a device has to be, and belongs to the device from
        // `device_initialize` on.
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
                bindings::put_device(device);
                return Err(error);
            }
            Ok(Self(NonNull::new_unchecked(device)))
        }
    }

    extern "C" fn release(device: *mut bindings::device) {
        // SAFETY: It came out of a box, and nobody has it any more.
        drop(unsafe { KBox::from_raw(device) });
    }
}

impl Drop for Matrix {
    fn drop(&mut self) {
        // SAFETY: Added by `new`.
        unsafe { bindings::device_unregister(self.0.as_ptr()) }
    }
}
