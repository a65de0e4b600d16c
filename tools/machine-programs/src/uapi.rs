// SPDX-License-Identifier: GPL-2.0
//! The ioctls of KVM, VFIO and iommufd that a user of vfio_ap needs, as safe functions.
//!
//! Structures and constants of VFIO come from the crate `vfio-bindings`. The numbers of requests
//! are macros in C, which the crate does not have, so they are defined here. All structures and
//! constants of iommufd and KVM are defined here, from `linux/iommufd.h`, `linux/kvm.h` and
//! `asm/kvm.h`. The licence of `iommufd-bindings` is Apache-2.0 alone, which is incompatible with
//! GPL-2.0-only, and `kvm-bindings` does not support s390x.
//!
//! Each fallible function returns the errno of the kernel.

use std::ffi::CStr;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc::{self, Ioctl};
use nix::{request_code_none, request_code_readwrite, request_code_write};
use vfio_bindings::bindings::vfio::{
    VFIO_BASE, VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
    VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, VFIO_DEVICE_FEATURE_MIGRATION, VFIO_DEVICE_FEATURE_SET,
    VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_TYPE, VFIO_TYPE1v2_IOMMU,
    vfio_device_attach_iommufd_pt, vfio_device_bind_iommufd, vfio_device_detach_iommufd_pt,
    vfio_device_feature, vfio_device_feature_mig_state, vfio_device_info, vfio_irq_info,
    vfio_irq_set,
};

use crate::argument::Argument;

pub(crate) const KVMIO: u8 = 0xae;
pub(crate) const VFIO: u8 = VFIO_TYPE;

const KVM_CREATE_VM: Ioctl = request_code_none!(KVMIO, 0x01);
const KVM_CREATE_VCPU: Ioctl = request_code_none!(KVMIO, 0x41);
const KVM_CREATE_DEVICE: Ioctl = request_code_readwrite!(KVMIO, 0xe0, size_of::<CreateDevice>());
pub(crate) const KVM_SET_DEVICE_ATTR: Ioctl =
    request_code_write!(KVMIO, 0xe1, size_of::<DeviceAttr>());

const KVM_DEV_TYPE_VFIO: u32 = 4;
const KVM_DEV_VFIO_FILE: u32 = 1;
const KVM_DEV_VFIO_FILE_ADD: u64 = 1;
const KVM_DEV_VFIO_FILE_DEL: u64 = 2;
const KVM_S390_VM_CRYPTO: u32 = 2;
const KVM_S390_VM_CRYPTO_ENABLE_APIE: u64 = 4;

const VFIO_SET_IOMMU: Ioctl = request_code_none!(VFIO, 102);
const VFIO_GROUP_SET_CONTAINER: Ioctl = request_code_none!(VFIO, 104);
const VFIO_GROUP_GET_DEVICE_FD: Ioctl = request_code_none!(VFIO, 106);
const VFIO_DEVICE_GET_INFO: Ioctl = request_code_none!(VFIO, 107);
const VFIO_DEVICE_GET_IRQ_INFO: Ioctl = request_code_none!(VFIO, 109);
const VFIO_DEVICE_SET_IRQS: Ioctl = request_code_none!(VFIO, 110);
const VFIO_DEVICE_RESET: Ioctl = request_code_none!(VFIO, 111);
const VFIO_DEVICE_FEATURE: Ioctl = request_code_none!(VFIO, 117);
const VFIO_DEVICE_BIND_IOMMUFD: Ioctl = request_code_none!(VFIO, 118);
const VFIO_DEVICE_ATTACH_IOMMUFD_PT: Ioctl = request_code_none!(VFIO, 119);
const VFIO_DEVICE_DETACH_IOMMUFD_PT: Ioctl = request_code_none!(VFIO, 120);
const IOMMU_DESTROY: Ioctl = request_code_none!(VFIO, 0x80);
const IOMMU_IOAS_ALLOC: Ioctl = request_code_none!(VFIO, 0x81);

#[repr(C)]
struct CreateDevice {
    r#type: u32,
    fd: u32,
    flags: u32,
}

#[repr(C)]
pub(crate) struct DeviceAttr {
    pub(crate) flags: u32,
    pub(crate) group: u32,
    pub(crate) attr: u64,
    pub(crate) addr: u64,
}

#[repr(C)]
struct IommuDestroy {
    size: u32,
    id: u32,
}

#[repr(C)]
struct IoasAlloc {
    size: u32,
    flags: u32,
    out_ioas_id: u32,
}

/// A [`vfio_irq_set`] with one file descriptor.
#[repr(C)]
struct IrqSet {
    head: vfio_irq_set,
    eventfd: i32,
}

/// A [`vfio_device_feature`] with one word of data.
#[repr(C)]
struct Feature<T> {
    head: vfio_device_feature,
    data: T,
}

/// Returns the `argsz` of a structure, which is a few words long in this module.
pub(crate) const fn argsz<T>() -> u32 {
    size_of::<T>() as u32
}

/// Issues an ioctl whose argument is a number or nothing.
pub(crate) fn by_value(fd: BorrowedFd<'_>, request: Ioctl, argument: usize) -> nix::Result<i32> {
    // SAFETY: the requests of this module with a number do not access memory of this process.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), request, argument) })
}

/// Issues an ioctl whose argument is a structure that the kernel reads and may write.
///
/// # Safety
///
/// `T` must be the structure of `request`, and valid for every bit pattern.
pub(crate) unsafe fn by_reference<T>(
    fd: BorrowedFd<'_>,
    request: Ioctl,
    argument: &mut T,
) -> nix::Result<i32> {
    // SAFETY: `argument` lives through the call. The caller promises its type.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), request, std::ptr::from_mut(argument)) })
}

/// Takes ownership of a descriptor that an ioctl has just created.
fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just returned the descriptor, so this is its only owner.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Issues KVM_CREATE_VM.
pub fn create_vm(kvm: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    by_value(kvm, KVM_CREATE_VM, 0).map(owned)
}

/// Issues KVM_CREATE_VCPU.
pub fn create_vcpu(vm: BorrowedFd<'_>, id: usize) -> nix::Result<OwnedFd> {
    by_value(vm, KVM_CREATE_VCPU, id).map(owned)
}

/// Issues KVM_SET_DEVICE_ATTR.
pub(crate) fn set_attr(fd: BorrowedFd<'_>, group: u32, attr: u64, addr: u64) -> nix::Result<()> {
    let mut attr = DeviceAttr {
        flags: 0,
        group,
        attr,
        addr,
    };
    // SAFETY: this is the structure of this request. `addr` is unused, or the address of the
    // argument of the request, which lives through the call and is only read (see the callers).
    unsafe { by_reference(fd, KVM_SET_DEVICE_ATTR, &mut attr) }.map(drop)
}

/// Enables the interpretation of AP instructions for the guest of `vm`
/// (KVM_S390_VM_CRYPTO_ENABLE_APIE).
pub fn enable_apie(vm: BorrowedFd<'_>) -> nix::Result<()> {
    set_attr(vm, KVM_S390_VM_CRYPTO, KVM_S390_VM_CRYPTO_ENABLE_APIE, 0)
}

/// Creates KVM's VFIO pseudo device, which connects the drivers of VFIO devices with the VM.
pub fn create_vfio_device(vm: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    let mut device = CreateDevice {
        r#type: KVM_DEV_TYPE_VFIO,
        fd: 0,
        flags: 0,
    };
    // SAFETY: this is the structure of this request.
    unsafe { by_reference(vm, KVM_CREATE_DEVICE, &mut device) }?;
    Ok(owned(device.fd.cast_signed()))
}

/// Issues KVM_DEV_VFIO_FILE_ADD for a group or for a device's own file.
pub fn add_file(kvm_vfio: BorrowedFd<'_>, file: BorrowedFd<'_>) -> nix::Result<()> {
    change_files(kvm_vfio, KVM_DEV_VFIO_FILE_ADD, file)
}

/// Issues KVM_DEV_VFIO_FILE_DEL, which ends KVM's reference to the file.
pub fn delete_file(kvm_vfio: BorrowedFd<'_>, file: BorrowedFd<'_>) -> nix::Result<()> {
    change_files(kvm_vfio, KVM_DEV_VFIO_FILE_DEL, file)
}

fn change_files(kvm_vfio: BorrowedFd<'_>, how: u64, file: BorrowedFd<'_>) -> nix::Result<()> {
    let fd: i32 = file.as_raw_fd();
    let addr = std::ptr::from_ref(&fd) as u64;
    set_attr(kvm_vfio, KVM_DEV_VFIO_FILE, how, addr)
}

/// Issues VFIO_GROUP_SET_CONTAINER.
pub fn set_container(group: BorrowedFd<'_>, container: BorrowedFd<'_>) -> nix::Result<()> {
    let mut fd: i32 = container.as_raw_fd();
    // SAFETY: this request reads one descriptor number.
    unsafe { by_reference(group, VFIO_GROUP_SET_CONTAINER, &mut fd) }.map(drop)
}

/// Issues VFIO_SET_IOMMU for the type in which drivers can pin pages.
pub fn set_iommu(container: BorrowedFd<'_>) -> nix::Result<()> {
    by_value(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU as usize).map(drop)
}

/// Issues VFIO_GROUP_GET_DEVICE_FD, which opens the device.
pub fn get_device(group: BorrowedFd<'_>, name: &CStr) -> nix::Result<OwnedFd> {
    by_value(group, VFIO_GROUP_GET_DEVICE_FD, name.as_ptr() as usize).map(owned)
}

/// Issues VFIO_DEVICE_BIND_IOMMUFD, which opens the device.
pub fn bind_iommufd(device: BorrowedFd<'_>, iommufd: BorrowedFd<'_>) -> nix::Result<()> {
    let mut bind = vfio_device_bind_iommufd {
        argsz: argsz::<vfio_device_bind_iommufd>(),
        iommufd: iommufd.as_raw_fd(),
        ..Default::default()
    };
    // SAFETY: this is the structure of this request.
    unsafe { by_reference(device, VFIO_DEVICE_BIND_IOMMUFD, &mut bind) }.map(drop)
}

/// Issues IOMMU_IOAS_ALLOC, which creates an empty I/O address space.
pub fn alloc_ioas(iommufd: BorrowedFd<'_>) -> nix::Result<u32> {
    let mut ioas = IoasAlloc {
        size: argsz::<IoasAlloc>(),
        flags: 0,
        out_ioas_id: 0,
    };
    // SAFETY: this is the structure of this request.
    unsafe { by_reference(iommufd, IOMMU_IOAS_ALLOC, &mut ioas) }?;
    Ok(ioas.out_ioas_id)
}

/// Issues IOMMU_DESTROY for an I/O address space that is no longer in use.
pub fn destroy_ioas(iommufd: BorrowedFd<'_>, ioas: u32) -> nix::Result<()> {
    let mut destroy = IommuDestroy {
        size: argsz::<IommuDestroy>(),
        id: ioas,
    };
    // SAFETY: this is the structure of this request.
    unsafe { by_reference(iommufd, IOMMU_DESTROY, &mut destroy) }.map(drop)
}

/// Issues VFIO_DEVICE_ATTACH_IOMMUFD_PT, which replaces the current I/O address space, if there is
/// one.
pub fn attach_ioas(device: BorrowedFd<'_>, ioas: u32) -> nix::Result<()> {
    let mut attach = vfio_device_attach_iommufd_pt {
        argsz: argsz::<vfio_device_attach_iommufd_pt>(),
        pt_id: ioas,
        ..Default::default()
    };
    // SAFETY: this is the structure of this request.
    unsafe { by_reference(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &mut attach) }.map(drop)
}

/// Issues VFIO_DEVICE_DETACH_IOMMUFD_PT.
pub fn detach_ioas(device: BorrowedFd<'_>) -> nix::Result<()> {
    let mut detach = vfio_device_detach_iommufd_pt {
        argsz: argsz::<vfio_device_detach_iommufd_pt>(),
        ..Default::default()
    };
    // SAFETY: this is the structure of this request.
    unsafe { by_reference(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &mut detach) }.map(drop)
}

/// Returns the code of request `number` of VFIO devices, counted from VFIO_BASE as in
/// `linux/vfio.h`.
pub fn device_request_code(number: u8) -> Ioctl {
    request_code_none!(VFIO, VFIO_BASE as u8 + number)
}

/// Issues any request, with or without an argument. The kernel writes to the memory of the
/// argument.
pub fn device_request(
    device: BorrowedFd<'_>,
    request: Ioctl,
    argument: Option<&Argument>,
) -> nix::Result<()> {
    by_value(device, request, argument.map_or(0, Argument::address)).map(drop)
}

/// Issues VFIO_DEVICE_GET_INFO.
pub fn device_info(device: BorrowedFd<'_>) -> nix::Result<vfio_device_info> {
    let mut info = vfio_device_info {
        argsz: argsz::<vfio_device_info>(),
        ..Default::default()
    };
    // SAFETY: this is the structure of this request.
    unsafe { by_reference(device, VFIO_DEVICE_GET_INFO, &mut info) }?;
    Ok(info)
}

/// Issues VFIO_DEVICE_FEATURE, which gets or sets a feature of a device.
fn feature<T>(device: BorrowedFd<'_>, operation: u32, number: u32, data: T) -> nix::Result<T> {
    let mut feature = Feature {
        head: vfio_device_feature {
            argsz: argsz::<Feature<T>>(),
            flags: operation | number,
            ..Default::default()
        },
        data,
    };
    // SAFETY: this is the structure of this request. The callers pass the data of their feature.
    unsafe { by_reference(device, VFIO_DEVICE_FEATURE, &mut feature) }?;
    Ok(feature.data)
}

/// Returns the flags for migration.
pub fn migration_flags(device: BorrowedFd<'_>) -> nix::Result<u64> {
    feature(
        device,
        VFIO_DEVICE_FEATURE_GET,
        VFIO_DEVICE_FEATURE_MIGRATION,
        0,
    )
}

/// Returns the length of the stream of a migration in bytes.
pub fn migration_data_size(device: BorrowedFd<'_>) -> nix::Result<u64> {
    feature(
        device,
        VFIO_DEVICE_FEATURE_GET,
        VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
        0,
    )
}

/// Returns the state in a migration.
pub fn migration_state(device: BorrowedFd<'_>) -> nix::Result<u32> {
    let data = vfio_device_feature_mig_state::default();
    let number = VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE;
    Ok(feature(device, VFIO_DEVICE_FEATURE_GET, number, data)?.device_state)
}

/// Changes the state in a migration. Returns the file of the new state.
pub fn set_migration_state(device: BorrowedFd<'_>, state: u32) -> nix::Result<Option<OwnedFd>> {
    let data = vfio_device_feature_mig_state {
        device_state: state,
        data_fd: -1,
    };
    let number = VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE;
    let fd = feature(device, VFIO_DEVICE_FEATURE_SET, number, data)?.data_fd;
    Ok((fd >= 0).then(|| owned(fd)))
}

/// Issues VFIO_DEVICE_RESET.
pub fn device_reset(device: BorrowedFd<'_>) -> nix::Result<()> {
    by_value(device, VFIO_DEVICE_RESET, 0).map(drop)
}

/// Issues VFIO_DEVICE_GET_IRQ_INFO.
pub fn irq_info(device: BorrowedFd<'_>, index: u32) -> nix::Result<vfio_irq_info> {
    let mut info = vfio_irq_info {
        argsz: argsz::<vfio_irq_info>(),
        index,
        ..Default::default()
    };
    // SAFETY: this is the structure of this request.
    unsafe { by_reference(device, VFIO_DEVICE_GET_IRQ_INFO, &mut info) }?;
    Ok(info)
}

/// Issues VFIO_DEVICE_SET_IRQS, which starts or stops signalling interrupt `index` through
/// `eventfd`.
pub fn set_irq(
    device: BorrowedFd<'_>,
    index: u32,
    eventfd: Option<BorrowedFd<'_>>,
) -> nix::Result<()> {
    let mut set = IrqSet {
        head: vfio_irq_set {
            argsz: argsz::<IrqSet>(),
            flags: VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
            index,
            count: 1,
            ..Default::default()
        },
        eventfd: eventfd.map_or(-1, |fd| fd.as_raw_fd()),
    };
    // SAFETY: this is the structure of this request, followed by one descriptor.
    unsafe { by_reference(device, VFIO_DEVICE_SET_IRQS, &mut set) }.map(drop)
}
