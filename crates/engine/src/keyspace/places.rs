//! Places: something for some keys of some databases, such as who watches them.

use std::collections::HashMap;

/// A `T` for each key that has one. Nothing is allocated to look one up.
pub(super) struct Places<T> {
    /// The databases in which there is any, few most often.
    dbs: Vec<(usize, Keys<T>)>,
}

type Keys<T> = HashMap<Box<[u8]>, T>;

impl<T> Default for Places<T> {
    fn default() -> Places<T> {
        Places { dbs: Vec::new() }
    }
}

impl<T> Places<T> {
    /// Whether no key has one.
    pub(super) fn is_empty(&self) -> bool {
        self.dbs.is_empty()
    }

    /// That of a key, if it has one.
    pub(super) fn get(&self, db: usize, key: &[u8]) -> Option<&T> {
        self.of_db(db)?.get(key)
    }

    /// That of a key, if it has one, to be changed.
    pub(super) fn get_mut(&mut self, db: usize, key: &[u8]) -> Option<&mut T> {
        let (_, keys) = self.dbs.iter_mut().find(|(other, _)| *other == db)?;
        keys.get_mut(key)
    }

    /// That of a key, made if it has none.
    pub(super) fn get_or_default(&mut self, db: usize, key: &[u8]) -> &mut T
    where
        T: Default,
    {
        let place = self.dbs.iter().position(|(other, _)| *other == db);
        let place = place.unwrap_or_else(|| {
            self.dbs.push((db, Keys::new()));
            self.dbs.len() - 1
        });
        self.dbs[place].1.entry(key.into()).or_default()
    }

    /// Takes that of a key away.
    pub(super) fn remove(&mut self, db: usize, key: &[u8]) -> Option<T> {
        let place = self.dbs.iter().position(|(other, _)| *other == db)?;
        let (_, keys) = &mut self.dbs[place];
        let removed = keys.remove(key);
        if keys.is_empty() {
            self.dbs.swap_remove(place);
        }
        removed
    }

    /// A key that has one, whichever.
    pub(super) fn any(&self) -> Option<(usize, &[u8])> {
        let (db, keys) = self.dbs.first()?;
        let key = keys.keys().next()?;
        Some((*db, key))
    }

    /// Keeps those for which `keep` says so.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        for (_, keys) in &mut self.dbs {
            keys.retain(|_, value| keep(value));
        }
        self.dbs.retain(|(_, keys)| !keys.is_empty());
    }

    /// Those of a database, with their keys.
    pub(super) fn iter(&self, db: usize) -> impl Iterator<Item = (&[u8], &T)> {
        let keys = self.of_db(db).into_iter().flatten();
        keys.map(|(key, value)| (&**key, value))
    }

    /// Those of a database, with their keys, to be changed.
    pub(super) fn iter_mut(&mut self, db: usize) -> impl Iterator<Item = (&[u8], &mut T)> {
        let of_db = self.dbs.iter_mut().find(|(other, _)| *other == db);
        let keys = of_db.into_iter().flat_map(|(_, keys)| keys);
        keys.map(|(key, value)| (&**key, value))
    }

    fn of_db(&self, db: usize) -> Option<&Keys<T>> {
        let (_, keys) = self.dbs.iter().find(|(other, _)| *other == db)?;
        Some(keys)
    }
}
