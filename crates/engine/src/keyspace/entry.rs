//! Entry: a key, its value and its expiry in one allocation, behind an owned pointer of eight bytes.
//!
//! ```text
//!    0        4         6           8        24          32        p      k           v
//!   +--------+---------+-----------+--------+-----------+---------+------+-----------+
//!   | meta   | key_len | value_len | expiry | long key  | payload | key  | value     |
//!   +--------+---------+-----------+--------+-----------+---------+------+-----------+
//!    always                         if any   if >= 64 KB by kind   always if inline
//! ```
//!
//! - `meta` holds the kind and three flags in its low seven bits, and in the other 25 the access
//!   clock, which says when or how often the entry was used. It is atomic, for readers who share the
//!   entry set the clock.
//! - The expiry is a [`Due`]: the time in milliseconds, and the slot of the entry's record.
//! - The payload is what the kind says: nothing for `Inline` and `Edited`, whose bytes are the value
//!   behind the key; an `i64`; a `Vec<u8>`; or one of the objects of [`crate::types`], by value. A collection
//!   that is packed has no payload either: its listpack is the value behind the key (`housed.rs`).
//!
//! An inline string with a 16-byte key and a 32-byte value takes 56 bytes. The size is rounded up
//! to a multiple of eight, which no allocator charges for, so that a value can be overwritten in
//! place by one of nearly the same length; for a listpack, and for a string that is edited, in steps
//! of a sixteenth, so that it does not move with each element.
//!
//! Of the keyspace, only this module holds memory by unsafe code. What keeps it sound: the parts
//! present and their offsets follow from `meta` and the lengths alone ([`Shape`]), and these change
//! only when an allocation is made, or with it the length at the start of a listpack; an [`Entry`] always
//! has an initialised payload; a type is stored under a kind only through [`Object`], which nobody
//! can implement for a type that is not in the list (`object.rs`).

#![allow(unsafe_code)]

mod housed;
mod object;

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::keyspace::expiries::{Due, Slot};
use crate::keyspace::prefetch::prefetch;
use crate::keyspace::table::Keyed;
use crate::types::Limits;

pub(crate) use housed::{Held, HeldMut, Housed, Packed};
pub(crate) use object::{Collection, Kind, Object};
use object::{drop_payload, payload_size};

/// The longest string that is held inline.
pub(crate) const INLINE_MAX: usize = 1024;

/// The most that a string gets beyond what it needs, so that it does not move with each byte.
const SPARE_MAX: usize = 1 << 20;

/// What a string's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Str<'a> {
    /// Bytes.
    Bytes(&'a [u8]),
    /// An integer, whose text is its shortest decimal form.
    Int(i64),
}

/// A key with its value and its expiry, owned.
pub(crate) struct Entry(NonNull<Header>);

/// The beginning of every allocation.
#[repr(C)]
struct Header {
    /// Bits 0 to 3: the kind. Bits 4 to 6: the flags. Bits 7 to 31: the access clock.
    meta: AtomicU32,
    /// The key's length, unless [`LONG_KEY`] says that it stands elsewhere.
    key_len: u16,
    /// The value's length, if it is an inline string.
    value_len: u16,
}

/// Freeing this many parts takes about as long as giving them to another thread.
const BULKY: usize = 256;

const KIND_BITS: u32 = 0b1111;
/// The flag of an entry with an expiry.
const EXPIRES: u32 = 1 << 4;
/// The flag of an entry whose key's length takes eight bytes of its own.
const LONG_KEY: u32 = 1 << 5;
/// The flag of a collection whose value is a listpack behind the key.
const PACKED: u32 = 1 << 6;
/// The bits of `meta` on which the key's offset depends.
const SHAPE_BITS: u32 = KIND_BITS | EXPIRES | LONG_KEY | PACKED;
const CLOCK_SHIFT: u32 = 7;
/// The bits that an access clock has.
pub(crate) const CLOCK_MASK: u32 = u32::MAX >> CLOCK_SHIFT;
const ALIGN: usize = 8;

impl Entry {
    /// Makes a string without an expiry, as bytes: inline if it is short enough.
    pub(crate) fn string(key: &[u8], value: &[u8]) -> Self {
        Self::make_string(key, value, None, 0)
    }

    /// Makes a string like [`Entry::string`], with an expiry in milliseconds if there is one.
    pub(crate) fn string_until(key: &[u8], value: &[u8], expires_at: Option<u64>) -> Self {
        let expiry = expires_at.map(|at_ms| Due::new(at_ms, None));
        Self::make_string(key, value, expiry, 0)
    }

    /// Makes a string that is held as an integer.
    pub(crate) fn int(key: &[u8], value: i64) -> Self {
        Self::make(Kind::Int, key, None, 0, value)
    }

    /// Makes a string in its own allocation, which it takes over.
    pub(crate) fn with_raw(key: &[u8], value: Vec<u8>) -> Self {
        Self::make(Kind::Raw, key, None, 0, value)
    }

    /// Makes a string that has been edited, of at most [`INLINE_MAX`] bytes.
    fn edited(key: &[u8], bytes: &[u8]) -> Self {
        Self::make_inline(Kind::Edited, key, (bytes, bytes.len()), None, 0)
    }

    /// Makes a string of so many zeros, to be edited.
    pub(crate) fn zeros(key: &[u8], len: usize) -> Self {
        match len {
            0..=INLINE_MAX => Self::make_inline(Kind::Edited, key, (&[], len), None, 0),
            // Zeros that nobody has written take no memory yet.
            _ => Self::with_raw(key, vec![0; len]),
        }
    }

    /// Makes an entry of one of the collections.
    pub(crate) fn with_object<T: Object>(key: &[u8], value: T) -> Self {
        value.house(key, None, 0)
    }

    /// Makes an entry of an empty collection.
    pub(crate) fn with_empty<T: Object>(key: &[u8]) -> Self {
        T::empty(key)
    }

    /// How the value is held.
    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        kind_of(self.meta())
    }

    /// When the entry expires, in milliseconds since 1970, if it does.
    #[inline]
    pub(crate) fn expires_at(&self) -> Option<u64> {
        self.expiry().map(Due::at_ms)
    }

    /// The slot of the entry's live record, if it has an expiry and a record.
    pub(crate) fn filed(&self) -> Option<Slot> {
        self.expiry().and_then(Due::filed)
    }

    /// Remembers the slot of the live record. Means nothing for an entry without an expiry.
    pub(crate) fn set_filed(&mut self, slot: Slot) {
        if let Some(expiry) = self.expiry() {
            self.write_expiry(Due::new(expiry.at_ms(), Some(slot)));
        }
    }

    /// Gives the entry an expiry in milliseconds since 1970, or takes it away.
    ///
    /// All else stays, also the filed slot if there was an expiry and there will be one.
    pub(crate) fn set_expiry(&mut self, at_ms: Option<u64>) {
        let old = self.expiry();
        let new = at_ms.map(|at_ms| Due::new(at_ms, self.filed()));
        match (old, new) {
            (None, None) => {}
            (Some(_), Some(new)) => self.write_expiry(new),
            (None, Some(_)) | (Some(_), None) => self.rehouse(None, new),
        }
    }

    /// The access clock: 25 bits that say when the entry was used, or how often; see `access.rs`.
    #[inline]
    pub(crate) fn clock(&self) -> u32 {
        self.meta() >> CLOCK_SHIFT
    }

    /// Sets the access clock to the low 25 bits of `clock`.
    #[inline]
    pub(crate) fn set_clock(&self, clock: u32) {
        // Two readers may meet here, and one of their clocks is lost, which does no harm. The low
        // bits cannot change meanwhile: they change only where the entry is not shared.
        let meta = (self.meta() & ((1 << CLOCK_SHIFT) - 1)) | (clock << CLOCK_SHIFT);
        self.header().meta.store(meta, Ordering::Relaxed);
    }

    /// The value, if it is a string.
    #[inline]
    pub(crate) fn str(&self) -> Option<Str<'_>> {
        match self.kind() {
            Kind::Inline | Kind::Edited => Some(Str::Bytes(self.inline())),
            // SAFETY: the payload of `Int` is an `i64`.
            Kind::Int => Some(Str::Int(unsafe { *self.payload::<i64>() })),
            _ => self.raw().map(|raw| Str::Bytes(raw)),
        }
    }

    /// The bytes of a string in its own allocation.
    #[inline]
    pub(crate) fn raw(&self) -> Option<&Vec<u8>> {
        // SAFETY: the payload of `Raw` is a `Vec<u8>`.
        (self.kind() == Kind::Raw).then(|| unsafe { self.payload() })
    }

    /// The bytes of a string in its own allocation, to be changed.
    pub(crate) fn raw_mut(&mut self) -> Option<&mut Vec<u8>> {
        // SAFETY: the payload of `Raw` is a `Vec<u8>`.
        (self.kind() == Kind::Raw).then(|| unsafe { self.payload_mut() })
    }

    /// The integer of a string that is held as one.
    pub(crate) fn int_mut(&mut self) -> Option<&mut i64> {
        // SAFETY: the payload of `Int` is an `i64`.
        (self.kind() == Kind::Int).then(|| unsafe { self.payload_mut() })
    }

    /// The collection, if it is of this type.
    #[inline]
    pub(crate) fn object<T: Object>(&self) -> Option<&T> {
        T::of(self)
    }

    /// The collection, if it is of this type, to be changed.
    #[inline]
    pub(crate) fn object_mut<T: Object>(&mut self) -> Option<&mut T> {
        T::of_mut(self)
    }

    /// Overwrites an inline string by one that takes the same allocation. Answers whether it could.
    pub(crate) fn overwrite_inline(&mut self, value: &[u8]) -> bool {
        let shape = self.shape();
        let fits = shape.kind == Kind::Inline
            && value.len() <= INLINE_MAX
            && Shape {
                value_len: value.len(),
                ..shape
            }
            .size()
                == shape.size();
        if fits {
            // SAFETY: the value of `Inline` begins at this offset, and the allocation, whose size
            // stays right for the new length, has room for it. `value` cannot lie in it, since
            // `self` is borrowed alone. Every write is to initialised or plain bytes.
            unsafe {
                let place = self.byte(shape.value_offset());
                ptr::copy_nonoverlapping(value.as_ptr(), place, value.len());
                (*self.0.as_ptr()).value_len = value.len() as u16;
            }
        }
        fits
    }

    /// Makes the value a string and the expiry this one, in one step; key and clock stay, and so
    /// does the filed slot if there was an expiry and will be one.
    pub(crate) fn set_string_until(&mut self, value: &[u8], expires_at: Option<u64>) {
        let old = self.expiry();
        let new = expires_at.map(|at_ms| Due::new(at_ms, self.filed()));
        match new {
            Some(new) if old.is_some() && self.overwrite_inline(value) => self.write_expiry(new),
            None if old.is_none() && self.overwrite_inline(value) => {}
            _ => *self = Self::make_string(self.key(), value, new, self.clock()),
        }
    }

    /// Makes the value an integer; key, expiry and clock stay.
    pub(crate) fn set_int(&mut self, value: i64) {
        match self.int_mut() {
            Some(int) => *int = value,
            None => self.set_payload(Kind::Int, value),
        }
    }

    /// Makes the value a string in its own allocation; key, expiry and clock stay.
    pub(crate) fn set_raw(&mut self, value: Vec<u8>) {
        match self.raw_mut() {
            Some(raw) => *raw = value,
            None => self.set_payload(Kind::Raw, value),
        }
    }

    /// Makes the value a collection; key, expiry and clock stay.
    pub(crate) fn set_object<T: Object>(&mut self, value: T) {
        *self = value.house(self.key(), self.expiry(), self.clock());
    }

    /// Turns a string into one with its own allocation, and gives it to be changed.
    ///
    /// Answers `None`, and changes nothing, if the value is not a string.
    pub(crate) fn make_raw(&mut self) -> Option<&mut Vec<u8>> {
        let bytes = match self.str()? {
            Str::Bytes(_) if self.kind() == Kind::Raw => return self.raw_mut(),
            Str::Bytes(bytes) => bytes.to_vec(),
            Str::Int(int) => itoa::Buffer::new().format(int).into(),
        };
        self.set_raw(bytes);
        self.raw_mut()
    }

    /// Turns a string into one that is edited, at least so many bytes long by zeros behind it, and gives
    /// its bytes.
    ///
    /// Answers `None`, and changes nothing, if the value is not a string.
    pub(crate) fn edit(&mut self, len_min: usize) -> Option<&mut [u8]> {
        let mut number = itoa::Buffer::new();
        let bytes = match self.str()? {
            Str::Bytes(bytes) => bytes,
            Str::Int(int) => number.format(int).as_bytes(),
        };
        let (kind, old_len, len) = (self.kind(), bytes.len(), bytes.len().max(len_min));
        if kind == Kind::Edited && len == old_len {
            return Some(self.inline_mut());
        }
        if kind == Kind::Raw || len > INLINE_MAX {
            let raw = self.make_raw()?;
            lengthen(raw, len);
            return Some(raw);
        }
        let old = self.shape();
        let new = Shape {
            kind: Kind::Edited,
            value_len: len,
            ..old
        };
        if kind == Kind::Int || new.size() != old.size() {
            let (key, expiry, clock) = (self.key(), self.expiry(), self.clock());
            *self = Self::make_inline(Kind::Edited, key, (bytes, len), expiry, clock);
        } else {
            let meta = (self.meta() & !KIND_BITS) | Kind::Edited as u32;
            self.header().meta.store(meta, Ordering::Relaxed);
            // SAFETY: both kinds are inline and the sizes are equal, so the value begins at the same
            // offset and the allocation has room for `len` bytes, of which `old_len` are written.
            unsafe {
                ptr::write_bytes(self.byte(old.value_offset() + old_len), 0, len - old_len);
                (*self.0.as_ptr()).value_len = len as u16;
            }
        }
        Some(self.inline_mut())
    }

    /// The same value and expiry under another key.
    pub(crate) fn with_key(mut self, key: &[u8]) -> Self {
        let expiry = self.expiry();
        self.rehouse(Some(key), expiry);
        self
    }

    /// The same value and expiry under another key, with this entry left as it is.
    pub(crate) fn copy(&self, key: &[u8], limits: &Limits) -> Self {
        let mut copy = match self.str() {
            Some(Str::Int(number)) => Self::int(key, number),
            Some(Str::Bytes(bytes)) if self.kind() == Kind::Raw => {
                Self::with_raw(key, bytes.to_vec())
            }
            Some(Str::Bytes(bytes)) if self.kind() == Kind::Edited => Self::edited(key, bytes),
            Some(Str::Bytes(bytes)) => Self::string(key, bytes),
            None => {
                let collection = self.collection();
                let collection = collection.expect("what is no string is a collection");
                collection.copy_to(key, limits)
            }
        };
        copy.set_expiry(self.expires_at());
        copy
    }

    /// How many bytes the entry holds: its allocation, and all that its value has allocated. O(1).
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        let elsewhere = match self.kind() {
            Kind::Inline | Kind::Edited | Kind::Int => 0,
            Kind::Raw => self.raw().map_or(0, Vec::capacity),
            _ if self.is_packed() => 0,
            _ => self.collection().map_or(0, Collection::heap_bytes),
        };
        self.shape().size() + elsewhere
    }

    /// Whether freeing it takes so long that others should not wait for it.
    #[inline]
    pub(crate) fn is_bulky(&self) -> bool {
        !self.is_one_part() && self.collection().map_or(0, Collection::parts) > BULKY
    }

    /// Whether who overwrites the value has something to do with it: it is bulky, or it is filed by
    /// what of it expires.
    #[inline]
    pub(crate) fn is_missed(&self) -> bool {
        !self.is_one_part() && (self.kind() == Kind::TimedHash || self.is_bulky())
    }

    #[inline]
    fn is_one_part(&self) -> bool {
        use Kind::{Edited, Inline, Int, Raw};
        matches!(self.kind(), Inline | Edited | Int | Raw) || self.is_packed()
    }

    /// Takes the value out, as an entry with the same key, and leaves a number in its place.
    pub(crate) fn take_value(&mut self) -> Self {
        let hollow = Self::make(Kind::Int, self.key(), self.expiry(), self.clock(), 0_i64);
        std::mem::replace(self, hollow)
    }

    fn make_string(key: &[u8], value: &[u8], expiry: Option<Due>, clock: u32) -> Self {
        if value.len() > INLINE_MAX {
            return Self::make(Kind::Raw, key, expiry, clock, value.to_vec());
        }
        Self::make_inline(Kind::Inline, key, (value, value.len()), expiry, clock)
    }

    /// Makes a string beside its key: these bytes, and zeros behind them until it has the length.
    fn make_inline(
        kind: Kind,
        key: &[u8],
        (bytes, len): (&[u8], usize),
        expiry: Option<Due>,
        clock: u32,
    ) -> Self {
        debug_assert!(payload_size(kind) == 0 && bytes.len() <= len && len <= INLINE_MAX);
        let shape = Shape {
            kind,
            is_packed: false,
            expires: expiry.is_some(),
            key_len: key.len(),
            value_len: len,
        };
        let entry = Self(shape.allocate(key, expiry, clock));
        // SAFETY: the shape has room for the value at this offset, in memory just allocated. There is
        // no payload, so the entry is complete.
        unsafe {
            let place = entry.byte(shape.value_offset());
            ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
            ptr::write_bytes(place.add(bytes.len()), 0, len - bytes.len());
        }
        entry
    }

    /// Makes an entry with a payload, which must be of the type that the kind says.
    fn make<T>(kind: Kind, key: &[u8], expiry: Option<Due>, clock: u32, payload: T) -> Self {
        let shape = Shape {
            kind,
            is_packed: false,
            expires: expiry.is_some(),
            key_len: key.len(),
            value_len: 0,
        };
        debug_assert_eq!(size_of::<T>(), payload_size(kind));
        let entry = ManuallyDrop::new(Self(shape.allocate(key, expiry, clock)));
        // SAFETY: the shape of this kind has room for its payload at this offset, which is aligned
        // to `ALIGN`, enough for every payload. After this the entry may be dropped.
        unsafe { ptr::write(entry.byte(shape.payload_offset()).cast(), payload) };
        ManuallyDrop::into_inner(entry)
    }

    /// Replaces the value by a payload, which must be of the type that the kind says.
    fn set_payload<T>(&mut self, kind: Kind, payload: T) {
        *self = Self::make(kind, self.key(), self.expiry(), self.clock(), payload);
    }

    /// Moves the value to a new allocation with this expiry, and with this key if there is one.
    fn rehouse(&mut self, key: Option<&[u8]>, expiry: Option<Due>) {
        let (key, old) = (key.unwrap_or(self.key()), self.shape());
        let new = Shape {
            expires: expiry.is_some(),
            key_len: key.len(),
            ..old
        };
        let moved = Self(new.allocate(key, expiry, self.clock()));
        // SAFETY: both allocations have a payload of the same type and a value of the same length
        // at these offsets. The payload is moved: its old place is freed and not dropped.
        unsafe {
            ptr::copy_nonoverlapping(
                self.byte(old.payload_offset()),
                moved.byte(new.payload_offset()),
                old.payload_size(),
            );
            ptr::copy_nonoverlapping(
                self.byte(old.value_offset()),
                moved.byte(new.value_offset()),
                old.value_len,
            );
            ManuallyDrop::new(std::mem::replace(self, moved)).free();
        }
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: an entry points to a header for as long as it lives.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    fn meta(&self) -> u32 {
        self.header().meta.load(Ordering::Relaxed)
    }

    /// What the allocation consists of.
    #[inline]
    fn shape(&self) -> Shape {
        let meta = self.meta();
        let is_packed = meta & PACKED != 0;
        Shape {
            kind: kind_of(meta),
            is_packed,
            expires: meta & EXPIRES != 0,
            key_len: self.key_span().1,
            value_len: match is_packed {
                true => self.packed_len(),
                false => usize::from(self.header().value_len),
            },
        }
    }

    /// Whether the value is a listpack behind the key.
    #[inline]
    fn is_packed(&self) -> bool {
        self.meta() & PACKED != 0
    }

    #[inline]
    fn expiry(&self) -> Option<Due> {
        if self.meta() & EXPIRES == 0 {
            return None;
        }
        // SAFETY: the flag says that there is an expiry at this offset.
        Some(unsafe { self.byte(EXPIRY_OFFSET).cast::<Due>().read() })
    }

    /// Overwrites the expiry. Does nothing without one.
    fn write_expiry(&mut self, expiry: Due) {
        if self.meta() & EXPIRES != 0 {
            // SAFETY: the flag says that there is an expiry at this offset, and `self` is
            // borrowed alone.
            unsafe { self.byte(EXPIRY_OFFSET).cast::<Due>().write(expiry) };
        }
    }

    /// Where the key begins, and how long it is.
    #[inline]
    fn key_span(&self) -> (usize, usize) {
        let meta = self.meta();
        let offset = usize::from(KEY_OFFSETS[(meta & SHAPE_BITS) as usize]);
        let len = if meta & LONG_KEY == 0 {
            usize::from(self.header().key_len)
        } else {
            // SAFETY: the flag says that the length stands here, written by `Shape::allocate`.
            unsafe {
                self.byte(long_key_offset(meta & EXPIRES != 0))
                    .cast::<usize>()
                    .read()
            }
        };
        (offset, len)
    }

    /// The bytes behind the key. Only for inline strings.
    #[inline]
    fn inline(&self) -> &[u8] {
        let (key_offset, key_len) = self.key_span();
        let value_len = usize::from(self.header().value_len);
        // SAFETY: so many bytes have been written at this offset, and they do not change while
        // `self` is borrowed. For other kinds the length is 0.
        unsafe { std::slice::from_raw_parts(self.byte(key_offset + key_len), value_len) }
    }

    /// The same bytes, to be changed.
    fn inline_mut(&mut self) -> &mut [u8] {
        let (key_offset, key_len) = self.key_span();
        let value_len = usize::from(self.header().value_len);
        // SAFETY: as above, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.byte(key_offset + key_len), value_len) }
    }

    /// The address so many bytes into the allocation.
    ///
    /// # Safety
    ///
    /// The offset is at most the allocation's size.
    #[inline]
    unsafe fn byte(&self, offset: usize) -> *mut u8 {
        // SAFETY: as the caller promises. The pointer is the one that the allocator gave, so it
        // may be used for the whole allocation.
        unsafe { self.0.as_ptr().cast::<u8>().add(offset) }
    }

    /// The payload.
    ///
    /// # Safety
    ///
    /// `T` is the type of the entry's kind.
    #[inline]
    unsafe fn payload<T>(&self) -> &T {
        // SAFETY: an entry's payload is initialised, aligned, and borrowed with the entry.
        unsafe { &*self.byte(self.payload_offset()).cast::<T>() }
    }

    /// The payload, to be changed.
    ///
    /// # Safety
    ///
    /// `T` is the type of the entry's kind.
    #[inline]
    unsafe fn payload_mut<T>(&mut self) -> &mut T {
        // SAFETY: an entry's payload is initialised, aligned, and borrowed alone with the entry.
        unsafe { &mut *self.byte(self.payload_offset()).cast::<T>() }
    }

    #[inline]
    fn payload_offset(&self) -> usize {
        let meta = self.meta();
        payload_offset(meta & EXPIRES != 0, meta & LONG_KEY != 0)
    }

    /// Frees the allocation without dropping the payload.
    ///
    /// # Safety
    ///
    /// The entry is not used afterwards, and not dropped.
    unsafe fn free(&self) {
        let layout = self.shape().layout();
        // SAFETY: allocated by `Shape::allocate` with the layout of its shape; the shape's size
        // has not changed since (see `overwrite_inline` and `edit`).
        unsafe { dealloc(self.0.as_ptr().cast(), layout) };
    }
}

/// Makes a string longer by zeros until it has this length, if it is shorter, with as many bytes to
/// spare as the next ones may take.
fn lengthen(string: &mut Vec<u8>, len: usize) {
    let missing = len.saturating_sub(string.len());
    if string.capacity() < len {
        string.reserve_exact(missing + len.min(SPARE_MAX));
    }
    string.resize(string.len() + missing, 0);
}

impl Keyed for Entry {
    #[inline]
    fn key(&self) -> &[u8] {
        let (offset, len) = self.key_span();
        // SAFETY: so many bytes have been written at this offset, and they never change.
        unsafe { std::slice::from_raw_parts(self.byte(offset), len) }
    }

    #[inline]
    fn prefetch(&self) {
        prefetch(self.header());
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // SAFETY: the payload, which there is unless the value is packed, is of the kind's type, and
        // dropped once; nobody uses the entry after its drop.
        unsafe {
            if !self.is_packed() {
                let payload = self.byte(self.payload_offset());
                drop_payload(self.kind(), payload);
            }
            self.free();
        }
    }
}

// SAFETY: an entry owns what it points to; keys and strings are plain bytes, and every object is
// `Send` and `Sync`. What changes behind `&self`, the clock, is atomic.
unsafe impl Send for Entry {}
// SAFETY: as above.
unsafe impl Sync for Entry {}

/// What an allocation consists of: all that its layout depends on.
#[derive(Clone, Copy)]
struct Shape {
    kind: Kind,
    is_packed: bool,
    expires: bool,
    key_len: usize,
    /// 0 unless the value is an inline string or packed.
    value_len: usize,
}

impl Shape {
    #[inline]
    fn has_long_key(self) -> bool {
        self.key_len >= usize::from(u16::MAX)
    }

    #[inline]
    fn payload_offset(self) -> usize {
        payload_offset(self.expires, self.has_long_key())
    }

    #[inline]
    fn key_offset(self) -> usize {
        self.payload_offset() + self.payload_size()
    }

    #[inline]
    fn payload_size(self) -> usize {
        match self.is_packed {
            true => 0,
            false => payload_size(self.kind),
        }
    }

    #[inline]
    fn value_offset(self) -> usize {
        self.key_offset() + self.key_len
    }

    /// How many bytes are allocated.
    #[inline]
    fn size(self) -> usize {
        let size = self.value_offset() + self.value_len;
        match self.is_packed || self.kind == Kind::Edited {
            true => size.next_multiple_of((size.next_power_of_two() / 16).max(ALIGN)),
            false => size.next_multiple_of(ALIGN),
        }
    }

    fn layout(self) -> Layout {
        Layout::from_size_align(self.size(), ALIGN).expect("a key is shorter than isize::MAX")
    }

    /// Allocates an entry with its key and all but its payload and value.
    fn allocate(self, key: &[u8], expiry: Option<Due>, clock: u32) -> NonNull<Header> {
        debug_assert!(key.len() == self.key_len && expiry.is_some() == self.expires);
        let layout = self.layout();
        let long = self.has_long_key();
        let mut meta = self.kind as u32 | (clock << CLOCK_SHIFT);
        if self.expires {
            meta |= EXPIRES;
        }
        if long {
            meta |= LONG_KEY;
        }
        if self.is_packed {
            meta |= PACKED;
        }
        let header = Header {
            meta: AtomicU32::new(meta),
            key_len: if long { u16::MAX } else { self.key_len as u16 },
            value_len: if self.is_packed {
                0
            } else {
                self.value_len as u16
            },
        };
        // SAFETY: the layout is not empty, since a header is in it. Each part is written inside
        // the allocation, at the offset that the same shape gives to whoever reads it; all offsets
        // before the key are multiples of `ALIGN`.
        unsafe {
            let Some(start) = NonNull::new(alloc(layout)) else {
                handle_alloc_error(layout);
            };
            let byte = |offset| start.as_ptr().add(offset);
            byte(0).cast::<Header>().write(header);
            if let Some(expiry) = expiry {
                byte(EXPIRY_OFFSET).cast::<Due>().write(expiry);
            }
            if long {
                byte(long_key_offset(self.expires))
                    .cast::<usize>()
                    .write(self.key_len);
            }
            ptr::copy_nonoverlapping(key.as_ptr(), byte(self.key_offset()), key.len());
            start.cast()
        }
    }
}

const EXPIRY_OFFSET: usize = size_of::<Header>();

/// Where the key begins, for each pattern of [`SHAPE_BITS`].
const KEY_OFFSETS: [u8; SHAPE_BITS as usize + 1] = {
    let mut offsets = [0; SHAPE_BITS as usize + 1];
    let mut meta = 0;
    while meta <= SHAPE_BITS {
        let payload = payload_offset(meta & EXPIRES != 0, meta & LONG_KEY != 0);
        let offset = match meta & PACKED {
            0 => payload + payload_size(kind_of(meta)),
            _ => payload,
        };
        assert!(offset <= u8::MAX as usize);
        offsets[meta as usize] = offset as u8;
        meta += 1;
    }
    offsets
};

#[inline]
const fn long_key_offset(expires: bool) -> usize {
    EXPIRY_OFFSET + if expires { size_of::<Due>() } else { 0 }
}

#[inline]
const fn payload_offset(expires: bool, long_key: bool) -> usize {
    long_key_offset(expires) + if long_key { size_of::<u64>() } else { 0 }
}

#[inline]
const fn kind_of(meta: u32) -> Kind {
    Kind::ALL[(meta & KIND_BITS) as usize]
}

#[cfg(test)]
mod tests;
