// SPDX-License-Identifier: GPL-2.0

//! Abstractions of the AP bus, and of other interfaces of s390.
//!
//! Owns the registration of a driver for queues, the callbacks of the bus, and the lock of the masks
//! that reserve queues. The submodules are about s390, too: [`pqap`] has the PQAP instruction, [`kvm`]
//! the virtual machines, [`debug_feature`] the debug feature, and [`matrix_device`] the parent of mdevs.
//!
//! Not supported: drivers for cards, and messages to queues.
//!
//! C header: `drivers/s390/crypto/ap_bus.h`, which is private to that directory.

pub(crate) mod debug_feature;
pub(crate) mod kvm;
pub(crate) mod matrix_device;
pub(crate) mod pqap;
pub(crate) mod trace;

use core::{
    marker::PhantomData,
    mem::offset_of,
    ops::Deref, //
};

use kernel::{
    bindings,
    device,
    device_id::{
        self,
        RawDeviceId, //
    },
    driver,
    error::{
        from_result,
        to_result, //
    },
    ffi,
    prelude::*,
    sync::lock::{
        mutex::MutexBackend,
        Guard,
        Lock, //
    },
    types::{
        ForeignOwnable,
        Opaque, //
    }, //
};

use crate::{
    ap_bus::pqap::ConfigInfo,
    bindings as b,
    linux::{
        sysfs,
        versions, //
    },
    matrix::{
        mask::{
            Apid,
            Apqi,
            Apqn,
            Mask, //
        },
        Matrix, //
    }, //
};

/// A queue device on the AP bus.
///
/// # Invariants
///
/// The device is the `ap_dev` of a valid `struct ap_queue`.
#[repr(transparent)]
pub(crate) struct Queue<Ctx: device::DeviceContext = device::Normal>(
    Opaque<b::ap_device>,
    PhantomData<Ctx>,
);

impl<Ctx: device::DeviceContext> Queue<Ctx> {
    /// Returns the name of the queue.
    pub(crate) fn apqn(&self) -> Apqn {
        let device: *mut b::ap_device = self.0.get();
        // SAFETY: By the type invariant. The number of a queue does not change.
        let qid = unsafe { (*kernel::container_of!(device, b::ap_queue, ap_dev)).qid };
        // The upper half is unused.
        Apqn::from_raw(qid as u16)
    }
}

// SAFETY: `Queue` is transparent, and its layout does not depend on the context.
kernel::impl_device_context_deref!(unsafe { Queue });

impl<Ctx: device::DeviceContext> AsRef<device::Device<Ctx>> for Queue<Ctx> {
    fn as_ref(&self) -> &device::Device<Ctx> {
        // SAFETY: By the type invariant.
        unsafe { device::Device::from_raw(&raw mut (*self.0.get()).device) }
    }
}

/// The data of a queue that is bound to a driver.
#[repr(transparent)]
pub(crate) struct QueueData<D>(D);

impl<D> Deref for QueueData<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.0
    }
}

impl<D: 'static> sysfs::DeviceData for QueueData<D> {
    unsafe fn from_device<'a>(dev: *mut bindings::device) -> &'a Self {
        // SAFETY: `probe_callback` has set the data. The attributes of the driver are added after that,
        // and removed before the data is dropped.
        unsafe { Pin::<KBox<Self>>::borrow(bindings::dev_get_drvdata(dev)).get_ref() }
    }
}

/// A driver for queues.
pub(crate) trait Driver {
    /// The data of each bound queue.
    type Data: Send + Sync + 'static;

    /// The types of queues that the driver supports.
    const ID_TABLE: IdTable;

    /// Returns the attributes of each bound queue.
    fn attributes() -> &'static sysfs::Groups<QueueData<Self::Data>>;

    /// Called to bind a queue. Returns the data of the queue.
    ///
    /// # Errors
    ///
    /// An error means that the queue is not bound.
    fn probe(queue: &Queue<device::Core<'_>>) -> Result<Self::Data>;

    /// Called after [`Self::probe`] has succeeded, when the queue has its data.
    fn bound(data: &Self::Data);

    /// Called to unbind a queue, after its attributes have been removed.
    fn unbind(data: &Self::Data);

    /// Called before queues are reserved for the host's own drivers, with [`lock_ap_attr`] held.
    ///
    /// # Errors
    ///
    /// An error means that one of the queues is in use, and that none are reserved.
    fn in_use(apm: Mask<Apid>, aqm: Mask<Apqi>) -> Result;

    /// Called at the start of a scan of the bus that has found a changed host configuration.
    fn on_config_changed(config: &ConfigInfo);

    /// Called at the end of such a scan. A driver that was registered during the scan gets this call
    /// without [`Self::on_config_changed`].
    fn on_scan_complete(config: &ConfigInfo);
}

/// The callbacks of a [`Driver`]. [`driver::Registration`] registers them with the bus.
pub(crate) struct Callbacks<T: Driver>(PhantomData<T>);

// SAFETY: `struct ap_driver` is `repr(C)` and has a `struct device_driver` at the offset.
// `probe_callback` stores a `QueueData<T::Data>`.
unsafe impl<T: Driver> driver::DriverLayout for Callbacks<T> {
    type DriverType = b::ap_driver;
    type DriverData<'bound> = QueueData<T::Data>;
    const DEVICE_DRIVER_OFFSET: usize = offset_of!(b::ap_driver, driver);
}

// SAFETY: `register` registers the driver, and `unregister` ends that.
unsafe impl<T: Driver> driver::RegistrationOps for Callbacks<T> {
    unsafe fn register(
        driver: &Opaque<b::ap_driver>,
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> Result {
        let driver = driver.get();
        // SAFETY: The driver is not registered, so nobody else uses it.
        unsafe {
            (*driver).probe = Some(Self::probe_callback);
            (*driver).remove = Some(Self::remove_callback);
            (*driver).in_use = Some(Self::in_use_callback);
            (*driver).on_config_changed = Some(Self::config_changed_callback);
            (*driver).on_scan_complete = Some(Self::scan_complete_callback);
            (*driver).ids = T::ID_TABLE.as_ptr().cast_mut();
            (*driver).driver.dev_groups = T::attributes().get().cast();
        }
        // SAFETY: The caller keeps the driver pinned until `unregister`. The bus does not write to the
        // name.
        to_result(unsafe {
            b::ap_driver_register(
                driver,
                module.as_ptr(),
                name.as_char_ptr().cast_mut(), //
            )
        })
    }

    unsafe fn unregister(driver: &Opaque<b::ap_driver>) {
        // SAFETY: By the safety requirement of this function, the driver is registered.
        unsafe { b::ap_driver_unregister(driver.get()) }
    }
}

/// An entry of the device id table of a driver.
#[repr(transparent)]
pub(crate) struct DeviceId(b::ap_device_id);

// SAFETY: `DeviceId` is transparent.
unsafe impl RawDeviceId for DeviceId {
    type RawType = b::ap_device_id;
}

impl DeviceId {
    /// Matches queues of a type, such as [`b::AP_DEVICE_TYPE_CEX4`].
    pub(crate) const fn queue(dev_type: u32) -> Self {
        let mut id: b::ap_device_id = pin_init::zeroed();
        id.match_flags = b::AP_DEVICE_ID_MATCH_QUEUE_TYPE as u16;
        id.dev_type = dev_type as u8;
        Self(id)
    }
}

/// The device id table of a driver. All entries match queues: there is only [`DeviceId::queue`].
pub(crate) type IdTable = &'static dyn device_id::IdTable<DeviceId, ()>;

impl<T: Driver> Callbacks<T> {
    /// # Safety
    ///
    /// Called by the bus to bind a device that the table of ids matches.
    unsafe extern "C" fn probe_callback(dev: *mut b::ap_device) -> ffi::c_int {
        // SAFETY: The table of ids matches queues only. The device lives as long as it is bound.
        let queue = unsafe { &*dev.cast::<Queue<device::CoreInternal<'_>>>() };
        from_result(|| {
            let dev: &device::Device<device::CoreInternal<'_>> = queue.as_ref();
            dev.set_drvdata(T::probe(queue).map(QueueData))?;
            // SAFETY: The data was set above.
            T::bound(unsafe { dev.drvdata_borrow::<QueueData<T::Data>>() }.get_ref());
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by the bus to unbind a device that [`Self::probe_callback`] has bound.
    unsafe extern "C" fn remove_callback(raw: *mut b::ap_device) {
        // SAFETY: As in `probe_callback`.
        let queue = unsafe { &*raw.cast::<Queue<device::CoreInternal<'_>>>() };
        let dev: &device::Device<device::CoreInternal<'_>> = queue.as_ref();
        // SAFETY: `probe_callback` has set the data, which is dropped after this line.
        T::unbind(unsafe { dev.drvdata_borrow::<QueueData<T::Data>>() }.get_ref());
        // SAFETY: As above. The attributes have gone, and this is the last callback.
        unsafe { versions::unbound::<QueueData<T::Data>>(&raw mut (*raw).device) };
    }

    /// # Safety
    ///
    /// Called by the bus with `ap_attr_mutex` held, and with masks of 256 bits.
    unsafe extern "C" fn in_use_callback(
        apm: *mut ffi::c_ulong,
        aqm: *mut ffi::c_ulong,
    ) -> ffi::c_int {
        // SAFETY: The bus passes masks of 256 bits each.
        let (apm, aqm) = unsafe { (*apm.cast(), *aqm.cast()) };
        from_result(|| {
            T::in_use(Mask::from_words(apm), Mask::from_words(aqm))?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by the bus with the information of PQAP(QCI).
    unsafe extern "C" fn config_changed_callback(
        new: *mut b::ap_config_info,
        _old: *mut b::ap_config_info,
    ) {
        // SAFETY: The information is valid during this call.
        T::on_config_changed(ConfigInfo::from_raw(unsafe { &*new }));
    }

    /// # Safety
    ///
    /// Called by the bus with the information of PQAP(QCI).
    unsafe extern "C" fn scan_complete_callback(
        new: *mut b::ap_config_info,
        _old: *mut b::ap_config_info,
    ) {
        // SAFETY: The information is valid during this call.
        T::on_scan_complete(ConfigInfo::from_raw(unsafe { &*new }));
    }
}

/// A guard of `ap_attr_mutex`, which protects `apmask` and `aqmask`.
///
/// # Invariants
///
/// The guard belongs to `ap_attr_mutex`.
pub(crate) struct ApAttrGuard {
    _guard: Guard<'static, (), MutexBackend>,
}

/// Locks `ap_attr_mutex`.
///
/// It must be taken before all locks of the driver.
pub(crate) fn lock_ap_attr() -> ApAttrGuard {
    // SAFETY: The mutex is a static of the bus, which is built in, or used by this module.
    let mutex: &'static Lock<(), MutexBackend> =
        unsafe { Lock::from_raw(&raw mut b::ap_attr_mutex) };
    // INVARIANT: The guard belongs to `ap_attr_mutex`.
    ApAttrGuard {
        _guard: mutex.lock(),
    }
}

/// Returns `apmask` and `aqmask`.
///
/// Queues of these adapters and domains are reserved for the host's own drivers, unless a queue has a
/// `driver_override`.
pub(crate) fn reserved_masks(_guard: &ApAttrGuard) -> Matrix {
    // SAFETY: The masks have 256 bits each. By the type invariant of `ApAttrGuard`, the caller holds
    // the lock that protects them.
    unsafe {
        Matrix {
            apm: Mask::from_words(*(&raw const b::ap_perms.apm).cast()),
            aqm: Mask::from_words(*(&raw const b::ap_perms.aqm).cast()),
            adm: Mask::from_words(*(&raw const b::ap_perms.adm).cast()),
        }
    }
}

/// Returns true if a queue is reserved for the host's own drivers.
///
/// The bus searches its queues for that. It also has a function for masks, which looks at all 256
/// domains of each adapter.
///
/// # Errors
///
/// Those of `ap_owned_by_def_drv()`.
pub(crate) fn is_reserved(_guard: &ApAttrGuard, apqn: Apqn) -> Result<bool> {
    // SAFETY: The function takes any numbers. The caller holds the lock, as in `reserved_masks`.
    let reserved = unsafe { b::ap_owned_by_def_drv(apqn.apid.0.into(), apqn.apqi.0.into()) };
    to_result(reserved)?;
    Ok(reserved != 0)
}
