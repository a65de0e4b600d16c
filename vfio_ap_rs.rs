// SPDX-License-Identifier: GPL-2.0

//! VFIO AP: passes queues of IBM crypto adapters to KVM guests.
//!
//! This file has the registrations of the driver, and their order. The modules are:
//!
//! - [`matrix`]: the functional core, without any dependency on the kernel;
//! - [`linux`]: abstractions of kernel interfaces that do not depend on s390;
//! - [`ap_bus`]: abstractions of the AP bus and of other interfaces of s390;
//! - [`driver`]: the driver, in safe code.
//!
//! Each module imports only from modules above it in this list. [`linux`] and [`ap_bus`] have all
//! `unsafe` code but that of one static.

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
    // The name of the C driver, which this one replaces. The two cannot be loaded together, and KVM
    // exports a function to this name only.
    name: "vfio_ap",
    authors: ["The vfio_ap_rs developers"],
    description: "VFIO AP device driver in Rust",
    license: "GPL",
}

type MatrixDevice = matrix_device::MatrixDevice<mdev::ParentData<matrix_mdev::MatrixMdev>>;

/// The registrations of the driver, in the order in which they are dropped.
#[pin_data]
struct VfioApModule {
    /// Removes all mdevs, and waits for their users.
    #[pin]
    _parent: mdev::Parent<matrix_mdev::MatrixMdev, MatrixDevice>,
    /// Unbinds all queues, which resets them.
    #[pin]
    _queue_driver: kernel::driver::Registration<ap_bus::Callbacks<ap_driver::QueueDriver>>,
    _matrix_device: Arc<MatrixDevice>,
    /// Dropped when no callback needs the object any more.
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

/// Ends the work of the driver when it is dropped.
struct PendingWork(Arc<driver::VfioAp>);

impl Drop for PendingWork {
    fn drop(&mut self) {
        self.0.stop();
    }
}
