//! Guards on values that are being changed.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use smallvec::SmallVec;

use super::Keyspace;
use super::entry::Object;

/// A value of type `T` that is being changed.
///
/// When it is let go, the key is marked as changed if the value was borrowed mutably, and removed
/// if the value is empty. A command that borrowed it and then changed nothing says so with
/// [`WriteGuard::unchanged`]; one that forgets to wakes somebody for nothing, and loses nothing.
pub(crate) struct WriteGuard<'a, 'e, T: Object> {
    keyspace: &'a mut Keyspace<'e>,
    key: SmallVec<[u8; 32]>,
    hash: u64,
    is_changed: bool,
    value: PhantomData<T>,
}

impl<'a, 'e, T: Object> WriteGuard<'a, 'e, T> {
    /// A guard on a key that holds a `T`.
    pub(super) fn new(keyspace: &'a mut Keyspace<'e>, hash: u64, key: &[u8]) -> Self {
        let key = SmallVec::from_slice(key);
        WriteGuard {
            keyspace,
            key,
            hash,
            is_changed: false,
            value: PhantomData,
        }
    }

    /// Says that nothing was changed after all.
    pub(crate) fn unchanged(&mut self) {
        self.is_changed = false;
    }
}

impl<T: Object> Deref for WriteGuard<'_, '_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        let entry = self
            .keyspace
            .db_of(self.hash)
            .table
            .find(self.hash, &self.key);
        entry
            .and_then(|entry| entry.object())
            .expect("a guarded key holds its type")
    }
}

impl<T: Object> DerefMut for WriteGuard<'_, '_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.is_changed = true;
        let entry = self
            .keyspace
            .db_of_mut(self.hash)
            .table
            .find_mut(self.hash, &self.key);
        entry
            .and_then(|entry| entry.object_mut())
            .expect("a guarded key holds its type")
    }
}

impl<T: Object> Drop for WriteGuard<'_, '_, T> {
    fn drop(&mut self) {
        if self.is_empty() {
            self.keyspace
                .db_of_mut(self.hash)
                .remove(self.hash, &self.key);
        }
        if self.is_changed {
            self.keyspace.changed(self.hash, &self.key);
        }
    }
}

/// The bytes of a string that is being changed. The same rules as for [`WriteGuard`].
pub(crate) struct StringGuard<'a, 'e> {
    keyspace: &'a mut Keyspace<'e>,
    key: SmallVec<[u8; 32]>,
    hash: u64,
    is_changed: bool,
}

impl<'a, 'e> StringGuard<'a, 'e> {
    /// A guard on a key that holds a string.
    pub(super) fn new(keyspace: &'a mut Keyspace<'e>, key: &[u8]) -> Self {
        let hash = keyspace.hash(key);
        if let Some(entry) = keyspace.db_of_mut(hash).table.find_mut(hash, key) {
            entry.make_raw();
        }
        StringGuard {
            keyspace,
            key: SmallVec::from_slice(key),
            hash,
            is_changed: false,
        }
    }
}

impl Deref for StringGuard<'_, '_> {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        let entry = self
            .keyspace
            .db_of(self.hash)
            .table
            .find(self.hash, &self.key);
        entry
            .and_then(|entry| entry.raw())
            .expect("a guarded string is raw")
    }
}

impl DerefMut for StringGuard<'_, '_> {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        self.is_changed = true;
        let entry = self
            .keyspace
            .db_of_mut(self.hash)
            .table
            .find_mut(self.hash, &self.key);
        entry
            .and_then(|entry| entry.raw_mut())
            .expect("a guarded string is raw")
    }
}

impl Drop for StringGuard<'_, '_> {
    fn drop(&mut self) {
        if self.is_empty() {
            self.keyspace
                .db_of_mut(self.hash)
                .remove(self.hash, &self.key);
        }
        if self.is_changed {
            self.keyspace.changed(self.hash, &self.key);
        }
    }
}
