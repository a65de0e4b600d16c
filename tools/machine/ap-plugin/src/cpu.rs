// SPDX-License-Identifier: GPL-2.0
//! Registers, PSW and storage of a CPU, for an emulated instruction.
//!
//! The other modules use the trait [`Cpu`], and tests have their own implementation. [`Vcpu`] is a
//! CPU of QEMU.

use crate::ffi;
use std::collections::HashMap;
use std::ffi::{CStr, c_uint};
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A CPU during an instruction.
pub(crate) trait Cpu {
    /// Returns the number of the CPU, for messages.
    fn index(&self) -> u32;
    /// Returns general register `number`.
    fn gr(&self, number: u8) -> u64;
    /// Sets general register `number`.
    fn set_gr(&mut self, number: u8, value: u64);
    /// Returns the left half of the PSW. Its condition code can be out of date.
    fn psw_mask(&self) -> u64;
    /// Sets the left half of the PSW. The wait bit must not be set.
    fn set_psw_mask(&mut self, mask: u64);
    /// Returns control register `number`.
    fn cr(&self, number: u8) -> u64;
    /// Sets control register `number`, which purges the TLB.
    fn set_cr(&mut self, number: u8, value: u64);
    /// Sets the condition code, 0 to 3.
    fn set_cc(&mut self, cc: u8);
    /// Returns the prefix register.
    fn prefix(&self) -> u64;
    /// Reads storage at an address of the program, with its translation. Returns `None` if the
    /// address is not mapped. Protection is ignored.
    fn read(&self, address: u64, length: usize) -> Option<Vec<u8>>;
    /// Writes storage at an address of the program. Returns false if the address is not mapped.
    fn write(&mut self, address: u64, data: &[u8]) -> bool;
    /// Translates an address of the program into an absolute address.
    fn translate(&self, address: u64) -> Option<u64>;
    /// Reads absolute storage.
    fn read_absolute(&self, address: u64, length: usize) -> Option<Vec<u8>>;
    /// Writes absolute storage. Returns false if there is no storage.
    fn write_absolute(&mut self, address: u64, data: &[u8]) -> bool;

    /// Applies `change` to the doubleword in absolute storage at `address`, atomically with regard
    /// to other CPUs. Returns the old value, or `None` if there is no storage.
    fn update(&mut self, address: u64, change: impl Fn(u64) -> u64) -> Option<u64>;

    /// Returns the unsigned number of `length` bytes, at most 8, in absolute storage.
    fn number_at(&self, address: u64, length: usize) -> Option<u64> {
        number(&self.read_absolute(address, length)?)
    }

    /// Returns true if the program is in the problem state.
    fn in_problem_state(&self) -> bool {
        const PROBLEM_STATE: u64 = 1 << 48;
        self.psw_mask() & PROBLEM_STATE != 0
    }
}

/// Returns the unsigned number in at most 8 bytes.
fn number(bytes: &[u8]) -> Option<u64> {
    let add = |number, &byte| number << 8 | u64::from(byte);
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, add))
}

/// The position of the condition code in the left half of a PSW (bits 18 and 19).
const CC_SHIFT: u32 = 44;

/// The vCPU of the current callback.
///
/// # Invariants
///
/// A value exists only during a callback of QEMU that may read and write registers, on the thread
/// of the callback, after [`learn_registers`].
pub(crate) struct Vcpu {
    index: u32,
    registers: &'static Registers,
    // QEMU identifies the current CPU by the thread.
    _not_send: PhantomData<*const ()>,
}

/// QEMU's handles of the registers, which are the same for all vCPUs.
struct Registers {
    gr: [Handle; 16],
    cr: [Handle; 16],
    psw_mask: Handle,
    prefix: Handle,
}

#[derive(Clone, Copy)]
struct Handle(*mut ffi::Register);

// SAFETY: A handle is a number in a pointer type. QEMU never changes its meaning, and uses it only
// in the functions below.
unsafe impl Send for Handle {}
// SAFETY: As above.
unsafe impl Sync for Handle {}

static REGISTERS: OnceLock<Registers> = OnceLock::new();

/// A byte array of GLib, in which QEMU passes values.
struct Bytes(*mut ffi::GByteArray);

impl Bytes {
    fn new(data: &[u8]) -> Self {
        // SAFETY: No preconditions. GLib does not return if it is out of memory.
        let bytes = Self(unsafe { ffi::g_byte_array_new() });
        let length = c_uint::try_from(data.len()).expect("values are short");
        // SAFETY: The array is ours. `data` is readable for `length` bytes, which are copied.
        unsafe { ffi::g_byte_array_append(bytes.0, data.as_ptr(), length) };
        bytes
    }

    fn as_slice(&self) -> &[u8] {
        // SAFETY: The array is ours and alive.
        let array = unsafe { &*self.0 };
        if array.len == 0 {
            return &[];
        }
        // SAFETY: GLib keeps `len` initialised bytes at `data`, which do not change while `self` is
        // borrowed.
        unsafe { std::slice::from_raw_parts(array.data, array.len as usize) }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        // SAFETY: This is the only reference to the array, and it ends here.
        unsafe { ffi::g_byte_array_unref(self.0) };
    }
}

/// Initialises the handles of the registers. A vCPU has to be current in the calling callback.
pub(crate) fn learn_registers() {
    REGISTERS.get_or_init(|| {
        // SAFETY: The caller has a current vCPU. Without one, QEMU returns an empty list.
        let array = unsafe { ffi::qemu_plugin_get_registers() };
        // SAFETY: QEMU returns an array of descriptors, which is ours now.
        let descriptors = unsafe {
            std::slice::from_raw_parts(
                (*array).data.cast::<ffi::RegisterDescriptor>(),
                (*array).len as usize,
            )
        };
        let handles: HashMap<String, Handle> = descriptors
            .iter()
            .filter(|descriptor| !descriptor.name.is_null())
            .map(|descriptor| {
                // SAFETY: A name that is not null is a C string with a static lifetime.
                let name = unsafe { CStr::from_ptr(descriptor.name) };
                (
                    name.to_string_lossy().into_owned(),
                    Handle(descriptor.handle),
                )
            })
            .collect();
        // SAFETY: The array is ours, and `descriptors` is no longer used.
        unsafe { ffi::g_array_unref(array) };
        let handle = |name: &str| match handles.get(name) {
            Some(&handle) => handle,
            None => panic!("this QEMU has no register {name} for plugins"),
        };
        Registers {
            gr: std::array::from_fn(|number| handle(&format!("r{number}"))),
            cr: std::array::from_fn(|number| handle(&format!("cr{number}"))),
            psw_mask: handle("pswm"),
            prefix: handle("prefix"),
        }
    });
}

impl Vcpu {
    /// Returns the vCPU of the current callback.
    ///
    /// # Safety
    ///
    /// The caller is a callback of QEMU for vCPU `index`. The callback is registered to read and
    /// write registers, or needs no such registration. The result must not outlive the callback.
    pub(crate) unsafe fn current(index: c_uint) -> Self {
        let registers = REGISTERS.get().expect("a vCPU runs before its start");
        Self {
            index,
            registers,
            _not_send: PhantomData,
        }
    }

    fn get(&self, register: Handle) -> u64 {
        let bytes = Bytes::new(&[]);
        // SAFETY: The type invariant allows reading registers, and the handle is QEMU's.
        let ok = unsafe { ffi::qemu_plugin_read_register(register.0, bytes.0) };
        assert!(ok, "a register cannot be read");
        bytes
            .as_slice()
            .iter()
            .fold(0, |value, &byte| value << 8 | u64::from(byte))
    }

    /// Sets a register. All known registers have 64 bits.
    fn set(&mut self, register: Handle, value: u64) {
        let bytes = Bytes::new(&value.to_be_bytes());
        // SAFETY: The type invariant allows writing registers, the handle is QEMU's, and the value
        // is as long as the register.
        let ok = unsafe { ffi::qemu_plugin_write_register(register.0, bytes.0) };
        assert!(ok, "a register cannot be written");
    }
}

impl Cpu for Vcpu {
    fn index(&self) -> u32 {
        self.index
    }

    fn gr(&self, number: u8) -> u64 {
        self.get(self.registers.gr[usize::from(number)])
    }

    fn set_gr(&mut self, number: u8, value: u64) {
        self.set(self.registers.gr[usize::from(number)], value);
    }

    fn psw_mask(&self) -> u64 {
        self.get(self.registers.psw_mask)
    }

    fn set_psw_mask(&mut self, mask: u64) {
        self.set(self.registers.psw_mask, mask);
    }

    fn cr(&self, number: u8) -> u64 {
        self.get(self.registers.cr[usize::from(number)])
    }

    fn set_cr(&mut self, number: u8, value: u64) {
        self.set(self.registers.cr[usize::from(number)], value);
    }

    fn set_cc(&mut self, cc: u8) {
        let mask = self.psw_mask() & !(3 << CC_SHIFT);
        self.set_psw_mask(mask | u64::from(cc) << CC_SHIFT);
    }

    fn prefix(&self) -> u64 {
        self.get(self.registers.prefix)
    }

    fn read(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        if length == 0 {
            return Some(Vec::new());
        }
        let bytes = Bytes::new(&[]);
        // SAFETY: By the type invariant, a vCPU is current. QEMU resizes the array, and `length` is
        // not 0.
        let ok = unsafe { ffi::qemu_plugin_read_memory_vaddr(address, bytes.0, length) };
        ok.then(|| bytes.as_slice().to_vec())
    }

    fn write(&mut self, address: u64, data: &[u8]) -> bool {
        let bytes = Bytes::new(data);
        // SAFETY: By the type invariant, a vCPU is current. QEMU only reads the array.
        data.is_empty() || unsafe { ffi::qemu_plugin_write_memory_vaddr(address, bytes.0) }
    }

    fn translate(&self, address: u64) -> Option<u64> {
        let mut absolute = 0;
        // SAFETY: By the type invariant, a vCPU is current. `absolute` is a local variable.
        let ok = unsafe { ffi::qemu_plugin_translate_vaddr(address, &raw mut absolute) };
        ok.then_some(absolute)
    }

    fn read_absolute(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        if length == 0 {
            return Some(Vec::new());
        }
        let bytes = Bytes::new(&[]);
        // SAFETY: As in `read`.
        let result = unsafe { ffi::qemu_plugin_read_memory_hwaddr(address, bytes.0, length) };
        (result == 0).then(|| bytes.as_slice().to_vec())
    }

    fn number_at(&self, address: u64, length: usize) -> Option<u64> {
        // The frequent reads are those of tables and of fields of a few bytes.
        let start = address & !7;
        let offset = (address & 7) as usize;
        if (1..=8 - offset).contains(&length)
            && start < STORAGE_END.load(Ordering::Relaxed)
            && let Some(doubleword) = STORAGE.get().and_then(|storage| storage.doubleword(start))
        {
            let bytes = doubleword.load(Ordering::SeqCst).to_ne_bytes();
            return number(&bytes[offset..offset + length]);
        }
        number(&self.read_absolute(address, length)?)
    }

    fn write_absolute(&mut self, address: u64, data: &[u8]) -> bool {
        let bytes = Bytes::new(data);
        // SAFETY: As in `write`.
        data.is_empty() || unsafe { ffi::qemu_plugin_write_memory_hwaddr(address, bytes.0) } == 0
    }

    fn update(&mut self, address: u64, change: impl Fn(u64) -> u64) -> Option<u64> {
        self.read_absolute(address, 8)?;
        let storage = STORAGE.get().expect("a vCPU runs before its start");
        let doubleword = storage.doubleword(address)?;
        let change = |value: u64| Some(change(u64::from_be(value)).to_be());
        let before = doubleword.fetch_update(Ordering::SeqCst, Ordering::SeqCst, change);
        before.ok().map(u64::from_be)
    }
}

/// The address of the machine's storage in this process.
struct Storage(*mut u8);

// SAFETY: The storage lives as long as QEMU, and all accesses are atomic.
unsafe impl Send for Storage {}
// SAFETY: As above.
unsafe impl Sync for Storage {}

static STORAGE: OnceLock<Storage> = OnceLock::new();

/// The end of the machine's storage. There is storage at every lower absolute address. 0 if it is
/// unknown.
static STORAGE_END: AtomicU64 = AtomicU64::new(0);

/// Sets the end of the machine's storage.
pub(crate) fn storage_reaches(end: u64) {
    STORAGE_END.store(end, Ordering::Relaxed);
}

impl Storage {
    /// Returns the doubleword at an absolute address in storage, or `None` if the address is not
    /// aligned.
    fn doubleword(&self, address: u64) -> Option<&AtomicU64> {
        if !address.is_multiple_of(8) {
            return None;
        }
        // SAFETY: All storage of this machine is one piece, `self` points to its start, and the
        // start is aligned to a page. The caller guarantees storage at `address`. Translated code
        // also accesses it by atomic operations.
        Some(unsafe { &*self.0.add(address as usize).cast::<AtomicU64>() })
    }
}

/// Determines the address of the storage from an instruction in it, when QEMU translates the
/// instruction.
///
/// # Safety
///
/// `instruction` belongs to the current translation callback, and a vCPU is current.
pub(crate) unsafe fn learn_storage(instruction: *const ffi::Instruction) {
    if STORAGE.get().is_some() {
        return;
    }
    let mut absolute = 0;
    // SAFETY: The caller's promise. `absolute` is a local variable.
    let host = unsafe {
        let address = ffi::qemu_plugin_insn_vaddr(instruction);
        if !ffi::qemu_plugin_translate_vaddr(address, &raw mut absolute) {
            return;
        }
        ffi::qemu_plugin_insn_haddr(instruction)
    };
    if !host.is_null() {
        let start = host.cast::<u8>().wrapping_sub(absolute as usize);
        // Another vCPU may have set the same value.
        let _ = STORAGE.set(Storage(start));
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! A CPU for tests, with a few pages of storage that are mapped one to one.

    use super::{CC_SHIFT, Cpu};

    pub(crate) struct FakeCpu {
        pub(crate) gr: [u64; 16],
        pub(crate) cr: [u64; 16],
        pub(crate) psw_mask: u64,
        pub(crate) storage: Vec<u8>,
    }

    impl FakeCpu {
        /// Returns a CPU with storage from 0 to 0x3fff.
        pub(crate) fn new() -> Self {
            Self {
                gr: [0; 16],
                cr: [0; 16],
                psw_mask: 0x0400_2001_8000_0000,
                storage: vec![0; 0x4000],
            }
        }

        pub(crate) fn cc(&self) -> u64 {
            self.psw_mask >> CC_SHIFT & 3
        }
    }

    impl Cpu for FakeCpu {
        fn index(&self) -> u32 {
            0
        }
        fn gr(&self, number: u8) -> u64 {
            self.gr[usize::from(number)]
        }
        fn set_gr(&mut self, number: u8, value: u64) {
            self.gr[usize::from(number)] = value;
        }
        fn psw_mask(&self) -> u64 {
            self.psw_mask
        }
        fn set_psw_mask(&mut self, mask: u64) {
            self.psw_mask = mask;
        }
        fn cr(&self, number: u8) -> u64 {
            self.cr[usize::from(number)]
        }
        fn set_cr(&mut self, number: u8, value: u64) {
            self.cr[usize::from(number)] = value;
        }
        fn set_cc(&mut self, cc: u8) {
            self.psw_mask = self.psw_mask & !(3 << CC_SHIFT) | u64::from(cc) << CC_SHIFT;
        }
        fn prefix(&self) -> u64 {
            0x2000
        }
        fn read(&self, address: u64, length: usize) -> Option<Vec<u8>> {
            let start = usize::try_from(address).ok()?;
            Some(
                self.storage
                    .get(start..start.checked_add(length)?)?
                    .to_vec(),
            )
        }
        fn write(&mut self, address: u64, data: &[u8]) -> bool {
            let Ok(start) = usize::try_from(address) else {
                return false;
            };
            match self.storage.get_mut(start..start.wrapping_add(data.len())) {
                Some(bytes) => {
                    bytes.copy_from_slice(data);
                    true
                }
                None => false,
            }
        }
        fn translate(&self, address: u64) -> Option<u64> {
            self.read(address, 1).map(|_| address)
        }
        fn read_absolute(&self, address: u64, length: usize) -> Option<Vec<u8>> {
            self.read(address, length)
        }
        fn write_absolute(&mut self, address: u64, data: &[u8]) -> bool {
            self.write(address, data)
        }
        fn update(&mut self, address: u64, change: impl Fn(u64) -> u64) -> Option<u64> {
            let value = self.number_at(address, 8)?;
            self.write(address, &change(value).to_be_bytes());
            Some(value)
        }
    }
}
