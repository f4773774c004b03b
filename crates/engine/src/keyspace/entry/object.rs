//! The types of values: what each has to know of itself, and the list of them.
//!
//! A new type is a folder of [`crate::types`] with an [`Object`] in it, and a line of the list at
//! the end of this file. The list makes the type's [`Kind`] and the code that stores, finds and
//! drops its values; whatever else asks a value something asks the [`Object`] or, without knowing
//! the type, the [`Collection`].

use super::{ALIGN, Due, Entry, Housed, KIND_BITS, housed};
use crate::keyspace::prefetch::Step;
use crate::types::{self, Limits};

/// A type whose values an entry holds.
///
/// # Invariants
///
/// [`Object::heap_bytes`] answers in O(1): the few functions of a type that write it keep count.
pub(crate) trait Object: Default + Send + Sync + 'static + stored::Stored {
    /// The type's name, as TYPE answers it.
    const TYPE_NAME: &'static str;

    /// Whether its elements have an order of their own, which SORT may keep.
    const IS_ORDERED: bool = false;

    /// Whether parts of it expire by themselves, so that the keyspace files it by the time of the next.
    const HAS_DEADLINES: bool = false;

    /// How many parts it has, each of which may take time to be freed.
    fn len(&self) -> usize;

    /// Whether there is nothing in it, so that its key has to go.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How it is held, as OBJECT ENCODING answers it.
    fn encoding(&self) -> &'static str;

    /// How many bytes it has allocated outside of its entry.
    fn heap_bytes(&self) -> usize;

    /// The same value, held in the same way.
    fn copy(&self, limits: &Limits) -> Self;

    /// The elements, if SORT can sort values of this type.
    fn elements(&self) -> Option<Vec<Vec<u8>>> {
        None
    }

    /// Asks the processor for the memory of the part with this hash, if parts are found by hashes. It
    /// changes nothing.
    fn look_ahead(&self, _hash: &mut dyn FnMut() -> u64, _step: Step) {}
}

/// What any collection answers to whoever does not know its type.
pub(crate) trait Collection {
    /// As [`Object::len`].
    fn parts(&self) -> usize;

    /// As [`Object::encoding`].
    fn encoding(&self) -> &'static str;

    /// As [`Object::heap_bytes`].
    fn heap_bytes(&self) -> usize;

    /// As [`Object::elements`].
    fn elements(&self) -> Option<Vec<Vec<u8>>>;

    /// As [`Object::IS_ORDERED`].
    fn is_ordered(&self) -> bool;

    /// As [`Object::look_ahead`].
    fn look_ahead(&self, hash: &mut dyn FnMut() -> u64, step: Step);

    /// The same value under another key.
    fn copy_to(&self, key: &[u8], limits: &Limits) -> Entry;
}

impl<T: Object> Collection for T {
    fn parts(&self) -> usize {
        self.len()
    }

    fn encoding(&self) -> &'static str {
        self.encoding()
    }

    fn heap_bytes(&self) -> usize {
        self.heap_bytes()
    }

    fn elements(&self) -> Option<Vec<Vec<u8>>> {
        self.elements()
    }

    fn is_ordered(&self) -> bool {
        T::IS_ORDERED
    }

    fn look_ahead(&self, hash: &mut dyn FnMut() -> u64, step: Step) {
        Object::look_ahead(self, hash, step);
    }

    fn copy_to(&self, key: &[u8], limits: &Limits) -> Entry {
        Entry::with_object(key, self.copy(limits))
    }
}

pub(crate) mod stored {
    use super::{Due, Entry, Kind};

    /// How an entry stores an object. Only the list below implements it, so that a kind is that of
    /// one type.
    pub(crate) trait Stored: Sized {
        /// The kind of an entry that holds this type: no two types have the same.
        const KIND: Kind;

        /// The object in an entry, if it is of this type.
        fn of(entry: &Entry) -> Option<&Self>;

        /// The same, to be changed.
        fn of_mut(entry: &mut Entry) -> Option<&mut Self>;

        /// How many bytes an entry of this type holds, but for those that are as many while its object
        /// is changed in place. O(1).
        fn varying_bytes(entry: &Entry) -> usize;

        /// An entry with this object.
        fn house(self, key: &[u8], expiry: Option<Due>, clock: u32) -> Entry;

        /// An entry with an empty object.
        fn empty(key: &[u8]) -> Entry;
    }
}

impl Kind {
    /// How many there are.
    pub(crate) const COUNT: usize = TYPE_NAMES.len();

    /// The type's name, as TYPE answers it.
    pub(crate) fn type_name(self) -> &'static str {
        TYPE_NAMES[self as usize]
    }
}

/// Makes kinds, and says for each with a payload which type that is.
macro_rules! types {
    (
        inline { $($(#[$inline_doc:meta])* $inline:ident,)* }
        strings { $($(#[$plain_doc:meta])* $plain:ident = $plain_type:ty,)* }
        objects { $($(#[$kind_doc:meta])* $kind:ident = $type:ty,)* }
        housed { $($(#[$housed_doc:meta])* $housed:ident = $large:ty,)* }
    ) => {
        /// How a value is held.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Kind {
            $($(#[$inline_doc])* $inline,)*
            $($(#[$plain_doc])* $plain,)*
            $($(#[$kind_doc])* $kind,)*
            $($(#[$housed_doc])* $housed,)*
        }

        /// All kinds, in their order.
        const KINDS: &[Kind] = &[
            $(Kind::$inline,)*
            $(Kind::$plain,)*
            $(Kind::$kind,)*
            $(Kind::$housed,)*
        ];

        /// The name of the type of each kind, in their order.
        const TYPE_NAMES: &[&str] = &[
            $({ let _ = Kind::$inline; STRING },)*
            $({ let _ = Kind::$plain; STRING },)*
            $(<$type as Object>::TYPE_NAME,)*
            $(<Housed<$large> as Object>::TYPE_NAME,)*
        ];

        /// The size of the payload of a value that is not packed, rounded up so that the key may
        /// follow it.
        #[inline]
        pub(super) const fn payload_size(kind: Kind) -> usize {
            match kind {
                $(Kind::$inline => 0,)*
                $(Kind::$plain => size_of::<$plain_type>(),)*
                $(Kind::$kind => size_of::<$type>(),)*
                $(Kind::$housed => size_of::<Box<$large>>(),)*
            }
        }

        /// Drops a payload in its place.
        ///
        /// # Safety
        ///
        /// There is a payload of this kind at `place`, which is not used afterwards.
        pub(super) unsafe fn drop_payload(kind: Kind, place: *mut u8) {
            // SAFETY: as the caller promises.
            unsafe {
                match kind {
                    $(Kind::$inline => {})*
                    $(Kind::$plain => place.cast::<$plain_type>().drop_in_place(),)*
                    $(Kind::$kind => place.cast::<$type>().drop_in_place(),)*
                    $(Kind::$housed => place.cast::<Box<$large>>().drop_in_place(),)*
                }
            }
        }

        $(const _: () = assert!(align_of::<$plain_type>() <= ALIGN);)*

        $(
            const _: () = assert!(align_of::<$type>() <= ALIGN);

            impl stored::Stored for $type {
                const KIND: Kind = Kind::$kind;

                #[inline]
                fn of(entry: &Entry) -> Option<&Self> {
                    // SAFETY: the payload of this kind, which is never packed, is this type.
                    (entry.kind() == Kind::$kind).then(|| unsafe { entry.payload() })
                }

                #[inline]
                fn of_mut(entry: &mut Entry) -> Option<&mut Self> {
                    // SAFETY: as above.
                    (entry.kind() == Kind::$kind).then(|| unsafe { entry.payload_mut() })
                }

                #[inline]
                fn varying_bytes(entry: &Entry) -> usize {
                    Self::of(entry).map_or(0, Object::heap_bytes)
                }

                fn house(self, key: &[u8], expiry: Option<Due>, clock: u32) -> Entry {
                    Entry::make(Kind::$kind, key, expiry, clock, self)
                }

                fn empty(key: &[u8]) -> Entry {
                    Self::default().house(key, None, 0)
                }
            }
        )*

        $(
            impl housed::Large for $large {
                const KIND: Kind = Kind::$housed;

                #[inline]
                fn heap_bytes(collection: &Housed<$large>) -> usize {
                    Object::heap_bytes(collection)
                }
            }
        )*

        impl Entry {
            /// The value, if it is a collection.
            #[inline(never)]
            pub(crate) fn collection(&self) -> Option<&dyn Collection> {
                match self.kind() {
                    $(Kind::$inline => None,)*
                    $(Kind::$plain => None,)*
                    $(Kind::$kind => Some(self.object::<$type>()?),)*
                    $(Kind::$housed => Some(self.object::<Housed<$large>>()?),)*
                }
            }
        }
    };
}

/// What TYPE calls every string.
const STRING: &str = "string";

impl Kind {
    /// The kind of each number that fits into the bits of a kind.
    pub(super) const ALL: [Kind; KIND_BITS as usize + 1] = {
        let mut all = [Kind::Inline; KIND_BITS as usize + 1];
        let mut number = 0;
        while number < KINDS.len() {
            all[number] = KINDS[number];
            number += 1;
        }
        all
    };
}

types! {
    inline {
        /// A string beside its key.
        Inline,
        /// The same, after a part of it was changed: to OBJECT ENCODING that is another one.
        Edited,
    }
    strings {
        /// A string that is an integer.
        Int = i64,
        /// A string in an allocation of its own.
        Raw = Vec<u8>,
    }
    objects {
        /// A list.
        List = types::list::List,
        /// A set.
        Set = types::set::Set,
        /// A stream.
        Stream = types::stream::Stream,
        /// A hash of which fields may expire.
        TimedHash = types::hash::TimedHash,
    }
    housed {
        /// A hash.
        Hash = types::hash::Fields,
        /// A sorted set.
        SortedSet = types::sorted_set::Views,
    }
}
