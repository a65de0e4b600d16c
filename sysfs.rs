// SPDX-License-Identifier: GPL-2.0

//! Attributes of devices, as types.
//!
//! Owns the C structures of `struct device_attribute` and `struct bin_attribute` and their
//! callbacks. Knows nothing about the driver.
//!
//! What is not supported: attributes that come and go (`is_visible`), and binary attributes that
//! can be written.
//!
//! C header: [`include/linux/sysfs.h`](srctree/include/linux/sysfs.h)

use core::{
    cell::UnsafeCell,
    marker::PhantomData, //
};

use kernel::{
    bindings,
    error::from_result,
    ffi,
    fmt,
    page::PAGE_SIZE,
    prelude::*,
    str::Formatter, //
};

/// A static that is given to C code, which may write to it.
#[repr(transparent)]
pub(crate) struct CStatic<T>(UnsafeCell<T>);

// SAFETY: Rust code only takes the address; the C code that is given it serialises its accesses.
unsafe impl<T> Sync for CStatic<T> {}

impl<T> CStatic<T> {
    /// Wraps the initial value.
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The address.
    pub(crate) const fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// The Rust object behind a device that has attributes.
pub(crate) trait DeviceData {
    /// The object behind `dev`.
    ///
    /// # Safety
    ///
    /// `dev` must be a device of the kind that this type is for, and bound to its driver for `'a`.
    unsafe fn from_device<'a>(dev: *mut bindings::device) -> &'a Self;
}

/// The text of an attribute that is being read, at most a page.
pub(crate) struct Page<'a>(Formatter<'a>);

impl fmt::Write for Page<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.write_str(s)
    }
}

/// A text attribute that can be read, written or both.
#[vtable]
pub(crate) trait Attribute {
    /// What it is an attribute of.
    type Device: DeviceData;

    /// The name of the file.
    const NAME: &'static CStr;

    /// Writes the text for a reader.
    fn show(_device: &Self::Device, _page: &mut Page<'_>) -> Result {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// Takes what was written, up to the first NUL.
    fn store(_device: &Self::Device, _text: &[u8]) -> Result {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }
}

/// A read-only attribute of any length.
pub(crate) trait LongAttribute {
    /// What it is an attribute of.
    type Device: DeviceData;

    /// The name of the file.
    const NAME: &'static CStr;

    /// Copies the text from `offset` on; returns how much that was, 0 at the end.
    fn read(device: &Self::Device, offset: usize, out: &mut [u8]) -> usize;
}

struct Callbacks<A>(PhantomData<A>);

impl<A: Attribute> Callbacks<A> {
    extern "C" fn show(
        dev: *mut bindings::device,
        _attr: *mut bindings::device_attribute,
        buf: *mut ffi::c_char,
    ) -> isize {
        // SAFETY: Attributes that are in the groups of a driver exist while a device is bound.
        let device = unsafe { A::Device::from_device(dev) };
        // SAFETY: sysfs gives a page.
        let page = unsafe { core::slice::from_raw_parts_mut(buf, PAGE_SIZE) };
        let mut page = Page(Formatter::new(page));
        from_result(|| {
            A::show(device, &mut page)?;
            Ok(page.0.bytes_written() as isize)
        })
    }

    extern "C" fn store(
        dev: *mut bindings::device,
        _attr: *mut bindings::device_attribute,
        buf: *const ffi::c_char,
        count: usize,
    ) -> isize {
        // SAFETY: As in `show`.
        let device = unsafe { A::Device::from_device(dev) };
        // SAFETY: sysfs gives `count` bytes.
        let text = unsafe { core::slice::from_raw_parts(buf, count) };
        let text = text.split(|&c| c == 0).next().unwrap_or_default();
        from_result(|| {
            A::store(device, text)?;
            Ok(count as isize)
        })
    }
}

struct LongCallbacks<A>(PhantomData<A>);

impl<A: LongAttribute> LongCallbacks<A> {
    extern "C" fn read(
        _file: *mut bindings::file,
        kobj: *mut bindings::kobject,
        _attr: *const bindings::bin_attribute,
        buf: *mut ffi::c_char,
        offset: bindings::loff_t,
        count: usize,
    ) -> isize {
        // SAFETY: The kobject is that of a device.
        let dev = unsafe { kernel::container_of!(kobj, bindings::device, kobj) };
        // SAFETY: Attributes that are in the groups of a driver exist while a device is bound.
        let device = unsafe { A::Device::from_device(dev) };
        // SAFETY: sysfs gives `count` bytes.
        let out = unsafe { core::slice::from_raw_parts_mut(buf, count) };
        usize::try_from(offset).map_or(0, |offset| A::read(device, offset, out)) as isize
    }
}

/// The C side of a text attribute.
pub(crate) const fn attribute<A: Attribute>() -> CStatic<bindings::device_attribute> {
    // Field by field on top of zeroes: lockdep adds fields.
    let mut attribute: bindings::device_attribute = pin_init::zeroed();
    attribute.attr.name = kernel::str::as_char_ptr_in_const_context(A::NAME);
    if A::HAS_SHOW {
        attribute.attr.mode |= 0o444;
        attribute.__bindgen_anon_1.show = Some(Callbacks::<A>::show);
    }
    if A::HAS_STORE {
        attribute.attr.mode |= 0o200;
        attribute.__bindgen_anon_2.store = Some(Callbacks::<A>::store);
    }
    CStatic::new(attribute)
}

/// The C side of an attribute of any length.
pub(crate) const fn long_attribute<A: LongAttribute>() -> CStatic<bindings::bin_attribute> {
    let mut attribute: bindings::bin_attribute = pin_init::zeroed();
    attribute.attr.name = kernel::str::as_char_ptr_in_const_context(A::NAME);
    attribute.attr.mode = 0o444;
    attribute.read = Some(LongCallbacks::<A>::read);
    CStatic::new(attribute)
}

/// A NULL-terminated list of groups, as drivers have it.
pub(crate) type Groups = CStatic<[*const bindings::attribute_group; 2]>;

/// Defines a static [`Groups`] with one group of attributes.
macro_rules! attribute_groups {
    {
        $vis:vis static $name:ident = {
            text: [$($text:ty),* $(,)?],
            long: [$($long:ty),* $(,)?] $(,)?
        };
    } => {
        $vis static $name: $crate::sysfs::Groups = {
            static TEXT: $crate::sysfs::CStatic<
                [*mut kernel::bindings::attribute; $crate::sysfs::attribute_groups!(@n $($text),*)]
            > = $crate::sysfs::CStatic::new([
                $({
                    static A: $crate::sysfs::CStatic<kernel::bindings::device_attribute> =
                        $crate::sysfs::attribute::<$text>();
                    A.get().cast()
                },)*
                ::core::ptr::null_mut(),
            ]);
            static LONG: $crate::sysfs::CStatic<
                [*const kernel::bindings::bin_attribute;
                    $crate::sysfs::attribute_groups!(@n $($long),*)]
            > = $crate::sysfs::CStatic::new([
                $({
                    static A: $crate::sysfs::CStatic<kernel::bindings::bin_attribute> =
                        $crate::sysfs::long_attribute::<$long>();
                    A.get().cast_const()
                },)*
                ::core::ptr::null(),
            ]);
            static GROUP: $crate::sysfs::CStatic<kernel::bindings::attribute_group> = {
                let mut group: kernel::bindings::attribute_group = pin_init::zeroed();
                group.__bindgen_anon_2.attrs = TEXT.get().cast();
                group.bin_attrs = LONG.get().cast();
                $crate::sysfs::CStatic::new(group)
            };
            $crate::sysfs::CStatic::new([GROUP.get().cast_const(), ::core::ptr::null()])
        };
    };
    // The number of the attributes and of the NULL behind them.
    (@n $($attribute:ty),*) => {
        <[&str]>::len(&[$(::core::stringify!($attribute)),*]) + 1
    };
}
pub(crate) use attribute_groups;
