// SPDX-License-Identifier: GPL-2.0

//! Mediated devices that are VFIO devices.
//!
//! Owns the registration of a driver for mediated devices, of their type and of their parent, and the
//! callbacks of the driver.
//!
//! Not supported: a parent with several types of mediated devices.
//!
//! C header: [`include/linux/mdev.h`](srctree/include/linux/mdev.h)

use core::marker::PhantomData;

use kernel::{
    bindings,
    error::{
        from_result,
        to_result, //
    },
    ffi,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Full, //
        },
        Arc, //
    },
    types::{
        ForeignOwnable,
        Opaque, //
    }, //
};

use crate::{
    bindings as b,
    linux::{
        kobject,
        sysfs,
        vfio, //
    }, //
};

/// A driver for mediated devices.
pub(crate) trait Driver: vfio::Driver {
    /// The kind of VFIO device, which the attribute `device_api` of the type shows.
    const API: &'static CStr;

    /// The name of the type. The name of the parent's driver goes before it in sysfs.
    const TYPE_NAME: &'static CStr;

    /// The description of the type, which the attribute `name` shows.
    const PRETTY_NAME: &'static CStr;

    /// The maximum number of devices.
    const MAX_INSTANCES: u32;

    /// Returns the attributes of each device.
    fn attributes() -> &'static sysfs::Groups<vfio::Device<Self>>;

    /// Called for a new device, before it is registered with VFIO.
    ///
    /// # Errors
    ///
    /// An error makes the creation of the device fail. [`Self::removed`] is not called then.
    fn created(device: &ARef<vfio::Device<Self>>) -> Result;

    /// Called when a device has been unregistered from VFIO, or when that registration has failed.
    ///
    /// The mediated device stays in sysfs until this has returned.
    fn removed(device: &ARef<vfio::Device<Self>>);
}

impl<T: Driver> sysfs::DeviceData for vfio::Device<T> {
    unsafe fn from_device<'a>(dev: *mut bindings::device) -> &'a Self {
        // SAFETY: `probe` has set the data. Attributes are added after that, and removed before
        // `remove`.
        let registration: &'a vfio::Registration<T> =
            unsafe { KBox::borrow(bindings::dev_get_drvdata(dev)) };
        registration.device()
    }
}

/// The registration of a driver for mediated devices.
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<T: Driver> {
    #[pin]
    driver: Opaque<b::mdev_driver>,
    _driver: PhantomData<T>,
}

// SAFETY: A shared reference has no methods.
unsafe impl<T: Driver> Sync for Registration<T> {}
// SAFETY: A driver can be unregistered from any thread.
unsafe impl<T: Driver> Send for Registration<T> {}

impl<T: Driver> Registration<T> {
    /// Registers a driver.
    ///
    /// # Errors
    ///
    /// Those of `mdev_register_driver()`.
    pub(crate) fn new(
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            driver <- Opaque::try_ffi_init(move |slot: *mut b::mdev_driver| {
                let mut driver: b::mdev_driver = pin_init::zeroed();
                driver.device_api = T::API.as_char_ptr();
                driver.max_instances = T::MAX_INSTANCES;
                driver.probe = Some(Self::probe);
                driver.remove = Some(Self::remove);
                driver.driver.name = name.as_char_ptr();
                driver.driver.owner = module.as_ptr();
                driver.driver.mod_name =
                    <crate::LocalModule as kernel::ModuleMetadata>::NAME.as_char_ptr();
                driver.driver.dev_groups = T::attributes().get().cast();
                // SAFETY: The slot is valid for writes, and stays pinned until the driver is
                // unregistered by `drop`.
                unsafe {
                    slot.write(driver);
                    to_result(b::mdev_register_driver(slot))
                }
            }),
            _driver: PhantomData,
        })
    }

    /// # Safety
    ///
    /// Called by mdev to bind a device that has no driver yet.
    unsafe extern "C" fn probe(mdev: *mut b::mdev_device) -> ffi::c_int {
        from_result(|| {
            // SAFETY: The device is valid, and stays in sysfs until `remove` has returned.
            let (dev, new) = unsafe {
                let dev = &raw mut (*mdev).dev;
                (dev, vfio::NewDevice::<T>::new(dev)?)
            };
            let device = new.device().clone();
            T::created(&device)?;
            let registration = new
                .register()
                .and_then(|registration| Ok(KBox::new(registration, GFP_KERNEL)?))
                .inspect_err(|_| T::removed(&device))?;
            // SAFETY: The device is valid.
            unsafe { bindings::dev_set_drvdata(dev, registration.into_foreign()) };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by mdev to unbind a device that [`Self::probe`] has bound.
    unsafe extern "C" fn remove(mdev: *mut b::mdev_device) {
        // SAFETY: `probe` has set the data, and nothing takes it but this function.
        let registration: KBox<vfio::Registration<T>> =
            unsafe { KBox::from_foreign(bindings::dev_get_drvdata(&raw mut (*mdev).dev)) };
        let device = registration.device().clone();
        drop(registration);
        T::removed(&device);
    }
}

#[pinned_drop]
impl<T: Driver> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered by `new`.
        unsafe { b::mdev_unregister_driver(self.driver.get()) }
    }
}

/// The data that the core of mdev keeps for the parent of mediated devices of one type.
///
/// The core uses the data when it releases a mediated device, and when it releases the type. Both may
/// happen after the parent has been unregistered. The type holds a reference to the parent's device,
/// so the data must live until that device is released.
#[pin_data]
pub(crate) struct ParentData<T> {
    /// A [`Parent`] uses the data, or has used it.
    taken: Atomic<bool>,
    #[pin]
    kind: Opaque<b::mdev_type>,
    /// The array of types that a parent has: one pointer to `kind`.
    #[pin]
    kinds: Opaque<*mut b::mdev_type>,
    #[pin]
    parent: Opaque<b::mdev_parent>,
    _driver: PhantomData<fn() -> T>,
}

// SAFETY: The core of mdev has its own locks. `taken` is atomic.
unsafe impl<T> Send for ParentData<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for ParentData<T> {}

impl<T: Driver> ParentData<T> {
    /// Creates the data of a device that is not a parent yet.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(&this in Self {
            taken: Atomic::new(false),
            kind <- Opaque::ffi_init(|slot: *mut b::mdev_type| {
                let mut kind: b::mdev_type = pin_init::zeroed();
                kind.sysfs_name = T::TYPE_NAME.as_char_ptr();
                kind.pretty_name = T::PRETTY_NAME.as_char_ptr();
                // SAFETY: The slot is valid for writes.
                unsafe { slot.write(kind) }
            }),
            kinds <- Opaque::ffi_init(move |slot: *mut *mut b::mdev_type| {
                // SAFETY: The slot is valid for writes. `kind` is pinned beside it.
                unsafe { slot.write((*this.as_ptr()).kind.get()) }
            }),
            parent <- Opaque::ffi_init(|slot: *mut b::mdev_parent| {
                // SAFETY: The slot is valid for writes.
                unsafe { slot.write(pin_init::zeroed()) }
            }),
            _driver: PhantomData,
        })
    }
}

/// A device that can be the parent of mediated devices.
///
/// # Safety
///
/// - `as_raw` must return a device that stays registered as long as `self` exists.
/// - `data` must return data that is neither moved nor dropped before that device is released.
pub(crate) unsafe trait ParentDevice<T: Driver>: Send + Sync {
    /// Returns the device.
    fn as_raw(&self) -> *mut bindings::device;

    /// Returns the data of the device.
    fn data(&self) -> &ParentData<T>;
}

/// The registration of a parent of mediated devices, and of the driver for them.
///
/// # Invariants
///
/// The data of `device` belongs to a registered parent whose driver is `driver`. This object owns a
/// reference to the type.
#[pin_data(PinnedDrop)]
pub(crate) struct Parent<T: Driver, D: ParentDevice<T>> {
    /// Dropped before `device`.
    #[pin]
    driver: Registration<T>,
    device: Arc<D>,
}

impl<T: Driver, D: ParentDevice<T>> Parent<T, D> {
    /// Registers a driver, and makes a device the parent of mediated devices.
    ///
    /// # Errors
    ///
    /// - `EBUSY` if the device is a parent, or has been one.
    /// - Those of `mdev_register_driver()` and `mdev_register_parent()`.
    pub(crate) fn new(
        name: &'static CStr,
        module: &'static ThisModule,
        device: Arc<D>,
    ) -> impl PinInit<Self, Error> {
        // INVARIANT: `register` registers the parent, and takes the reference.
        try_pin_init!(Self {
            driver <- Registration::new(name, module),
            device: Self::register(driver.as_ref(), device)?,
        })
    }

    fn register(driver: Pin<&Registration<T>>, device: Arc<D>) -> Result<Arc<D>> {
        let data = device.data();
        if data.taken.xchg(true, Full) {
            return Err(EBUSY);
        }
        // SAFETY: By the contract of `ParentDevice` the device is registered, and the data lives until
        // its release. `taken` ensures that the data is used once. The array has one element. The
        // driver is registered, and is unregistered after the parent. The type is valid once the
        // parent is registered.
        unsafe {
            to_result(b::mdev_register_parent(
                data.parent.get(),
                device.as_raw(),
                driver.driver.get(),
                data.kinds.get(),
                1,
            ))?;
            bindings::kobject_get(&raw mut (*data.kind.get()).kobj);
        }
        Ok(device)
    }
}

#[pinned_drop]
impl<T: Driver, D: ParentDevice<T>> PinnedDrop for Parent<T, D> {
    /// Removes all mediated devices, and waits until they have been released.
    fn drop(self: Pin<&mut Self>) {
        let data = self.device.data();
        // SAFETY: By the type invariant, the parent is registered and a reference to the type is
        // owned. Each mediated device holds a reference to the type, and an unregistered parent gets
        // no more devices. The core does not need the driver after the last reference.
        unsafe {
            b::mdev_unregister_parent(data.parent.get());
            kobject::put_last(&raw mut (*data.kind.get()).kobj);
        }
    }
}
