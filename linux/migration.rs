// SPDX-License-Identifier: GPL-2.0

//! The states of a VFIO device in a migration.
//!
//! C header: [`include/uapi/linux/vfio.h`](srctree/include/uapi/linux/vfio.h)

use kernel::prelude::*;

use crate::bindings as b;

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
