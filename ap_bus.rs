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

    /// The attributes of a bound queue.
    fn attributes() -> &'static sysfs::Groups<QueueData<Self::Data>>;

    /// Prepares the data for a queue that is being bound. The last step that may fail.
    fn prepare(queue: &Queue<device::Core<'_>>) -> Result<Self::Data>;

    /// The queue is bound.
    fn bound(data: &Self::Data);

    /// The queue is being unbound. Its attributes are gone already.
    fn unbound(data: &Self::Data);

    /// Whether queues may be reserved for the host's own drivers.
    ///
    /// Called with [`lock_reservations`] held.
    fn may_reserve(apm: Mask<Apid>, aqm: Mask<Apqi>) -> Result;

    /// A scan of the bus begins by finding that the host configuration has changed.
    fn config_changed(config: &ConfigInfo);

    /// The scan that [`Self::config_changed`] has announced is complete. Where the driver was
    /// registered within it, only this call comes.
    fn scan_complete(config: &ConfigInfo);
}

/// Lets [`driver::Registration`] register a [`Driver`] with the bus.
pub(crate) struct Adapter<T: Driver>(PhantomData<T>);

// SAFETY: `struct ap_driver` is `repr(C)` and embeds a `struct device_driver` at that offset;
// `probe_callback` stores a `QueueData<T::Data>`.
unsafe impl<T: Driver> driver::DriverLayout for Adapter<T> {
    type DriverType = b::ap_driver;
    type DriverData<'bound> = QueueData<T::Data>;
    const DEVICE_DRIVER_OFFSET: usize = offset_of!(b::ap_driver, driver);
}

// SAFETY: Unregistering is valid after registering only.
unsafe impl<T: Driver> driver::RegistrationOps for Adapter<T> {
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
            (*driver).ids = IDS.get().cast();
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

/// Queues of type 10 (CEX4) and newer; the empty entry ends the table.
static IDS: sysfs::CStatic<[b::ap_device_id; 6]> = sysfs::CStatic::new([
    queue_id(b::AP_DEVICE_TYPE_CEX4),
    queue_id(b::AP_DEVICE_TYPE_CEX5),
    queue_id(b::AP_DEVICE_TYPE_CEX6),
    queue_id(b::AP_DEVICE_TYPE_CEX7),
    queue_id(b::AP_DEVICE_TYPE_CEX8),
    pin_init::zeroed(),
]);

const fn queue_id(dev_type: u32) -> b::ap_device_id {
    let mut id: b::ap_device_id = pin_init::zeroed();
    id.match_flags = b::AP_DEVICE_ID_MATCH_QUEUE_TYPE as u16;
    id.dev_type = dev_type as u8;
    id
}

impl<T: Driver> Adapter<T> {
    extern "C" fn probe_callback(dev: *mut b::ap_device) -> ffi::c_int {
        // SAFETY: The table of ids matches queues only.
        let queue = unsafe { &*dev.cast::<Queue<device::CoreInternal<'_>>>() };
        from_result(|| {
            let dev: &device::Device<device::CoreInternal<'_>> = queue.as_ref();
            dev.set_drvdata(T::prepare(queue).map(QueueData))?;
            // SAFETY: Set just now.
            T::bound(unsafe { dev.drvdata_borrow::<QueueData<T::Data>>() }.get_ref());
            Ok(0)
        })
    }

    extern "C" fn remove_callback(raw: *mut b::ap_device) {
        // SAFETY: As in `probe_callback`.
        let queue = unsafe { &*raw.cast::<Queue<device::CoreInternal<'_>>>() };
        let dev: &device::Device<device::CoreInternal<'_>> = queue.as_ref();
        // SAFETY: `probe_callback` has set it; it is dropped at the end of this callback or after it.
        T::unbound(unsafe { dev.drvdata_borrow::<QueueData<T::Data>>() }.get_ref());
        // SAFETY: As above. Attributes have gone, and this is the last callback.
        unsafe { versions::unbound::<QueueData<T::Data>>(&raw mut (*raw).device) };
    }

    extern "C" fn in_use_callback(apm: *mut ffi::c_ulong, aqm: *mut ffi::c_ulong) -> ffi::c_int {
        // SAFETY: The bus gives masks of 256 bits each.
        let (apm, aqm) = unsafe { (*apm.cast(), *aqm.cast()) };
        from_result(|| {
            T::may_reserve(Mask::from_words(apm), Mask::from_words(aqm))?;
            Ok(0)
        })
    }

    extern "C" fn config_changed_callback(
        new: *mut b::ap_config_info,
        _old: *mut b::ap_config_info,
    ) {
        // SAFETY: Valid for this call.
        T::config_changed(unsafe { config(&*new) });
    }

    extern "C" fn scan_complete_callback(
        new: *mut b::ap_config_info,
        _old: *mut b::ap_config_info,
    ) {
        // SAFETY: Valid for this call.
        T::scan_complete(unsafe { config(&*new) });
    }
}

fn config(info: &b::ap_config_info) -> &ConfigInfo {
    const {
        assert!(size_of::<b::ap_config_info>() == size_of::<ConfigInfo>());
        assert!(align_of::<b::ap_config_info>() >= align_of::<ConfigInfo>());
        assert!(offset_of!(b::ap_config_info, apm) == 16);
    }
    // SAFETY: Both are what PQAP(QCI) stores, without padding.
    unsafe { &*core::ptr::from_ref(info).cast() }
}

/// Proof that what is reserved for the host's own drivers does not change, as long as this exists.
///
/// # Invariants
///
/// The guard is that of `ap_attr_mutex`.
pub(crate) struct Reservations {
    _guard: Guard<'static, (), MutexBackend>,
}

/// Keeps `apmask` and `aqmask` as they are.
///
/// Outermost lock: to be taken before all locks of the driver.
pub(crate) fn lock_reservations() -> Reservations {
    // SAFETY: A mutex of the bus, which is built in or pinned by this module's use of it.
    let mutex: &'static Lock<(), MutexBackend> =
        unsafe { Lock::from_raw(&raw mut b::ap_attr_mutex) };
    // INVARIANT: As seen here.
    Reservations {
        _guard: mutex.lock(),
    }
}

/// `apmask` and `aqmask`, which reserve the queues of these adapters and domains for the host's own
/// drivers, unless a queue has a `driver_override`.
pub(crate) fn reserving_masks(_reservations: &Reservations) -> Matrix {
    // SAFETY: Masks of 256 bits each; the caller has the lock that protects them, by the type
    // invariant of `Reservations`.
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
pub(crate) fn is_reserved(_reservations: &Reservations, apqn: Apqn) -> Result<bool> {
    // SAFETY: Takes any numbers; the caller has the lock, as in `reserving_masks`.
    let reserved = unsafe { b::ap_owned_by_def_drv(apqn.apid.0.into(), apqn.apqi.0.into()) };
    to_result(reserved)?;
    Ok(reserved != 0)
}
