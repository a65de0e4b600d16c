// SPDX-License-Identifier: GPL-2.0
//! A virtual machine whose guest may use AP instructions, and its mediated devices. It owns all
//! descriptors. Dropping a [`Device`] closes it in the same way as the end of a VMM.
//!
//! Each fallible function returns the failed step and the errno of the kernel.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::libc::Ioctl;
use nix::sys::eventfd::{EfdFlags, EventFd};
use vfio_bindings::bindings::vfio::{vfio_device_info, vfio_irq_info};

use crate::argument::Argument;
use crate::error::{Result, Step};
use crate::host::MDEVS;
use crate::kvm_run::{self, Cpu};
use crate::memory::Memory;
use crate::payload::{Payload, STORAGE};
use crate::uapi;

/// The way in which a device is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// `/dev/vfio/GROUP` in a container with a type 1 IOMMU.
    Group,
    /// `/dev/vfio/devices/vfioN`, bound to an iommufd.
    Iommufd,
}

/// A KVM virtual machine with AP interpretation, and its virtual CPUs.
pub struct Vm {
    vm: OwnedFd,
    vfio: Rc<OwnedFd>,
    _vcpus: Vec<OwnedFd>,
    guest: Option<Guest>,
}

/// A running guest.
pub struct Guest {
    /// The initial storage.
    pub memory: Memory,
    /// The program in the storage.
    pub payload: Payload,
    /// The CPUs.
    pub cpus: Vec<Cpu>,
}

/// The properties of a guest.
#[derive(Clone, Copy, Debug)]
pub struct GuestOptions {
    /// The number of CPUs.
    pub cpus: usize,
    /// True if each CPU runs on its own CPU of the host, counted from 1.
    pub pinned: bool,
    /// The last adapter that the guest tests.
    pub last_adapter: u8,
    /// The last domain that the guest tests.
    pub last_domain: u8,
}

impl GuestOptions {
    /// Returns options for CPUs that run on any CPU. `last` is the last adapter and the last
    /// domain.
    pub fn new(cpus: usize, last: u8) -> Self {
        Self {
            cpus,
            pinned: false,
            last_adapter: last,
            last_domain: last,
        }
    }
}

impl Vm {
    /// Creates the machine. Its virtual CPUs exist but do not run.
    pub fn new(vcpus: usize) -> Result<Self> {
        let kvm = open("/dev/kvm")?;
        let vm = uapi::create_vm(kvm.as_fd()).step("KVM_CREATE_VM")?;
        uapi::enable_apie(vm.as_fd()).step("KVM_S390_VM_CRYPTO_ENABLE_APIE")?;
        let vfio = uapi::create_vfio_device(vm.as_fd()).step("KVM_CREATE_DEVICE vfio")?;
        let vcpus = (0..vcpus)
            .map(|id| uapi::create_vcpu(vm.as_fd(), id).step(format!("KVM_CREATE_VCPU {id}")))
            .collect::<Result<_>>()?;
        Ok(Self {
            vm,
            vfio: Rc::new(vfio),
            _vcpus: vcpus,
            guest: None,
        })
    }

    /// Creates the machine and starts its guest.
    pub fn with_guest(options: GuestOptions) -> Result<Self> {
        let mut machine = Self::new(0)?;
        let vm = machine.vm.as_fd();
        kvm_run::set_all_facilities(vm).step("KVM_S390_VM_CPU_MODEL")?;
        let memory = Memory::new(0, STORAGE).step("guest memory")?;
        kvm_run::set_slot(vm, 0, Some(memory)).step("KVM_SET_USER_MEMORY_REGION")?;
        let payload = Payload::load(
            memory,
            options.cpus,
            options.last_adapter,
            options.last_domain,
        );
        let kvm = open("/dev/kvm")?;
        let cpus = (0..options.cpus)
            .map(|id| {
                let host_cpu = options.pinned.then_some(id + 1);
                let vcpu = uapi::create_vcpu(vm, id).step(format!("KVM_CREATE_VCPU {id}"))?;
                Cpu::run(kvm.as_fd(), vcpu, payload.start(id), host_cpu).step("mmap of a VCPU")
            })
            .collect::<Result<_>>()?;
        machine.guest = Some(Guest {
            memory,
            payload,
            cpus,
        });
        Ok(machine)
    }

    /// Returns another descriptor of the machine.
    ///
    /// # Errors
    ///
    /// Returns the error of the kernel.
    pub fn duplicate(&self) -> Result<OwnedFd> {
        self.vm.try_clone().step("dup")
    }

    /// Returns the guest if one runs.
    pub fn guest(&self) -> Result<&Guest> {
        self.guest.as_ref().ok_or(Errno::ESRCH).step("no guest")
    }

    /// Adds storage after the initial storage of the guest, or removes it with [`None`].
    pub fn set_more_memory(&self, memory: Option<Memory>) -> Result<()> {
        kvm_run::set_slot(self.vm.as_fd(), 1, memory).step("KVM_SET_USER_MEMORY_REGION")
    }

    /// Passes the file of a group or a device to KVM if `wanted` is true.
    fn link(&self, file: File, wanted: bool) -> Result<Link> {
        if wanted {
            uapi::add_file(self.vfio.as_fd(), file.as_fd()).step("KVM_DEV_VFIO_FILE_ADD")?;
        }
        Ok(Link {
            file,
            vfio: wanted.then(|| Rc::clone(&self.vfio)),
        })
    }

    /// Opens the mediated device `uuid`. If `linked` is false, KVM does not get the file, as if the
    /// VMM had no virtual machine.
    pub fn open(&self, uuid: &str, backend: Backend, linked: bool) -> Result<Device> {
        let sysfs = Path::new(MDEVS).join(uuid);
        Ok(match backend {
            Backend::Group => {
                let group = fs::read_link(sysfs.join("iommu_group")).step("iommu_group")?;
                let number = group.file_name().unwrap_or_default();
                let container = open("/dev/vfio/vfio")?;
                let group = open(Path::new("/dev/vfio").join(number))?;
                uapi::set_container(group.as_fd(), container.as_fd())
                    .step("VFIO_GROUP_SET_CONTAINER")?;
                uapi::set_iommu(container.as_fd()).step("VFIO_SET_IOMMU")?;
                let container = Iommu::Container(container);
                if let Some(guest) = &self.guest {
                    container.map(guest.memory)?;
                }
                let group = self.link(group, linked)?;
                let name = CString::new(uuid).map_err(|_| Errno::EINVAL).step("UUID")?;
                let device =
                    uapi::get_device(group.file.as_fd(), &name).step("VFIO_GROUP_GET_DEVICE_FD")?;
                Device::new(
                    Handle::Group {
                        device,
                        _group: group,
                    },
                    container,
                )
            }
            Backend::Iommufd => {
                let node = fs::read_dir(sysfs.join("vfio-dev"))
                    .and_then(|mut nodes| nodes.next().transpose())
                    .step("vfio-dev")?;
                let node = node.map(|node| node.file_name());
                let node = node.ok_or(Errno::ENODEV).step("vfio-dev")?;
                let iommufd = open("/dev/iommu")?;
                let device = open(Path::new("/dev/vfio/devices").join(node))?;
                let device = self.link(device, linked)?;
                uapi::bind_iommufd(device.file.as_fd(), iommufd.as_fd())
                    .step("VFIO_DEVICE_BIND_IOMMUFD")?;
                let ioas = uapi::alloc_ioas(iommufd.as_fd()).step("IOMMU_IOAS_ALLOC")?;
                let iommufd = Iommu::Iommufd(iommufd, Arc::new(AtomicU32::new(ioas)));
                if let Some(guest) = &self.guest {
                    iommufd.map(guest.memory)?;
                }
                uapi::attach_ioas(device.file.as_fd(), ioas)
                    .step("VFIO_DEVICE_ATTACH_IOMMUFD_PT")?;
                Device::new(Handle::Iommufd(device), iommufd)
            }
        })
    }
}

/// A file that KVM refers to until this value is dropped.
struct Link {
    file: File,
    vfio: Option<Rc<OwnedFd>>,
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(vfio) = &self.vfio {
            // An error means that KVM no longer refers to the file.
            let _ = uapi::delete_file(vfio.as_fd(), self.file.as_fd());
        }
    }
}

/// The I/O address space of a device, with mappings of the guest's storage.
enum Iommu {
    Container(File),
    /// An iommufd, and the number of the I/O address space, which can be replaced.
    Iommufd(File, Arc<AtomicU32>),
}

impl Iommu {
    fn map(&self, memory: Memory) -> Result<()> {
        match self {
            Self::Container(file) => {
                kvm_run::map_dma(file.as_fd(), memory).step("VFIO_IOMMU_MAP_DMA")
            }
            Self::Iommufd(file, ioas) => {
                kvm_run::map_ioas(file.as_fd(), ioas.load(Ordering::SeqCst), memory)
                    .step("IOMMU_IOAS_MAP")
            }
        }
    }

    fn unmap(&self, memory: Memory) -> Result<()> {
        match self {
            Self::Container(file) => {
                kvm_run::unmap_dma(file.as_fd(), memory).step("VFIO_IOMMU_UNMAP_DMA")
            }
            Self::Iommufd(file, ioas) => {
                kvm_run::unmap_ioas(file.as_fd(), ioas.load(Ordering::SeqCst), memory)
                    .step("IOMMU_IOAS_UNMAP")
            }
        }
    }

    /// Returns the file of the iommufd, and the number of the I/O address space.
    fn ioas(&self) -> Result<(&File, &AtomicU32)> {
        match self {
            Self::Iommufd(file, ioas) => Ok((file, ioas)),
            Self::Container(_) => Err(Errno::ENOTTY).step("no iommufd"),
        }
    }

    /// Attaches a new I/O address space to a device, with this storage if there is any. Destroys
    /// the old one.
    fn replace(&self, device: BorrowedFd<'_>, memory: Option<Memory>) -> Result<()> {
        let (iommufd, ioas) = self.ioas()?;
        let new = uapi::alloc_ioas(iommufd.as_fd()).step("IOMMU_IOAS_ALLOC")?;
        if let Some(memory) = memory {
            kvm_run::map_ioas(iommufd.as_fd(), new, memory).step("IOMMU_IOAS_MAP")?;
        }
        uapi::attach_ioas(device, new).step("VFIO_DEVICE_ATTACH_IOMMUFD_PT")?;
        let old = ioas.swap(new, Ordering::SeqCst);
        uapi::destroy_ioas(iommufd.as_fd(), old).step("IOMMU_DESTROY")
    }

    fn try_clone(&self) -> Result<Self> {
        Ok(match self {
            Self::Container(file) => Self::Container(file.try_clone().step("dup")?),
            Self::Iommufd(file, ioas) => {
                Self::Iommufd(file.try_clone().step("dup")?, Arc::clone(ioas))
            }
        })
    }
}

/// An action of a user on a device, which is possible at any time.
#[derive(Clone, Copy)]
pub enum Deed {
    /// Reset all queues.
    Reset,
    /// Map storage of a guest for the device.
    Map(Memory),
    /// Unmap this storage.
    Unmap(Memory),
    /// Detach the device from its I/O address space.
    Detach,
    /// Attach the device to its I/O address space.
    Attach,
    /// Replace the I/O address space by a new one with this storage, if there is any.
    Replace(Option<Memory>),
}

/// A device, for use in another thread.
pub struct Access {
    device: OwnedFd,
    iommu: Iommu,
}

impl Access {
    /// Executes the action.
    pub fn act(&self, deed: Deed) -> Result<()> {
        let device = self.device.as_fd();
        match deed {
            Deed::Reset => uapi::device_reset(device).step("VFIO_DEVICE_RESET"),
            Deed::Map(memory) => self.iommu.map(memory),
            Deed::Unmap(memory) => self.iommu.unmap(memory),
            Deed::Detach => uapi::detach_ioas(device).step("VFIO_DEVICE_DETACH_IOMMUFD_PT"),
            Deed::Attach => {
                let ioas = self.iommu.ioas()?.1.load(Ordering::SeqCst);
                uapi::attach_ioas(device, ioas).step("VFIO_DEVICE_ATTACH_IOMMUFD_PT")
            }
            Deed::Replace(memory) => self.iommu.replace(device, memory),
        }
    }
}

/// The descriptors that keep a device open. The fields are closed in this order.
enum Handle {
    Group { device: OwnedFd, _group: Link },
    Iommufd(Link),
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Group { device, .. } => device.as_fd(),
            Self::Iommufd(device) => device.file.as_fd(),
        }
    }
}

/// The interrupts of a vfio_ap device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Irq {
    /// Requests the release of the device.
    Request = 0,
    /// The AP configuration of the guest has changed.
    ConfigChanged = 1,
}

/// An open device.
pub struct Device {
    // The fields are closed in this order.
    handle: Handle,
    iommu: Iommu,
    events: [Option<EventFd>; 2],
}

impl Device {
    fn new(handle: Handle, iommu: Iommu) -> Self {
        Self {
            handle,
            iommu,
            events: Default::default(),
        }
    }

    /// Maps storage of a guest for the device.
    pub fn map(&self, memory: Memory) -> Result<()> {
        self.iommu.map(memory)
    }

    /// Unmaps storage of a guest for the device.
    pub fn unmap(&self, memory: Memory) -> Result<()> {
        self.iommu.unmap(memory)
    }

    /// Returns the way in which the device was opened.
    pub fn backend(&self) -> Backend {
        match self.iommu {
            Iommu::Container(_) => Backend::Group,
            Iommu::Iommufd(..) => Backend::Iommufd,
        }
    }

    /// Returns access to the device for another thread. The device stays open until the value is
    /// dropped.
    pub fn access(&self) -> Result<Access> {
        Ok(Access {
            device: self.duplicate()?,
            iommu: self.iommu.try_clone()?,
        })
    }

    /// Returns another descriptor of the container.
    pub fn duplicate_container(&self) -> Result<OwnedFd> {
        match &self.iommu {
            Iommu::Container(file) => file.as_fd().try_clone_to_owned().step("dup"),
            Iommu::Iommufd(..) => Err(Errno::ENOTTY).step("no container"),
        }
    }

    /// Closes the descriptors that keep the virtual machine, without KVM_DEV_VFIO_FILE_DEL.
    pub fn leave(&mut self) {
        match &mut self.handle {
            Handle::Group { _group: link, .. } | Handle::Iommufd(link) => link.vfio = None,
        }
    }

    /// Issues any request, with or without an argument.
    pub fn request(&self, request: Ioctl, argument: Option<&Argument>) -> Result<()> {
        uapi::device_request(self.handle.as_fd(), request, argument).step("ioctl")
    }

    /// Returns another descriptor of the device.
    pub fn duplicate(&self) -> Result<OwnedFd> {
        self.handle.as_fd().try_clone_to_owned().step("dup")
    }

    /// Returns VFIO's information about the device.
    pub fn info(&self) -> Result<vfio_device_info> {
        uapi::device_info(self.handle.as_fd()).step("VFIO_DEVICE_GET_INFO")
    }

    /// Resets all queues.
    pub fn reset(&self) -> Result<()> {
        uapi::device_reset(self.handle.as_fd()).step("VFIO_DEVICE_RESET")
    }

    /// Returns the flags for migration.
    pub fn migration_flags(&self) -> Result<u64> {
        uapi::migration_flags(self.handle.as_fd()).step("VFIO_DEVICE_FEATURE_MIGRATION")
    }

    /// Returns the length of the stream of a migration in bytes.
    pub fn migration_data_size(&self) -> Result<u64> {
        uapi::migration_data_size(self.handle.as_fd()).step("VFIO_DEVICE_FEATURE_MIG_DATA_SIZE")
    }

    /// Returns the state in a migration.
    pub fn migration_state(&self) -> Result<u32> {
        uapi::migration_state(self.handle.as_fd()).step("VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE")
    }

    /// Changes the state in a migration. Returns the file of the new state.
    pub fn set_migration_state(&self, state: u32) -> Result<Option<OwnedFd>> {
        uapi::set_migration_state(self.handle.as_fd(), state)
            .step("VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE")
    }

    /// Returns VFIO's information about interrupt `index`.
    pub fn irq_info(&self, index: u32) -> Result<vfio_irq_info> {
        uapi::irq_info(self.handle.as_fd(), index).step("VFIO_DEVICE_GET_IRQ_INFO")
    }

    /// Starts signalling an interrupt through a new eventfd, or stops it.
    pub fn set_irq(&mut self, irq: Irq, on: bool) -> Result<()> {
        let eventfd = on
            .then(|| EventFd::from_flags(EfdFlags::EFD_NONBLOCK))
            .transpose()
            .step("eventfd")?;
        let fd = eventfd.as_ref().map(AsFd::as_fd);
        uapi::set_irq(self.handle.as_fd(), irq as u32, fd).step("VFIO_DEVICE_SET_IRQS")?;
        self.events[irq as usize] = eventfd;
        Ok(())
    }

    /// Returns the number of interrupts since the last call.
    pub fn events(&self, irq: Irq) -> u64 {
        self.events[irq as usize]
            .as_ref()
            .and_then(|fd| fd.read().ok())
            .unwrap_or(0)
    }
}

fn open(path: impl AsRef<Path>) -> Result<File> {
    let path = path.as_ref();
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .step(format!("open {}", path.display()))
}
