// SPDX-License-Identifier: GPL-2.0

//! The states of a VFIO device in a migration.
//!
//! C header: [`include/uapi/linux/vfio.h`](srctree/include/uapi/linux/vfio.h)

use kernel::{
    fs::File,
    prelude::*,
    sync::aref::ARef, //
};

use crate::{
    bindings as b,
    linux::vfio, //
};

/// A state of a device. Source: `enum vfio_device_mig_state`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum State {
    /// The device works.
    #[default]
    Running,
    /// The device does not work, and its state does not change.
    Stop,
    /// The user reads the state of the device.
    StopCopy,
    /// The user writes the state of the device.
    Resuming,
}

impl State {
    /// Returns the value in the C interface.
    pub(crate) const fn to_raw(self) -> b::vfio_device_mig_state {
        match self {
            Self::Running => b::vfio_device_mig_state_VFIO_DEVICE_STATE_RUNNING,
            Self::Stop => b::vfio_device_mig_state_VFIO_DEVICE_STATE_STOP,
            Self::StopCopy => b::vfio_device_mig_state_VFIO_DEVICE_STATE_STOP_COPY,
            Self::Resuming => b::vfio_device_mig_state_VFIO_DEVICE_STATE_RESUMING,
        }
    }

    /// Converts a value of the C interface.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the device cannot be in the state.
    pub(crate) fn from_raw(raw: b::vfio_device_mig_state) -> Result<Self> {
        [Self::Running, Self::Stop, Self::StopCopy, Self::Resuming]
            .into_iter()
            .find(|state| state.to_raw() == raw)
            .ok_or(EINVAL)
    }
}

/// A driver whose devices can be migrated while they are stopped (`VFIO_MIGRATION_STOP_COPY`).
pub(crate) trait Migration: Sized {
    /// Called to change the state of an open device. Returns the file that the new state comes with.
    ///
    /// # Errors
    ///
    /// An error is the result of the system call. The device can be in any state on the way then.
    fn set_state(device: &vfio::Device<Self>, new: State) -> Result<Option<ARef<File>>>
    where
        Self: vfio::Driver;

    /// Returns the state of an open device.
    fn state(device: &vfio::Device<Self>) -> State
    where
        Self: vfio::Driver;

    /// Returns the length of the stream of an open device in bytes.
    fn data_size(device: &vfio::Device<Self>) -> usize
    where
        Self: vfio::Driver;
}
