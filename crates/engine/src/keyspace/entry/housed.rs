//! Collections that are their entry: packed behind the key while they are small.
//!
//! ```text
//!   +--------+--------+------+----------+          +--------+--------+---------+------+
//!   | header | expiry | key  | listpack |   then   | header | expiry | Box<L>  | key  |
//!   +--------+--------+------+----------+          +--------+--------+---------+------+
//!             if any                                        if any
//! ```
//!
//! A small collection would otherwise be an allocation beside the entry's, of which half is not its
//! content. So [`Housed`] is an entry of one kind, and a change of its listpack may move the entry.
//! A collection that is made by itself, to be put under a key later, is an entry with an empty key.
//!
//! The length of the listpack is its first four bytes. They are written here only, together with
//! the allocation whose size follows from them.

use std::alloc::{Layout, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr::{self, NonNull};

use super::object::stored::Stored;
use super::{Due, Entry, Kind, Shape};
use crate::types::listpack::{EMPTY, LEN_BYTES, Listpack, Room};

/// What a collection is when it is too large for a listpack. Each is that of one kind.
pub(crate) trait Large: Sized + Send + Sync + 'static {
    /// The kind of an entry with this payload.
    const KIND: Kind;

    /// How many bytes such a collection has allocated outside of its entry.
    fn heap_bytes(collection: &Housed<Self>) -> usize;
}

/// A collection that is an entry: a listpack behind the key, or an `L`.
///
/// It must not be exchanged with another as a whole (`std::mem::swap`) while it is in a table: the
/// keys would be exchanged as well.
#[repr(transparent)]
pub(crate) struct Housed<L>(Entry, PhantomData<L>);

/// How a collection is held.
pub(crate) enum Held<'a, L> {
    /// As a listpack.
    Packed(Listpack<'a>),
    /// As what it has become.
    Large(&'a L),
}

/// How a collection that is being changed is held.
pub(crate) enum HeldMut<'a, L> {
    /// As a listpack, which has room in the entry.
    Packed(Packed<'a>),
    /// As what it has become.
    Large(&'a mut L),
}

impl<L: Large> Housed<L> {
    /// A small collection of these elements.
    pub(crate) fn packed(listpack: Listpack<'_>) -> Housed<L> {
        Housed(Entry::packed(L::KIND, b"", listpack), PhantomData)
    }

    /// A large collection.
    pub(crate) fn large(large: L) -> Housed<L> {
        let entry = Entry::make(L::KIND, b"", None, 0, Box::new(large));
        Housed(entry, PhantomData)
    }

    /// The collection of an entry, taken out of it. None if it has no such collection.
    pub(crate) fn taken_from(entry: &mut Entry) -> Option<Housed<L>> {
        if entry.kind() != L::KIND {
            return None;
        }
        let mut taken = entry.take_value();
        taken.rehouse(Some(b""), None);
        Some(Housed(taken, PhantomData))
    }

    /// How many bytes it takes where it is not under a key. O(1).
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// How it is held.
    #[inline]
    pub(crate) fn held(&self) -> Held<'_, L> {
        match self.0.is_packed() {
            true => Held::Packed(Listpack::new(self.0.packed_bytes())),
            // SAFETY: the payload of this kind, where it is not packed, is a `Box<L>`, and only
            // entries of this kind are housed.
            false => Held::Large(unsafe { self.0.payload::<Box<L>>() }),
        }
    }

    /// How it is held, to be changed.
    #[inline]
    pub(crate) fn held_mut(&mut self) -> HeldMut<'_, L> {
        match self.0.is_packed() {
            true => HeldMut::Packed(Packed(&mut self.0)),
            // SAFETY: as above.
            false => HeldMut::Large(unsafe { self.0.payload_mut::<Box<L>>() }),
        }
    }

    /// Becomes large. All else stays.
    pub(crate) fn set_large(&mut self, large: L) {
        self.0.set_payload(L::KIND, Box::new(large));
    }
}

impl<L: Large> Default for Housed<L> {
    fn default() -> Housed<L> {
        Housed::packed(Listpack::new(&EMPTY))
    }
}

impl<L: Large> Stored for Housed<L> {
    const KIND: Kind = L::KIND;

    #[inline]
    fn of(entry: &Entry) -> Option<&Self> {
        // SAFETY: a `Housed` is nothing but its entry, and this one is of its kind.
        (entry.kind() == L::KIND).then(|| unsafe { &*ptr::from_ref(entry).cast() })
    }

    #[inline]
    fn of_mut(entry: &mut Entry) -> Option<&mut Self> {
        // SAFETY: as above. Whatever is done to it leaves it an entry of its kind.
        (entry.kind() == L::KIND).then(|| unsafe { &mut *ptr::from_mut(entry).cast() })
    }

    /// All of them, since the entry is another one when its listpack gets longer.
    #[inline]
    fn varying_bytes(entry: &Entry) -> usize {
        let elsewhere = match entry.is_packed() {
            true => 0,
            false => Self::of(entry).map_or(0, L::heap_bytes),
        };
        entry.shape().size() + elsewhere
    }

    fn house(mut self, key: &[u8], expiry: Option<Due>, clock: u32) -> Entry {
        self.0.rehouse(Some(key), expiry);
        self.0.set_clock(clock);
        self.0
    }

    fn empty(key: &[u8]) -> Entry {
        Entry::packed(L::KIND, key, Listpack::new(&EMPTY))
    }
}

/// The place of a listpack in its entry.
pub(crate) struct Packed<'a>(&'a mut Entry);

impl Packed<'_> {
    /// The listpack.
    #[inline]
    pub(crate) fn listpack(&self) -> Listpack<'_> {
        Listpack::new(self.0.packed_bytes())
    }
}

impl Room for Packed<'_> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self.0.packed_bytes()
    }

    fn tail_mut(&mut self) -> &mut [u8] {
        let len = self.0.packed_len() - LEN_BYTES;
        // SAFETY: so many bytes have been written behind the length, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.0.packed_place().add(LEN_BYTES), len) }
    }

    fn open(&mut self, range: Range<usize>, len: usize) {
        self.0.open_packed(range, len);
    }
}

impl Entry {
    /// Makes an entry with a listpack behind its key.
    fn packed(kind: Kind, key: &[u8], listpack: Listpack<'_>) -> Entry {
        let bytes = listpack.bytes();
        let shape = Shape {
            kind,
            is_packed: true,
            expires: false,
            key_len: key.len(),
            value_len: bytes.len(),
        };
        let entry = ManuallyDrop::new(Entry(shape.allocate(key, None, 0)));
        // SAFETY: the shape has room for the value at this offset, in memory just allocated. The
        // first four bytes are the length of the whole, so that the entry is complete then.
        unsafe {
            let place = entry.byte(shape.value_offset());
            ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
        }
        ManuallyDrop::into_inner(entry)
    }

    /// Where the listpack begins. Only for an entry that is packed.
    #[inline]
    fn packed_place(&self) -> *mut u8 {
        debug_assert!(self.is_packed());
        let (offset, len) = self.key_span();
        // SAFETY: the value begins behind the key.
        unsafe { self.byte(offset + len) }
    }

    /// How long the listpack is. Only for an entry that is packed.
    #[inline]
    pub(super) fn packed_len(&self) -> usize {
        // SAFETY: the four bytes of the length have been written there.
        let len = unsafe { self.packed_place().cast::<[u8; LEN_BYTES]>().read() };
        u32::from_le_bytes(len) as usize
    }

    /// The listpack. Only for an entry that is packed.
    #[inline]
    fn packed_bytes(&self) -> &[u8] {
        // SAFETY: so many bytes have been written there, and they do not change while `self` is
        // borrowed.
        unsafe { std::slice::from_raw_parts(self.packed_place(), self.packed_len()) }
    }

    /// Makes the bytes of the listpack in `range` `len` long, and its length right.
    fn open_packed(&mut self, range: Range<usize>, len: usize) {
        let old = self.shape();
        let fits = LEN_BYTES <= range.start && range.start <= range.end;
        assert!(self.is_packed() && fits && range.end <= old.value_len);
        let new = Shape {
            value_len: old.value_len - range.len() + len,
            ..old
        };
        let new_len = u32::try_from(new.value_len).expect("a listpack is no longer than 1 GB");
        if new.size() > old.size() {
            self.resize(old, new);
        }
        // SAFETY: the allocation has room for both lengths here: it is resized before if it grows,
        // and afterwards if it shrinks. What is added at the end is written before it is moved or
        // seen. The moved part ends at the old length, and goes to where it ends at the new one.
        unsafe {
            let place = self.packed_place();
            if let Some(added) = new.value_len.checked_sub(old.value_len) {
                ptr::write_bytes(place.add(old.value_len), 0, added);
            }
            let (from, to) = (place.add(range.end), place.add(range.start + len));
            ptr::copy(from, to, old.value_len - range.end);
            place.cast::<[u8; LEN_BYTES]>().write(new_len.to_le_bytes());
        }
        if new.size() < old.size() {
            self.resize(old, new);
        }
    }

    /// Gives the allocation the size of another shape with the same offsets.
    fn resize(&mut self, old: Shape, new: Shape) {
        let layout: Layout = new.layout();
        // SAFETY: the entry was allocated with the layout of its old shape; the size is not 0, and
        // the alignment is the same. Nobody else points into the allocation.
        let place = unsafe { realloc(self.0.as_ptr().cast(), old.layout(), layout.size()) };
        let Some(place) = NonNull::new(place) else {
            handle_alloc_error(layout);
        };
        self.0 = place.cast();
    }
}
