// SPDX-License-Identifier: GPL-2.0
//! Runs a virtual CPU: the storage and the facilities of its virtual machine, and a thread in
//! KVM_RUN. As in [`crate::uapi`], numbers and layouts of KVM and iommufd are defined here.
//!
//! Each fallible function returns the errno of the kernel.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use nix::errno::Errno;
use nix::libc::{self, Ioctl};
use nix::unistd::{Pid, gettid};
use nix::{request_code_none, request_code_write};
use vfio_bindings::bindings::vfio::{
    VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
    VFIO_IOMMU_DIRTY_PAGES_FLAG_START, vfio_bitmap, vfio_iommu_type1_dirty_bitmap,
    vfio_iommu_type1_dirty_bitmap_get, vfio_iommu_type1_dma_map, vfio_iommu_type1_dma_unmap,
};

use crate::argument::Argument;
use crate::memory::Memory;
use crate::payload::Start;
use crate::uapi::{
    DeviceAttr, KVM_SET_DEVICE_ATTR, KVMIO, VFIO, argsz, by_reference, by_value, set_attr,
};

const KVM_GET_VCPU_MMAP_SIZE: Ioctl = request_code_none!(KVMIO, 0x04);
const KVM_SET_USER_MEMORY_REGION: Ioctl =
    request_code_write!(KVMIO, 0x46, size_of::<MemoryRegion>());
const KVM_RUN: Ioctl = request_code_none!(KVMIO, 0x80);
const KVM_GET_DEVICE_ATTR: Ioctl = request_code_write!(KVMIO, 0xe2, size_of::<DeviceAttr>());
const VFIO_IOMMU_MAP_DMA: Ioctl = request_code_none!(VFIO, 113);
const VFIO_IOMMU_UNMAP_DMA: Ioctl = request_code_none!(VFIO, 114);
const VFIO_IOMMU_DIRTY_PAGES: Ioctl = request_code_none!(VFIO, 117);
const IOMMU_IOAS_MAP: Ioctl = request_code_none!(VFIO, 0x85);
const IOMMU_IOAS_UNMAP: Ioctl = request_code_none!(VFIO, 0x86);

const PAGE: u64 = 4096;

const KVM_S390_VM_CPU_MODEL: u32 = 3;
const KVM_S390_VM_CPU_PROCESSOR: u64 = 0;
const KVM_S390_VM_CPU_MACHINE: u64 = 1;
const KVM_EXIT_S390_SIEIC: u32 = 13;
const KVM_SYNC_PREFIX: u64 = 1 << 0;
const KVM_SYNC_GPRS: u64 = 1 << 1;

#[repr(C)]
struct MemoryRegion {
    slot: u32,
    flags: u32,
    guest_phys_addr: u64,
    memory_size: u64,
    userspace_addr: u64,
}

#[repr(C)]
struct CpuMachine {
    cpuid: u64,
    ibc: u32,
    pad: [u8; 4],
    fac_mask: [u64; 256],
    fac_list: [u64; 256],
}

#[repr(C)]
struct CpuProcessor {
    cpuid: u64,
    ibc: u16,
    pad: [u8; 6],
    fac_list: [u64; 256],
}

#[repr(C)]
struct IoasUnmap {
    size: u32,
    ioas_id: u32,
    iova: u64,
    length: u64,
}

#[repr(C)]
struct IoasMap {
    size: u32,
    flags: u32,
    ioas_id: u32,
    reserved: u32,
    user_va: u64,
    length: u64,
    iova: u64,
}

/// A request for the bitmap of one range of addresses.
#[repr(C)]
struct DirtyPages {
    head: vfio_iommu_type1_dirty_bitmap,
    range: vfio_iommu_type1_dirty_bitmap_get,
}

/// The used part of `struct kvm_run`.
#[repr(C)]
struct Run {
    unused: [u8; 8],
    exit_reason: u32,
    unused_12: [u8; 20],
    psw_mask: u64,
    psw_addr: u64,
    /// The interception code of KVM_EXIT_S390_SIEIC.
    icptcode: u8,
    ipa: u16,
    ipb: u32,
    unused_56: [u8; 248],
    kvm_valid_regs: u64,
    kvm_dirty_regs: u64,
    prefix: u64,
    gprs: [u64; 16],
}

const _: () = assert!(std::mem::offset_of!(Run, icptcode) == 48);
const _: () = assert!(std::mem::offset_of!(Run, kvm_valid_regs) == 304);
const _: () = assert!(std::mem::offset_of!(Run, prefix) == 320);

fn model_attr<T>(vm: BorrowedFd<'_>, request: Ioctl, attr: u64, model: &mut T) -> nix::Result<()> {
    let mut attr = DeviceAttr {
        flags: 0,
        group: KVM_S390_VM_CPU_MODEL,
        attr,
        addr: std::ptr::from_mut(model) as u64,
    };
    // SAFETY: this is the structure of both requests. Its address is that of `model`, which lives
    // through the call. The callers below pass the type for `attr`.
    unsafe { by_reference(vm, request, &mut attr) }.map(drop)
}

/// A CPU model without any facilities, as the words of an argument.
pub const NO_PROCESSOR: [u32; size_of::<CpuProcessor>() / 4] = [0; size_of::<CpuProcessor>() / 4];

/// Makes KVM read the model of the CPUs from an argument. KVM holds the lock of the virtual machine
/// while it reads.
pub fn read_processor(vm: BorrowedFd<'_>, argument: &Argument) -> nix::Result<()> {
    let address = argument.address() as u64;
    set_attr(
        vm,
        KVM_S390_VM_CPU_MODEL,
        KVM_S390_VM_CPU_PROCESSOR,
        address,
    )
}

/// Enables all facilities that KVM supports for a guest, including those that are off by default.
pub fn set_all_facilities(vm: BorrowedFd<'_>) -> nix::Result<()> {
    let mut machine = CpuMachine {
        cpuid: 0,
        ibc: 0,
        pad: [0; 4],
        fac_mask: [0; 256],
        fac_list: [0; 256],
    };
    model_attr(
        vm,
        KVM_GET_DEVICE_ATTR,
        KVM_S390_VM_CPU_MACHINE,
        &mut machine,
    )?;
    let mut processor = CpuProcessor {
        cpuid: machine.cpuid,
        ibc: 0,
        pad: [0; 6],
        fac_list: std::array::from_fn(|index| machine.fac_list[index] & machine.fac_mask[index]),
    };
    model_attr(
        vm,
        KVM_SET_DEVICE_ATTR,
        KVM_S390_VM_CPU_PROCESSOR,
        &mut processor,
    )
}

/// Adds storage of a guest as a slot, or removes the slot with [`None`].
pub fn set_slot(vm: BorrowedFd<'_>, slot: u32, memory: Option<Memory>) -> nix::Result<()> {
    let mut region = MemoryRegion {
        slot,
        flags: 0,
        guest_phys_addr: memory.map_or(0, |memory| memory.start()),
        memory_size: memory.map_or(0, |memory| memory.length()),
        userspace_addr: memory.map_or(0, |memory| memory.address()),
    };
    // SAFETY: this is the structure of this request. The memory is never unmapped.
    unsafe { by_reference(vm, KVM_SET_USER_MEMORY_REGION, &mut region) }.map(drop)
}

/// Issues VFIO_IOMMU_MAP_DMA, which maps the guest's storage for devices at guest addresses.
pub fn map_dma(container: BorrowedFd<'_>, memory: Memory) -> nix::Result<()> {
    let mut map = vfio_iommu_type1_dma_map {
        argsz: argsz::<vfio_iommu_type1_dma_map>(),
        flags: VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
        vaddr: memory.address(),
        iova: memory.start(),
        size: memory.length(),
    };
    // SAFETY: this is the structure of this request.
    unsafe { by_reference(container, VFIO_IOMMU_MAP_DMA, &mut map) }.map(drop)
}

/// Issues VFIO_IOMMU_UNMAP_DMA, which unmaps the storage.
pub fn unmap_dma(container: BorrowedFd<'_>, memory: Memory) -> nix::Result<()> {
    let mut unmap = vfio_iommu_type1_dma_unmap {
        argsz: argsz::<vfio_iommu_type1_dma_unmap>(),
        iova: memory.start(),
        size: memory.length(),
        ..Default::default()
    };
    // SAFETY: this is the structure of this request.
    unsafe { by_reference(container, VFIO_IOMMU_UNMAP_DMA, &mut unmap) }.map(drop)
}

/// Issues IOMMU_IOAS_UNMAP, which unmaps the storage in an iommufd.
pub fn unmap_ioas(iommufd: BorrowedFd<'_>, ioas: u32, memory: Memory) -> nix::Result<()> {
    let mut unmap = IoasUnmap {
        size: argsz::<IoasUnmap>(),
        ioas_id: ioas,
        iova: memory.start(),
        length: memory.length(),
    };
    // SAFETY: this is the structure of this request.
    unsafe { by_reference(iommufd, IOMMU_IOAS_UNMAP, &mut unmap) }.map(drop)
}

/// Issues VFIO_IOMMU_DIRTY_PAGES, which starts the tracking of written pages of the guest's
/// storage.
pub fn track_dirty_pages(container: BorrowedFd<'_>) -> nix::Result<()> {
    let mut bitmap = vfio_iommu_type1_dirty_bitmap {
        argsz: argsz::<vfio_iommu_type1_dirty_bitmap>(),
        flags: VFIO_IOMMU_DIRTY_PAGES_FLAG_START,
        ..Default::default()
    };
    // SAFETY: this is the structure of this request. With this flag, no range follows.
    unsafe { by_reference(container, VFIO_IOMMU_DIRTY_PAGES, &mut bitmap) }.map(drop)
}

/// Returns the words of a bitmap for the pages of this storage.
pub fn dirty_bitmap(memory: Memory) -> Vec<u32> {
    let pages = memory.length() / PAGE;
    vec![0; (pages.next_multiple_of(64) / 32) as usize]
}

/// Issues VFIO_IOMMU_DIRTY_PAGES, which writes such a bitmap to an argument. VFIO holds the lock of
/// the container while it writes.
pub fn read_dirty_pages(
    container: BorrowedFd<'_>,
    memory: Memory,
    argument: &Argument,
) -> nix::Result<()> {
    let mut bitmap = DirtyPages {
        head: vfio_iommu_type1_dirty_bitmap {
            argsz: argsz::<DirtyPages>(),
            flags: VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
            ..Default::default()
        },
        range: vfio_iommu_type1_dirty_bitmap_get {
            iova: memory.start(),
            size: memory.length(),
            bitmap: vfio_bitmap {
                pgsize: PAGE,
                size: 4 * dirty_bitmap(memory).len() as u64,
                data: std::ptr::with_exposed_provenance_mut(argument.address()),
            },
        },
    };
    // SAFETY: this is the structure of this request. The argument has room for the bitmap.
    unsafe { by_reference(container, VFIO_IOMMU_DIRTY_PAGES, &mut bitmap) }.map(drop)
}

/// Issues IOMMU_IOAS_MAP, which maps the storage in an iommufd.
pub fn map_ioas(iommufd: BorrowedFd<'_>, ioas: u32, memory: Memory) -> nix::Result<()> {
    const FIXED_IOVA: u32 = 1 << 0;
    const WRITEABLE: u32 = 1 << 1;
    const READABLE: u32 = 1 << 2;
    let mut map = IoasMap {
        size: argsz::<IoasMap>(),
        flags: FIXED_IOVA | WRITEABLE | READABLE,
        ioas_id: ioas,
        reserved: 0,
        user_va: memory.address(),
        length: memory.length(),
        iova: memory.start(),
    };
    // SAFETY: this is the structure of this request.
    unsafe { by_reference(iommufd, IOMMU_IOAS_MAP, &mut map) }.map(drop)
}

/// A virtual CPU that runs in its own thread. It runs until its guest does something that KVM does
/// not handle, or until this process ends.
pub struct Cpu {
    end: Arc<Mutex<Option<String>>>,
    thread: Pid,
}

impl Cpu {
    /// Starts the CPU, on `host_cpu` if one is given.
    pub fn run(
        kvm: BorrowedFd<'_>,
        vcpu: OwnedFd,
        start: Start,
        host_cpu: Option<usize>,
    ) -> nix::Result<Self> {
        let size = usize::try_from(by_value(kvm, KVM_GET_VCPU_MMAP_SIZE, 0)?).unwrap_or(0);
        if size < size_of::<Run>() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: a new mapping does not change others. It stays until this process ends.
        let area = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                vcpu.as_raw_fd(),
                0,
            )
        };
        if area == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let area = Area(NonNull::new(area.cast()).ok_or(Errno::ENOMEM)?);
        let end: Arc<Mutex<_>> = Arc::default();
        let ours = Arc::clone(&end);
        let (hello, thread) = mpsc::channel();
        let alone = host_cpu.map(cpu_set);
        thread::spawn(move || {
            // The receiver waits for this message.
            let _ = hello.send(gettid());
            if let Some(set) = alone {
                // SAFETY: the set has the given length. If the CPU does not exist, the thread runs
                // on any CPU.
                unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
            }
            let why = area.run(&vcpu, start);
            *ours.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        });
        let thread = thread.recv().map_err(|_| Errno::ESRCH)?;
        Ok(Self { end, thread })
    }

    /// Returns the thread of the CPU.
    pub fn thread(&self) -> Pid {
        self.thread
    }

    /// Returns the reason if the CPU has stopped running.
    pub fn end(&self) -> Option<String> {
        self.end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Returns the set of one CPU.
fn cpu_set(cpu: usize) -> libc::cpu_set_t {
    // SAFETY: the structure is an array of integers, for which zero is valid.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the number is within the set.
    unsafe { libc::CPU_SET(cpu % libc::CPU_SETSIZE as usize, &mut set) };
    set
}

/// The memory that a virtual CPU shares with KVM.
///
/// # Invariants
///
/// The pointer is that of a mapping that contains a [`Run`] and is never unmapped. Only the thread
/// of the CPU uses it.
struct Area(NonNull<Run>);

// SAFETY: by the invariant, only one thread uses it.
unsafe impl Send for Area {}

impl Area {
    /// Runs the CPU, and returns the reason for the end.
    fn run(mut self, vcpu: &OwnedFd, start: Start) -> String {
        {
            // SAFETY: by the invariant. KVM uses the memory only during KVM_RUN.
            let run = unsafe { self.0.as_mut() };
            (run.psw_mask, run.psw_addr) = start.psw;
            run.prefix = start.prefix;
            run.gprs[13] = start.mailbox;
            run.kvm_dirty_regs = KVM_SYNC_PREFIX | KVM_SYNC_GPRS;
        }
        loop {
            match by_value(vcpu.as_fd(), KVM_RUN, 0) {
                Err(Errno::EINTR | Errno::EAGAIN) => continue,
                Err(errno) => return format!("KVM_RUN: {errno:?}"),
                Ok(_) => {}
            }
            // SAFETY: as above.
            let run = unsafe { self.0.as_ref() };
            let place = format!("psw={:016x} {:016x}", run.psw_mask, run.psw_addr);
            return match run.exit_reason {
                KVM_EXIT_S390_SIEIC => format!(
                    "interception {:02x} ipa={:04x} ipb={:08x} {place}",
                    run.icptcode, run.ipa, run.ipb
                ),
                reason => format!("exit {reason} {place}"),
            };
        }
    }
}
