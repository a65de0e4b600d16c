// SPDX-License-Identifier: GPL-2.0

//! The `ioctl` requests of the user of an mdev.
//!
//! Arguments are copied before locks are taken. A page fault that does not end delays only its user.
//!
//! C header: [`include/uapi/linux/vfio.h`](srctree/include/uapi/linux/vfio.h)

use kernel::{
    ioctl::_IO,
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

use crate::{
    bindings as b,
    driver::{
        matrix_mdev::MatrixMdev,
        migration,
        Mdev, //
    },
    linux::eventfd::EventFd, //
};

const GET_INFO: u32 = vfio(7);
const GET_IRQ_INFO: u32 = vfio(9);
const SET_IRQS: u32 = vfio(10);
const RESET: u32 = vfio(11);

const fn vfio(number: u32) -> u32 {
    _IO(b::VFIO_TYPE as u32, b::VFIO_BASE + number)
}

/// Executes a request.
///
/// # Errors
///
/// - `EOPNOTSUPP` if the request does not exist.
/// - `EFAULT` if the argument cannot be accessed.
/// - `EINVAL` if the argument is not valid.
/// - Those of [`EventFd::from_fd`] and [`MatrixMdev::reset`].
pub(crate) fn execute(mdev: &Mdev, cmd: u32, arg: UserPtr) -> Result {
    match cmd {
        GET_INFO => get_info(arg),
        GET_IRQ_INFO => get_irq_info(arg),
        SET_IRQS => set_irqs(mdev, arg),
        RESET => {
            migration::reset(mdev);
            MatrixMdev::reset(mdev)
        }
        _ => Err(EOPNOTSUPP),
    }
}

/// The number of interrupts. The last one is the change of the configuration. Headers of Linux 6.12 do not
/// name it.
const IRQS: u32 = b::VFIO_AP_REQ_IRQ_INDEX + 2;

/// Reads the first `N` words of an argument. The first word is the size of the argument in bytes.
fn read_words<const N: usize>(arg: UserPtr) -> Result<[u32; N]> {
    let words: [u32; N] = UserSlice::new(arg, 4 * N).reader().read()?;
    if (words[0] as usize) < 4 * N {
        return Err(EINVAL);
    }
    Ok(words)
}

/// `VFIO_DEVICE_GET_INFO`
fn get_info(arg: UserPtr) -> Result {
    let [argsz, ..] = read_words::<4>(arg)?;
    let (flags, regions) = (b::VFIO_DEVICE_FLAGS_AP | b::VFIO_DEVICE_FLAGS_RESET, 0);
    UserSlice::new(arg, 16)
        .writer()
        .write(&[argsz, flags, regions, IRQS])
}

/// `VFIO_DEVICE_GET_IRQ_INFO`
fn get_irq_info(arg: UserPtr) -> Result {
    let [argsz, _, index, _] = read_words::<4>(arg)?;
    if index >= IRQS {
        return Err(EINVAL);
    }
    let (flags, count) = (b::VFIO_IRQ_INFO_EVENTFD, 1);
    UserSlice::new(arg, 16)
        .writer()
        .write(&[argsz, flags, index, count])
}

/// `VFIO_DEVICE_SET_IRQS`: sets, replaces or removes the eventfd of an interrupt.
///
/// There are two ways to remove an eventfd: an eventfd of -1, as for the C driver, and no data with a
/// count of 0, as VFIO documents.
fn set_irqs(mdev: &Mdev, arg: UserPtr) -> Result {
    const FD_SIZE: u32 = size_of::<i32>() as u32;
    const HEADER: usize = 5 * size_of::<u32>();

    let [argsz, flags, index, start, count] = read_words::<5>(arg)?;
    // Each interrupt has one source, number 0.
    if index >= IRQS || start != 0 || count > 1 {
        return Err(EINVAL);
    }
    let eventfd = match (flags, count) {
        (SET_EVENTFD, 1) => {
            if argsz < HEADER as u32 + FD_SIZE {
                return Err(EINVAL);
            }
            match UserSlice::new(arg.wrapping_byte_add(HEADER), FD_SIZE as usize)
                .reader()
                .read()?
            {
                -1 => None,
                fd @ 0.. => Some(EventFd::from_fd(fd)?),
                _ => return Err(EINVAL),
            }
        }
        (SET_NONE, 0) => None,
        _ => return Err(EINVAL),
    };

    let old = {
        let mut eventfds = mdev.eventfds();
        let slot = match index {
            b::VFIO_AP_REQ_IRQ_INDEX => &mut eventfds.request,
            _ => &mut eventfds.config_changed,
        };
        core::mem::replace(slot, eventfd)
    };
    drop(old);
    Ok(())
}

const SET_EVENTFD: u32 = b::VFIO_IRQ_SET_DATA_EVENTFD | b::VFIO_IRQ_SET_ACTION_TRIGGER;
const SET_NONE: u32 = b::VFIO_IRQ_SET_DATA_NONE | b::VFIO_IRQ_SET_ACTION_TRIGGER;
