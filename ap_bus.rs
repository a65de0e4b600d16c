// SPDX-License-Identifier: GPL-2.0

//! The AP bus seen from Rust.
//!
//! Owns the registration of a driver for queues and the callbacks of the bus; asks the bus who may
//! have a queue. Knows nothing about what the driver does with its queues.
//!
//! This is the face of what is of s390: [`pqap`] has the instruction, [`kvm`] the side of a virtual
//! machine, [`debug_feature`] the debug feature, [`matrix_device`] the device that is the parent of
//! mdevs.
//!
//! C header: `drivers/s390/crypto/ap_bus.h`, which is private to that directory.

pub(crate) mod debug_feature;
pub(crate) mod kvm;
pub(crate) mod matrix_device;
pub(crate) mod pqap;

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
    linux::sysfs,
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

/// A queue on the bus.
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
    /// Its name.
    pub(crate) fn apqn(&self) -> Apqn {
        let device: *mut b::ap_device = self.0.get();
        // SAFETY: By the type invariant; the number never changes.
        let qid = unsafe { (*kernel::container_of!(device, b::ap_queue, ap_dev)).qid };
        // The upper half is unused.
        Apqn::from_raw(qid as u16)
    }
}

// SAFETY: `Queue` is transparent and does not depend on its context.
kernel::impl_device_context_deref!(unsafe { Queue });

impl<Ctx: device::DeviceContext> AsRef<device::Device<Ctx>> for Queue<Ctx> {
    fn as_ref(&self) -> &device::Device<Ctx> {
        // SAFETY: By the type invariant.
        unsafe { device::Device::from_raw(&raw mut (*self.0.get()).device) }
    }
}

/// What is kept with a queue while it is bound to a driver.
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
        // SAFETY: `probe_callback` has set it. The attributes of the driver come after that, and go
        // before the data does.
        unsafe { Pin::<KBox<Self>>::borrow(bindings::dev_get_drvdata(dev)).get_ref() }
    }
}

/// A driver for queues.
pub(crate) trait Driver {
    /// What is kept with each bound queue.
    type Data: Send + Sync + 'static;

    /// The queues that the driver is for.
    const ID_TABLE: IdTable;

    /// The attributes of a bound queue.
    fn attributes() -> &'static sysfs::Groups<QueueData<Self::Data>>;

    /// Prepares the data for a queue that is being bound. The last step that may fail.
    fn probe(queue: &Queue<device::Core<'_>>) -> Result<Self::Data>;

    /// The queue is bound.
    fn bound(data: &Self::Data);

    /// The queue is being unbound. Its attributes are gone already.
    fn unbind(data: &Self::Data);

    /// Whether queues may be reserved for the host's own drivers.
    ///
    /// Called with [`lock_ap_attr`] held.
    fn in_use(apm: Mask<Apid>, aqm: Mask<Apqi>) -> Result;

    /// A scan of the bus begins by finding that the host configuration has changed.
    fn on_config_changed(config: &ConfigInfo);

    /// The scan that [`Self::on_config_changed`] has announced is complete. Where the driver was
    /// registered within it, only this call comes.
    fn on_scan_complete(config: &ConfigInfo);
}

/// Lets [`driver::Registration`] register a [`Driver`] with the bus.
pub(crate) struct Callbacks<T: Driver>(PhantomData<T>);

// SAFETY: `struct ap_driver` is `repr(C)` and embeds a `struct device_driver` at that offset;
// `probe_callback` stores a `QueueData<T::Data>`.
unsafe impl<T: Driver> driver::DriverLayout for Callbacks<T> {
    type DriverType = b::ap_driver;
    type DriverData<'bound> = QueueData<T::Data>;
    const DEVICE_DRIVER_OFFSET: usize = offset_of!(b::ap_driver, driver);
}

// SAFETY: Unregistering is valid after registering only.
unsafe impl<T: Driver> driver::RegistrationOps for Callbacks<T> {
    unsafe fn register(
        driver: &Opaque<b::ap_driver>,
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> Result {
        let driver = driver.get();
        // SAFETY: It is ours until it is registered.
        unsafe {
            (*driver).probe = Some(Self::probe_callback);
            (*driver).remove = Some(Self::remove_callback);
            (*driver).in_use = Some(Self::in_use_callback);
            (*driver).on_config_changed = Some(Self::config_changed_callback);
            (*driver).on_scan_complete = Some(Self::scan_complete_callback);
            (*driver).ids = T::ID_TABLE.as_ptr().cast_mut();
            (*driver).driver.dev_groups = T::attributes().get().cast();
        }
        // SAFETY: The caller keeps it pinned until `unregister`. The bus does not write to the name.
        to_result(unsafe {
            b::ap_driver_register(
                driver,
                module.as_ptr(),
                name.as_char_ptr().cast_mut(), //
            )
        })
    }

    unsafe fn unregister(driver: &Opaque<b::ap_driver>) {
        // SAFETY: By the safety requirement of this function.
        unsafe { b::ap_driver_unregister(driver.get()) }
    }
}

/// An entry of a driver's table of devices.
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

/// A table of devices. All entries match queues, see [`DeviceId::queue`].
pub(crate) type IdTable = &'static dyn device_id::IdTable<DeviceId, ()>;

impl<T: Driver> Callbacks<T> {
    extern "C" fn probe_callback(dev: *mut b::ap_device) -> ffi::c_int {
        // SAFETY: The table of ids matches queues only.
        let queue = unsafe { &*dev.cast::<Queue<device::CoreInternal<'_>>>() };
        from_result(|| {
            let dev: &device::Device<device::CoreInternal<'_>> = queue.as_ref();
            dev.set_drvdata(T::probe(queue).map(QueueData))?;
            // SAFETY: Set just now.
            T::bound(unsafe { dev.drvdata_borrow::<QueueData<T::Data>>() }.get_ref());
            Ok(0)
        })
    }

    extern "C" fn remove_callback(dev: *mut b::ap_device) {
        // SAFETY: As in `probe_callback`.
        let queue = unsafe { &*dev.cast::<Queue<device::CoreInternal<'_>>>() };
        let dev: &device::Device<device::CoreInternal<'_>> = queue.as_ref();
        // SAFETY: `probe_callback` has set it; it is dropped after this callback.
        T::unbind(unsafe { dev.drvdata_borrow::<QueueData<T::Data>>() }.get_ref());
    }

    extern "C" fn in_use_callback(apm: *mut ffi::c_ulong, aqm: *mut ffi::c_ulong) -> ffi::c_int {
        // SAFETY: The bus gives masks of 256 bits each.
        let (apm, aqm) = unsafe { (*apm.cast(), *aqm.cast()) };
        from_result(|| {
            T::in_use(Mask::from_words(apm), Mask::from_words(aqm))?;
            Ok(0)
        })
    }

    extern "C" fn config_changed_callback(
        new: *mut b::ap_config_info,
        _old: *mut b::ap_config_info,
    ) {
        // SAFETY: Valid for this call.
        T::on_config_changed(ConfigInfo::from_raw(unsafe { &*new }));
    }

    extern "C" fn scan_complete_callback(
        new: *mut b::ap_config_info,
        _old: *mut b::ap_config_info,
    ) {
        // SAFETY: Valid for this call.
        T::on_scan_complete(ConfigInfo::from_raw(unsafe { &*new }));
    }
}

/// Proof that what is reserved for the host's own drivers does not change, as long as this exists.
///
/// # Invariants
///
/// The guard is that of `ap_attr_mutex`.
pub(crate) struct ApAttrGuard {
    _guard: Guard<'static, (), MutexBackend>,
}

/// Keeps `apmask` and `aqmask` as they are.
///
/// Outermost lock: to be taken before all locks of the driver.
pub(crate) fn lock_ap_attr() -> ApAttrGuard {
    // SAFETY: A mutex of the bus, which is built in or pinned by this module's use of it.
    let mutex: &'static Lock<(), MutexBackend> =
        unsafe { Lock::from_raw(&raw mut b::ap_attr_mutex) };
    // INVARIANT: As seen here.
    ApAttrGuard {
        _guard: mutex.lock(),
    }
}

/// `apmask` and `aqmask`, which reserve the queues of these adapters and domains for the host's own
/// drivers, unless a queue has a `driver_override`.
pub(crate) fn reserved_masks(_guard: &ApAttrGuard) -> Matrix {
    // SAFETY: Masks of 256 bits each; the caller has the lock that protects them, by the type
    // invariant of `ApAttrGuard`.
    unsafe {
        Matrix {
            apm: Mask::from_words(*(&raw const b::ap_perms.apm).cast()),
            aqm: Mask::from_words(*(&raw const b::ap_perms.aqm).cast()),
            adm: Mask::from_words(*(&raw const b::ap_perms.adm).cast()),
        }
    }
}

/// Whether a queue is reserved for the host's own drivers. The bus has to find it for that.
///
/// The bus can be asked for a whole product of masks, too, but then looks at all 256 domains for each
/// adapter.
pub(crate) fn is_reserved(_guard: &ApAttrGuard, apqn: Apqn) -> Result<bool> {
    // SAFETY: Takes any numbers; the caller has the lock, as in `reserved_masks`.
    let reserved = unsafe { b::ap_owned_by_def_drv(apqn.apid.0.into(), apqn.apqi.0.into()) };
    to_result(reserved)?;
    Ok(reserved != 0)
}
