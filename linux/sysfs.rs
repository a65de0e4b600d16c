// SPDX-License-Identifier: GPL-2.0

//! Attributes of devices.
//!
//! Each attribute is a value of a type that implements [`Attribute`] or [`LongAttribute`].
//! [`attribute_groups`] makes static C structures of such values, for the `dev_groups` of a driver.
//! [`Groups`] has the type of the device data as a parameter, so the attributes of one kind of device
//! cannot be added to another kind.
//!
//! Not supported: attributes that are hidden at times (`is_visible`), and binary attributes that can be
//! written.
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

/// A static that C code may write to.
#[repr(transparent)]
pub(crate) struct CStatic<T>(UnsafeCell<T>);

// SAFETY: Rust code takes only the address. C code serialises its accesses.
unsafe impl<T> Sync for CStatic<T> {}

impl<T> CStatic<T> {
    /// Creates the static with its initial value.
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Returns the address.
    pub(crate) const fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// The Rust object that belongs to a device with attributes.
pub(crate) trait DeviceData {
    /// Returns the object that belongs to `dev`.
    ///
    /// # Safety
    ///
    /// `dev` must be a device of a driver with [`Groups`] of `Self`, and must stay bound for `'a`.
    unsafe fn from_device<'a>(dev: *mut bindings::device) -> &'a Self;
}

/// The text of an attribute that is being read. It has at most one page.
pub(crate) type Page<'a> = Formatter<'a>;

/// A text attribute that can be read, written or both.
#[vtable]
pub(crate) trait Attribute: Sync {
    /// The object that has the attribute.
    type Device: DeviceData;

    /// Writes the text for a reader to `page`.
    ///
    /// # Errors
    ///
    /// An error is the result of the system call.
    fn show(&self, _device: &Self::Device, _page: &mut Page<'_>) -> Result {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// Handles a write. `text` ends before the first NUL.
    ///
    /// # Errors
    ///
    /// An error is the result of the system call.
    fn store(&self, _device: &Self::Device, _text: &[u8]) -> Result {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }
}

/// A read-only attribute of any length.
pub(crate) trait LongAttribute: Sync {
    /// The object that has the attribute.
    type Device: DeviceData;

    /// Copies the text from `offset` on to `out`. Returns the number of bytes, which is 0 at the end.
    fn read(&self, device: &Self::Device, offset: usize, out: &mut [u8]) -> usize;
}

/// An attribute and its C structure.
///
/// # Invariants
///
/// `raw` is the first field. Its callbacks are those for `A`.
#[repr(C)]
pub(crate) struct Static<C, A> {
    raw: CStatic<C>,
    attribute: A,
}

impl<C, A> Static<C, A> {
    /// Returns the C structure.
    pub(crate) const fn get(&self) -> *mut C {
        self.raw.get()
    }
}

impl<A: Attribute> Static<bindings::device_attribute, A> {
    /// Creates a text attribute with a file name.
    pub(crate) const fn text(name: &'static CStr, attribute: A) -> Self {
        // Fields are set one by one, as lockdep adds further ones.
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

    /// # Safety
    ///
    /// Called by sysfs to read the attribute of a bound device.
    unsafe extern "C" fn show(
        dev: *mut bindings::device,
        attr: *mut bindings::device_attribute,
        buf: *mut ffi::c_char,
    ) -> isize {
        // SAFETY: The attributes of a driver exist while a device is bound. By the type invariant,
        // `attr` is the first field of a static of this type.
        let (device, this) = unsafe { (A::Device::from_device(dev), &*attr.cast::<Self>()) };
        // SAFETY: sysfs passes a zeroed page.
        let page = unsafe { core::slice::from_raw_parts_mut(buf, PAGE_SIZE) };
        let mut page = Page::new(page);
        from_result(|| {
            this.attribute.show(device, &mut page)?;
            Ok(page.bytes_written() as isize)
        })
    }

    /// # Safety
    ///
    /// Called by sysfs to write the attribute of a bound device.
    unsafe extern "C" fn store(
        dev: *mut bindings::device,
        attr: *mut bindings::device_attribute,
        buf: *const ffi::c_char,
        count: usize,
    ) -> isize {
        // SAFETY: As in `show`.
        let (device, this) = unsafe { (A::Device::from_device(dev), &*attr.cast::<Self>()) };
        // SAFETY: sysfs passes `count` initialised bytes.
        let text = unsafe { core::slice::from_raw_parts(buf, count) };
        let text = text.split(|&c| c == 0).next().unwrap_or_default();
        from_result(|| {
            this.attribute.store(device, text)?;
            Ok(count as isize)
        })
    }
}

impl<A: LongAttribute> Static<bindings::bin_attribute, A> {
    /// Creates an attribute of any length with a file name.
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

    /// # Safety
    ///
    /// Called by sysfs to read the attribute of a bound device.
    unsafe extern "C" fn read(
        _file: *mut bindings::file,
        kobj: *mut bindings::kobject,
        attr: versions::ReadAttribute,
        buf: *mut ffi::c_char,
        offset: bindings::loff_t,
        count: usize,
    ) -> isize {
        // SAFETY: The kobject belongs to a device. The rest is as in `show` of text attributes.
        let (device, this) = unsafe {
            let dev = kernel::container_of!(kobj, bindings::device, kobj);
            (A::Device::from_device(dev), &*attr.cast::<Self>())
        };
        // SAFETY: sysfs passes `count` bytes, which are not initialised.
        let out = unsafe {
            buf.write_bytes(0, count);
            core::slice::from_raw_parts_mut(buf, count)
        };
        usize::try_from(offset).map_or(0, |offset| this.attribute.read(device, offset, out))
            as isize
    }
}

/// A text attribute of devices whose data is a `D`.
#[repr(transparent)]
pub(crate) struct Text<D>(*mut bindings::attribute, PhantomData<fn(&D)>);

impl<D> Text<D> {
    /// Creates an element of a [`List`].
    pub(crate) const fn new<A: Attribute<Device = D>>(
        attribute: &'static Static<bindings::device_attribute, A>,
    ) -> Self {
        // The cast needs the generic attribute to be the first member.
        const { assert!(offset_of!(bindings::device_attribute, attr) == 0) };
        Self(attribute.get().cast(), PhantomData)
    }
}

/// An attribute of any length, of devices whose data is a `D`.
#[repr(transparent)]
pub(crate) struct Long<D>(*const bindings::bin_attribute, PhantomData<fn(&D)>);

impl<D> Long<D> {
    /// Creates an element of a [`List`].
    pub(crate) const fn new<A: LongAttribute<Device = D>>(
        attribute: &'static Static<bindings::bin_attribute, A>,
    ) -> Self {
        Self(attribute.get().cast_const(), PhantomData)
    }
}

/// An array of pointers that NULL terminates.
#[repr(C)]
pub(crate) struct List<P, const N: usize> {
    _elements: [P; N],
    _end: *const (),
}

// SAFETY: The pointers refer to statics that C code may use from any thread.
unsafe impl<P, const N: usize> Sync for List<P, N> {}

impl<P, const N: usize> List<P, N> {
    /// Creates the array.
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

/// A group of attributes of devices whose data is a `D`.
pub(crate) struct Group<D> {
    raw: CStatic<bindings::attribute_group>,
    device: PhantomData<fn(&D)>,
}

impl<D> Group<D> {
    /// Creates the group of these attributes.
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

/// The groups of attributes of a driver, for devices whose data is a `D`.
pub(crate) struct Groups<D> {
    list: List<*const bindings::attribute_group, 1>,
    device: PhantomData<fn(&D)>,
}

impl<D> Groups<D> {
    /// Creates the groups. There is one.
    pub(crate) const fn new(group: &'static Group<D>) -> Self {
        Self {
            list: List::new([group.raw.get().cast_const()]),
            device: PhantomData,
        }
    }

    /// Returns the groups, for `dev_groups` of a driver whose device data is a `D`.
    pub(crate) const fn get(&'static self) -> *mut *const bindings::attribute_group {
        self.list.get().cast_mut()
    }
}

/// Defines a static [`Groups`] with one group of attributes. An attribute has a file name, a type and a
/// value.
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
