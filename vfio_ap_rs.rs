// SPDX-License-Identifier: GPL-2.0

//! VFIO AP: hands queues of IBM crypto adapters to KVM guests.
//!
//! The whole life of the driver is on this page: what is registered, in which order, and how it goes
//! away again. Where to read on:
//!
//! - [`matrix`]: the functional core, without any dependency on the kernel;
//! - [`linux`]: abstractions of the kernel's interfaces that know nothing of AP;
//! - [`ap_bus`]: those of s390, among them the AP instructions;
//! - [`driver`]: what the driver does, by safe code.
//!
//! Each of these rooms imports from those above it only. All `unsafe` is in the second and the third.

use kernel::{
    prelude::*,
    sync::Arc, //
};

mod ap_bus;
mod bindings;
mod driver;
mod linux;
pub mod matrix;

use ap_bus::{
    matrix_device,
    pqap, //
};
use driver::{
    ap_driver, //
    matrix_mdev,
    module_global,
};
use linux::mdev;

module! {
    type: VfioApModule,
    // That of the C driver, which this one replaces: the two cannot be loaded together, and KVM
    // exports some of its functions to this name only.
    name: "vfio_ap",
    authors: ["The vfio_ap_rs developers"],
    description: "VFIO AP device driver in Rust",
    license: "GPL",
}

type MatrixDevice = matrix_device::MatrixDevice<mdev::ParentData<matrix_mdev::MatrixMdev>>;

/// All that is registered, in the order in which it goes away.
#[pin_data]
struct VfioApModule {
    /// No more mdevs, nor a driver for them: the last users have gone.
    #[pin]
    _parent: mdev::Parent<matrix_mdev::MatrixMdev, MatrixDevice>,
    /// No more queues: they have been reset, and go to the host's drivers.
    #[pin]
    _queue_driver: kernel::driver::Registration<ap_bus::Callbacks<ap_driver::QueueDriver>>,
    _matrix_device: Arc<MatrixDevice>,
    /// Nobody is left to call: no callback without context, no delayed work.
    _published: module_global::Published,
    _work: PendingWork,
}

impl kernel::InPlaceModule for VfioApModule {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            if !pqap::installed() {
                pr_err!("no AP instructions on this machine\n");
                return Err(ENODEV);
            }
            let driver = driver::VfioAp::new()?;
            let registered = driver.clone();
            Ok(try_pin_init!(Self {
                _work: PendingWork(driver.clone()),
                _published: module_global::Published::new(driver)?,
                _matrix_device: Arc::new(
                    MatrixDevice::new(module, mdev::ParentData::new())?,
                    GFP_KERNEL
                )?,
                _queue_driver <- kernel::driver::Registration::new(c"vfio_ap", module),
                _: { registered.registered() },
                _parent <- mdev::Parent::new(c"vfio_ap_mdev", module, _matrix_device.clone()),
            }))
        })
    }
}

/// The work of a driver, which ends when this is dropped.
struct PendingWork(Arc<driver::VfioAp>);

impl Drop for PendingWork {
    fn drop(&mut self) {
        self.0.stop();
    }
}
