// SPDX-License-Identifier: GPL-2.0

//! Mediated devices, each of which is a VFIO device.
//!
//! Owns the registration of a driver for them, of the type and of the parent, and the callbacks.
//! Knows nothing about what the driver does.
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
    /// The kind of VFIO device, for `device_api`.
    const API: &'static CStr;

    /// The name of the type, behind that of the parent's driver.
    const TYPE_NAME: &'static CStr;

    /// The name of the type for people.
    const PRETTY_NAME: &'static CStr;

    /// The greatest number of devices.
    const MAX_INSTANCES: u32;

    /// The attributes of a device.
    fn attributes() -> &'static sysfs::Groups<vfio::Device<Self>>;

    /// A device was created, which users cannot open yet.
    fn created(device: &ARef<vfio::Device<Self>>) -> Result;

    /// A device that was created, and that nobody can open any more, is being removed. What it was
    /// made for is there until this has returned.
    fn removed(device: &ARef<vfio::Device<Self>>);
}

impl<T: Driver> sysfs::DeviceData for vfio::Device<T> {
    unsafe fn from_device<'a>(dev: *mut bindings::device) -> &'a Self {
        // SAFETY: `probe` has set it, and attributes exist after that and before `remove` only.
        let registration: &'a vfio::Registration<T> =
            unsafe { KBox::borrow(bindings::dev_get_drvdata(dev)) };
        registration.device()
    }
}

/// The registration of a driver, until this is dropped.
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<T: Driver> {
    #[pin]
    driver: Opaque<b::mdev_driver>,
    _driver: PhantomData<T>,
}

// SAFETY: Nothing can be done with a shared reference.
unsafe impl<T: Driver> Sync for Registration<T> {}
// SAFETY: It can be unregistered from any thread.
unsafe impl<T: Driver> Send for Registration<T> {}

impl<T: Driver> Registration<T> {
    /// Registers the driver.
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
                // SAFETY: The slot can be written to, and stays pinned until it is dropped.
                unsafe {
                    slot.write(driver);
                    to_result(b::mdev_register_driver(slot))
                }
            }),
            _driver: PhantomData,
        })
    }

    extern "C" fn probe(mdev: *mut b::mdev_device) -> ffi::c_int {
        from_result(|| {
            // SAFETY: The device is valid, and `remove` comes before it goes away.
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

    extern "C" fn remove(mdev: *mut b::mdev_device) {
        // SAFETY: `probe` has set it.
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

/// What the core of mdev keeps for a parent of mediated devices of one type.
///
/// The core uses it when it releases a mediated device, and when it releases the type, which is
/// after that. Both may be after the parent was unregistered. But the type has a reference to the
/// parent's device, so this is in the hands of that device, until its release.
#[pin_data]
pub(crate) struct ParentData<T> {
    /// It belongs to a [`Parent`], or has done so.
    taken: Atomic<bool>,
    #[pin]
    kind: Opaque<b::mdev_type>,
    /// What the parent wants as an array of types.
    #[pin]
    kinds: Opaque<*mut b::mdev_type>,
    #[pin]
    parent: Opaque<b::mdev_parent>,
    _driver: PhantomData<fn() -> T>,
}

// SAFETY: The core of mdev has its own locks, and `taken` is atomic.
unsafe impl<T> Send for ParentData<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for ParentData<T> {}

impl<T: Driver> ParentData<T> {
    /// The data of a device that is not a parent yet.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(&this in Self {
            taken: Atomic::new(false),
            kind <- Opaque::ffi_init(|slot: *mut b::mdev_type| {
                let mut kind: b::mdev_type = pin_init::zeroed();
                kind.sysfs_name = T::TYPE_NAME.as_char_ptr();
                kind.pretty_name = T::PRETTY_NAME.as_char_ptr();
                // SAFETY: The slot can be written to.
                unsafe { slot.write(kind) }
            }),
            kinds <- Opaque::ffi_init(move |slot: *mut *mut b::mdev_type| {
                // SAFETY: The slot can be written to, and `kind` stays where it is.
                unsafe { slot.write((*this.as_ptr()).kind.get()) }
            }),
            parent <- Opaque::ffi_init(|slot: *mut b::mdev_parent| {
                // SAFETY: The slot can be written to.
                unsafe { slot.write(pin_init::zeroed()) }
            }),
            _driver: PhantomData,
        })
    }
}

/// A device that can be a parent.
///
/// # Safety
///
/// - `as_raw` must return a device that is registered as long as `self` exists.
/// - `data` must return what is in the hands of that device: it must not move, nor be dropped,
///   before the device is released.
pub(crate) unsafe trait ParentDevice<T: Driver>: Send + Sync {
    /// The device.
    fn as_raw(&self) -> *mut bindings::device;

    /// What the device has in its hands.
    fn data(&self) -> &ParentData<T>;
}

/// A parent of mediated devices, and the driver for them, until this is dropped.
///
/// # Invariants
///
/// The data of `device` is that of a registered parent, whose driver is `driver`; and a reference to
/// its type is ours.
#[pin_data(PinnedDrop)]
pub(crate) struct Parent<T: Driver, D: ParentDevice<T>> {
    /// Goes before `device` does.
    #[pin]
    driver: Registration<T>,
    device: Arc<D>,
}

impl<T: Driver, D: ParentDevice<T>> Parent<T, D> {
    /// Registers the driver, and makes a device the parent of mediated devices.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the device is a parent already, or has been one. Others as the driver core has
    /// them.
    pub(crate) fn new(
        name: &'static CStr,
        module: &'static ThisModule,
        device: Arc<D>,
    ) -> impl PinInit<Self, Error> {
        // INVARIANT: `register` sees to it.
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
        // SAFETY: The device is registered, and the data stays until its release, as
        // `ParentDevice` promises. The data is used for the first time. The array has one element.
        // The driver is registered, and goes after the parent has been unregistered. The type is
        // valid when the parent has been registered.
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
    /// Removes all mediated devices, and waits until they are released.
    fn drop(self: Pin<&mut Self>) {
        let data = self.device.data();
        // SAFETY: By the type invariant. Each mediated device has a reference to the type, and no
        // more are made. So when ours is the last, the core does not need the driver any more.
        unsafe {
            b::mdev_unregister_parent(data.parent.get());
            kobject::put_last(&raw mut (*data.kind.get()).kobj);
        }
    }
}
