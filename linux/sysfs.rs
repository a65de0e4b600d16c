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
    marker::PhantomData,
    mem::offset_of, //
};

use kernel::{
    bindings,
    error::from_result,
    ffi,
    page::PAGE_SIZE,
    prelude::*,
    str::Formatter, //
};

use crate::linux::versions;

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
pub(crate) type Page<'a> = Formatter<'a>;

/// A text attribute that can be read, written or both.
#[vtable]
pub(crate) trait Attribute: Sync {
    /// What it is an attribute of.
    type Device: DeviceData;

    /// Writes the text for a reader.
    fn show(&self, _device: &Self::Device, _page: &mut Page<'_>) -> Result {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// Takes what was written, up to the first NUL.
    fn store(&self, _device: &Self::Device, _text: &[u8]) -> Result {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }
}

/// A read-only attribute of any length.
pub(crate) trait LongAttribute: Sync {
    /// What it is an attribute of.
    type Device: DeviceData;

    /// Copies the text from `offset` on; returns how much that was, 0 at the end.
    fn read(&self, device: &Self::Device, offset: usize, out: &mut [u8]) -> usize;
}

/// An attribute with its C side, as a static.
///
/// # Invariants
///
/// `raw` is first, and its callbacks are those for `A`.
#[repr(C)]
pub(crate) struct Static<C, A> {
    raw: CStatic<C>,
    attribute: A,
}

impl<C, A> Static<C, A> {
    /// The address of the C side.
    pub(crate) const fn get(&self) -> *mut C {
        self.raw.get()
    }
}

impl<A: Attribute> Static<bindings::device_attribute, A> {
    /// A text attribute with this file name.
    pub(crate) const fn text(name: &'static CStr, attribute: A) -> Self {
        // Field by field on top of zeroes: lockdep adds fields.
        let mut raw: bindings::device_attribute = pin_init::zeroed();
        raw.attr.name = kernel::str::as_char_ptr_in_const_context(name);
        if A::HAS_SHOW {
            raw.attr.mode |= 0o444;
            versions::set_show(&mut raw, Self::show);
        }
        if A::HAS_STORE {
            raw.attr.mode |= 0o200;
            versions::set_store(&mut raw, Self::store);
        }
        // INVARIANT: Above.
        Self {
            raw: CStatic::new(raw),
            attribute,
        }
    }

    extern "C" fn show(
        dev: *mut bindings::device,
        attr: *mut bindings::device_attribute,
        buf: *mut ffi::c_char,
    ) -> isize {
        // SAFETY: Attributes that are in the groups of a driver exist while a device is bound. By
        // the type invariant, this one is that of a static of this type.
        let (device, this) = unsafe { (A::Device::from_device(dev), &*attr.cast::<Self>()) };
        // SAFETY: sysfs gives a page, which is zeroed.
        let page = unsafe { core::slice::from_raw_parts_mut(buf, PAGE_SIZE) };
        let mut page = Page::new(page);
        from_result(|| {
            this.attribute.show(device, &mut page)?;
            Ok(page.bytes_written() as isize)
        })
    }

    extern "C" fn store(
        dev: *mut bindings::device,
        attr: *mut bindings::device_attribute,
        buf: *const ffi::c_char,
        count: usize,
    ) -> isize {
        // SAFETY: As in `show`.
        let (device, this) = unsafe { (A::Device::from_device(dev), &*attr.cast::<Self>()) };
        // SAFETY: sysfs gives `count` bytes.
        let text = unsafe { core::slice::from_raw_parts(buf, count) };
        let text = text.split(|&c| c == 0).next().unwrap_or_default();
        from_result(|| {
            this.attribute.store(device, text)?;
            Ok(count as isize)
        })
    }
}

impl<A: LongAttribute> Static<bindings::bin_attribute, A> {
    /// An attribute of any length with this file name.
    pub(crate) const fn long(name: &'static CStr, attribute: A) -> Self {
        let mut raw: bindings::bin_attribute = pin_init::zeroed();
        raw.attr.name = kernel::str::as_char_ptr_in_const_context(name);
        raw.attr.mode = 0o444;
        raw.read = Some(Self::read);
        // INVARIANT: Above.
        Self {
            raw: CStatic::new(raw),
            attribute,
        }
    }

    extern "C" fn read(
        _file: *mut bindings::file,
        kobj: *mut bindings::kobject,
        attr: versions::ReadAttribute,
        buf: *mut ffi::c_char,
        offset: bindings::loff_t,
        count: usize,
    ) -> isize {
        // SAFETY: The kobject is that of a device; else as for text attributes.
        let (device, this) = unsafe {
            let dev = kernel::container_of!(kobj, bindings::device, kobj);
            (A::Device::from_device(dev), &*attr.cast::<Self>())
        };
        // SAFETY: sysfs gives `count` bytes, which are not initialised.
        let out = unsafe {
            buf.write_bytes(0, count);
            core::slice::from_raw_parts_mut(buf, count)
        };
        usize::try_from(offset).map_or(0, |offset| this.attribute.read(device, offset, out))
            as isize
    }
}

/// A text attribute of devices with a `D` behind them.
#[repr(transparent)]
pub(crate) struct Text<D>(*mut bindings::attribute, PhantomData<fn(&D)>);

impl<D> Text<D> {
    /// Makes an attribute an element of a [`List`].
    pub(crate) const fn new<A: Attribute<Device = D>>(
        attribute: &'static Static<bindings::device_attribute, A>,
    ) -> Self {
        // The generic attribute is the first member.
        const { assert!(offset_of!(bindings::device_attribute, attr) == 0) };
        Self(attribute.get().cast(), PhantomData)
    }
}

/// An attribute of any length, of devices with a `D` behind them.
#[repr(transparent)]
pub(crate) struct Long<D>(*const bindings::bin_attribute, PhantomData<fn(&D)>);

impl<D> Long<D> {
    /// Makes an attribute an element of a [`List`].
    pub(crate) const fn new<A: LongAttribute<Device = D>>(
        attribute: &'static Static<bindings::bin_attribute, A>,
    ) -> Self {
        Self(attribute.get().cast_const(), PhantomData)
    }
}

/// Pointers as C code wants them: with NULL behind the last one.
#[repr(C)]
pub(crate) struct List<P, const N: usize> {
    _elements: [P; N],
    _end: *const (),
}

// SAFETY: The pointers are those of statics that C code may use from any thread.
unsafe impl<P, const N: usize> Sync for List<P, N> {}

impl<P, const N: usize> List<P, N> {
    /// The list of these.
    pub(crate) const fn new(elements: [P; N]) -> Self {
        const { assert!(size_of::<P>() == size_of::<*const ()>()) };
        Self {
            _elements: elements,
            _end: core::ptr::null(),
        }
    }

    const fn get(&'static self) -> *const P {
        core::ptr::from_ref(self).cast()
    }
}

/// A group of attributes of devices with a `D` behind them.
pub(crate) struct Group<D> {
    raw: CStatic<bindings::attribute_group>,
    device: PhantomData<fn(&D)>,
}

impl<D> Group<D> {
    /// The group of these attributes.
    pub(crate) const fn new<const N: usize, const M: usize>(
        text: &'static List<Text<D>, N>,
        long: &'static List<Long<D>, M>,
    ) -> Self {
        let mut raw: bindings::attribute_group = pin_init::zeroed();
        versions::set_attributes(&mut raw, text.get().cast_mut().cast());
        raw.bin_attrs = long.get().cast_mut().cast();
        Self {
            raw: CStatic::new(raw),
            device: PhantomData,
        }
    }
}

/// A list of groups, as drivers have it, whose attributes all are for devices with a `D` behind
/// them: attributes of other devices do not build.
pub(crate) struct Groups<D> {
    list: List<*const bindings::attribute_group, 1>,
    device: PhantomData<fn(&D)>,
}

impl<D> Groups<D> {
    /// The list of one group.
    pub(crate) const fn new(group: &'static Group<D>) -> Self {
        Self {
            list: List::new([group.raw.get().cast_const()]),
            device: PhantomData,
        }
    }

    /// The list, for `dev_groups` of a driver whose devices have a `D` behind them.
    pub(crate) const fn get(&'static self) -> *mut *const bindings::attribute_group {
        self.list.get().cast_mut()
    }
}

/// Defines a static [`Groups`] with one group of attributes, each with the name of its file, its
/// type and its value. All are attributes of the same type of device data.
macro_rules! attribute_groups {
    {
        $vis:vis static $name:ident: $device:ty = {
            text: { $($text:literal: $text_type:ty = $text_value:expr,)* },
            long: { $($long:literal: $long_type:ty = $long_value:expr,)* },
        };
    } => {
        $vis static $name: $crate::linux::sysfs::Groups<$device> = {
            static TEXT: $crate::linux::sysfs::List<
                $crate::linux::sysfs::Text<$device>,
                { <[&CStr]>::len(&[$($text),*]) },
            > = $crate::linux::sysfs::List::new([
                $({
                    static A: $crate::linux::sysfs::Static<
                        kernel::bindings::device_attribute,
                        $text_type,
                    > = $crate::linux::sysfs::Static::text($text, $text_value);
                    $crate::linux::sysfs::Text::new(&A)
                },)*
            ]);
            static LONG: $crate::linux::sysfs::List<
                $crate::linux::sysfs::Long<$device>,
                { <[&CStr]>::len(&[$($long),*]) },
            > = $crate::linux::sysfs::List::new([
                $({
                    static A: $crate::linux::sysfs::Static<
                        kernel::bindings::bin_attribute,
                        $long_type,
                    > = $crate::linux::sysfs::Static::long($long, $long_value);
                    $crate::linux::sysfs::Long::new(&A)
                },)*
            ]);
            static GROUP: $crate::linux::sysfs::Group<$device> =
                $crate::linux::sysfs::Group::new(&TEXT, &LONG);
            $crate::linux::sysfs::Groups::new(&GROUP)
        };
    };
}
pub(crate) use attribute_groups;
