//! Guards on values that are being changed.
//!
//! A guard looks its key up once, when it is made. It borrows the keyspace, so the entry stays
//! where it is for as long as the guard lives.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use smallvec::SmallVec;

use super::entry::{Entry, Object, Str};
use super::events::Named;
use super::table::{Found, Keyed};
use super::{Keyspace, What};

/// A value of type `T` that is being changed.
///
/// When it is let go, the key is marked as changed if the value was borrowed mutably, and removed
/// if the value is empty. A command that borrowed it and then changed nothing says so with
/// [`WriteGuard::unchanged`]; one that forgets to wakes somebody for nothing, and loses nothing.
pub(crate) struct WriteGuard<'a, 'e, T: Object> {
    guarded: Guarded<'a, 'e>,
    value: PhantomData<T>,
}

/// An entry that is being changed.
struct Guarded<'a, 'e> {
    keyspace: &'a mut Keyspace<'e>,
    hash: u64,
    found: Found,
    /// How many bytes the entry took, as far as that may change.
    bytes: usize,
    /// Whether the key was not there before.
    is_new: bool,
    is_changed: bool,
    what: What,
    named: Named,
}

impl<'a, 'e> Guarded<'a, 'e> {
    // Always, here and below: what each step finds out is what the next one begins with.
    #[inline(always)]
    fn new(
        keyspace: &'a mut Keyspace<'e>,
        hash: u64,
        found: Found,
        bytes_of: fn(&Entry) -> usize,
    ) -> Self {
        let entry = keyspace.db_of(hash).table.at(found);
        let bytes = entry.map_or(0, |entry| {
            keyspace.touch(entry);
            bytes_of(entry)
        });
        Guarded {
            keyspace,
            hash,
            found,
            bytes,
            is_new: false,
            is_changed: false,
            what: What::Written,
            named: Named::default(),
        }
    }

    #[inline(always)]
    fn entry(&self) -> Option<&Entry> {
        self.keyspace.db_of(self.hash).table.at(self.found)
    }

    #[inline(always)]
    fn entry_mut(&mut self) -> Option<&mut Entry> {
        self.keyspace.db_of_mut(self.hash).at_mut(self.found)
    }

    /// Lets the entry go, of which `state` says whether it is empty and how many bytes it takes:
    /// removes it if it is empty, and says what happened to its key.
    #[inline]
    fn let_go(&mut self, state: impl FnOnce(&Entry) -> (bool, usize)) {
        let (hash, found) = (self.hash, self.found);
        let db = self.keyspace.db_of_mut(hash);
        let (is_empty, bytes) = db.table.at(found).map_or((true, 0), state);
        db.resized(self.bytes, bytes);
        if self.is_changed {
            if self.keyspace.is_noted(hash) {
                return self.let_go_noted(is_empty);
            }
            self.keyspace.count_change(hash);
        }
        if is_empty {
            // What is empty is freed at once, however large it was.
            self.keyspace.db_of_mut(hash).remove_at(found);
        }
        self.keyspace.show(hash);
    }

    /// The same where somebody may want to hear of it.
    #[cold]
    #[inline(never)]
    fn let_go_noted(&mut self, is_empty: bool) {
        let hash = self.hash;
        let key = self.entry().map(Entry::key).unwrap_or_default();
        let key: SmallVec<[u8; 64]> = SmallVec::from_slice(key);
        if is_empty {
            self.keyspace.db_of_mut(hash).remove_at(self.found);
        }
        if self.is_new && !is_empty {
            self.keyspace.note(hash, &key, What::Added);
        }
        let what = match is_empty {
            true => What::Emptied,
            false => self.what,
        };
        self.keyspace.note_named(hash, &key, what, self.named);
    }
}

impl<'a, 'e, T: Object> WriteGuard<'a, 'e, T> {
    /// A guard on an entry that holds a `T`.
    #[inline(always)]
    pub(super) fn new(keyspace: &'a mut Keyspace<'e>, hash: u64, found: Found) -> Self {
        WriteGuard {
            guarded: Guarded::new(keyspace, hash, found, T::varying_bytes),
            value: PhantomData,
        }
    }

    /// The same guard, on an entry that has just been made.
    pub(super) fn on_new(mut self) -> Self {
        self.guarded.is_new = true;
        self
    }

    /// Names the change, where it is not called after the command.
    pub(crate) fn event(&mut self, name: &'static str) {
        self.guarded.named.written = Some(name);
    }

    /// Says what else the command did to the key.
    pub(crate) fn also(&mut self, name: &'static str) {
        self.guarded.named.also = Some(name);
    }

    /// Says that nothing was changed after all.
    pub(crate) fn unchanged(&mut self) {
        self.guarded.is_changed = false;
    }

    /// Says that what is changed is nothing that WATCH looks at or that anybody waits for: the groups
    /// of a stream, which are not its content.
    pub(crate) fn unwatched(&mut self) {
        self.guarded.what = What::Annotated;
    }

    /// Says that a group of the stream is gone: WATCH does not look at it, but those who wait in it
    /// are to learn that.
    pub(crate) fn lost_group(&mut self) {
        self.guarded.what = What::LostGroup;
    }

    /// Says that a group of the stream has entries that nobody has: WATCH does not look at it, but those
    /// who wait in it may get some.
    pub(crate) fn released(&mut self) {
        self.guarded.what = What::LostGroup;
    }

    /// Says that entries of the stream are gone and none came, so that nobody who waits gets one.
    pub(crate) fn trimmed(&mut self) {
        self.guarded.what = What::Trimmed;
    }
}

impl<T: Object> Deref for WriteGuard<'_, '_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        let object = self.guarded.entry().and_then(Entry::object);
        object.expect("a guarded key holds its type")
    }
}

impl<T: Object> DerefMut for WriteGuard<'_, '_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        self.guarded.is_changed = true;
        let object = self.guarded.entry_mut().and_then(Entry::object_mut);
        object.expect("a guarded key holds its type")
    }
}

impl<T: Object> Drop for WriteGuard<'_, '_, T> {
    #[inline]
    fn drop(&mut self) {
        if T::HAS_DEADLINES {
            let Guarded { hash, found, .. } = self.guarded;
            self.guarded.keyspace.db_of_mut(hash).file_deadline(found);
        }
        self.guarded.let_go(|entry| {
            let is_empty = entry.object::<T>().is_none_or(Object::is_empty);
            (is_empty, T::varying_bytes(entry))
        });
    }
}

/// The bytes of a string that is being changed. The same rules as for [`WriteGuard`].
pub(crate) struct StringGuard<'a, 'e>(Guarded<'a, 'e>);

impl<'a, 'e> StringGuard<'a, 'e> {
    /// A guard on an entry that holds a string.
    pub(super) fn new(keyspace: &'a mut Keyspace<'e>, hash: u64, found: Found) -> Self {
        let mut guarded = Guarded::new(keyspace, hash, found, Entry::bytes);
        if let Some(entry) = guarded.entry_mut() {
            entry.make_raw();
        }
        StringGuard(guarded)
    }

    /// The same guard, on an entry that has just been made.
    pub(super) fn on_new(mut self) -> Self {
        self.0.is_new = true;
        self
    }

    /// Names the change, where it is not called after the command.
    pub(crate) fn event(&mut self, name: &'static str) {
        self.0.named.written = Some(name);
    }

    /// Says that nothing was changed after all.
    pub(crate) fn unchanged(&mut self) {
        self.0.is_changed = false;
    }
}

impl Deref for StringGuard<'_, '_> {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        let raw = self.0.entry().and_then(Entry::raw);
        raw.expect("a guarded string is raw")
    }
}

impl DerefMut for StringGuard<'_, '_> {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        self.0.is_changed = true;
        let raw = self.0.entry_mut().and_then(Entry::raw_mut);
        raw.expect("a guarded string is raw")
    }
}

/// The bytes of a string of which a part is being changed. The same rules as for [`WriteGuard`].
pub(crate) struct EditGuard<'a, 'e> {
    guarded: Guarded<'a, 'e>,
    has_grown: bool,
}

impl<'a, 'e> EditGuard<'a, 'e> {
    /// A guard on an entry that holds a string, which is made at least so long by zeros.
    pub(super) fn new(
        keyspace: &'a mut Keyspace<'e>,
        hash: u64,
        found: Found,
        len_min: usize,
    ) -> Self {
        let mut guarded = Guarded::new(keyspace, hash, found, Entry::bytes);
        let mut has_grown = false;
        if let Some(entry) = guarded.entry_mut() {
            has_grown = entry.str().is_some_and(|string| string.len() < len_min);
            entry.edit(len_min);
        }
        guarded.is_changed = has_grown;
        EditGuard { guarded, has_grown }
    }

    /// The same guard, on an entry that has just been made.
    pub(super) fn on_new(mut self) -> Self {
        self.guarded.is_new = true;
        self.guarded.is_changed = true;
        self.has_grown = true;
        self
    }

    /// Whether the string has become longer.
    pub(crate) fn has_grown(&self) -> bool {
        self.has_grown
    }

    /// Names the change, where it is not called after the command.
    pub(crate) fn event(&mut self, name: &'static str) {
        self.guarded.named.written = Some(name);
    }
}

impl Deref for EditGuard<'_, '_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self.guarded.entry().and_then(Entry::str) {
            Some(Str::Bytes(bytes)) => bytes,
            _ => unreachable!("a string that is edited is bytes"),
        }
    }
}

impl DerefMut for EditGuard<'_, '_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.guarded.is_changed = true;
        let bytes = self.guarded.entry_mut().and_then(|entry| entry.edit(0));
        bytes.expect("a guarded key holds a string")
    }
}

impl Drop for EditGuard<'_, '_> {
    fn drop(&mut self) {
        // A string may be empty.
        self.guarded.let_go(|entry| (false, entry.bytes()));
    }
}

impl Drop for StringGuard<'_, '_> {
    fn drop(&mut self) {
        // A string may be empty.
        self.0.let_go(|entry| (false, entry.bytes()));
    }
}
