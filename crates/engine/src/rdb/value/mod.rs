//! Values: a byte that says the type and how it is held, and the value in that form.
//!
//! What is written are the forms that Redis 7.0 reads, but for a hash of which fields expire, which it does not
//! know. What is read are all that Redis has written
//! since its version 2, and Valkey; whatever the form, the value is held here as if it had been made by commands.

mod read;
mod stream;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use read::{read, read_form};
pub(crate) use write::{write, write_with_key};

use crate::keyspace::entry::{Entry, Object};
use crate::types::hash::{Hash, TimedHash};
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::sorted_set::SortedSet;
use crate::types::stream::Stream;

/// A value that has been read.
pub(crate) enum Value {
    String(Vec<u8>),
    List(List),
    Set(Set),
    Hash(Hash),
    TimedHash(TimedHash),
    SortedSet(SortedSet),
    Stream(Box<Stream>),
}

impl Value {
    /// Whether it is a collection that holds nothing, of which there is none under a key.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Value::String(_) | Value::Stream(_) => false,
            Value::List(list) => Object::is_empty(list),
            Value::Set(set) => Object::is_empty(set),
            Value::Hash(hash) => Object::is_empty(hash),
            Value::TimedHash(hash) => Object::is_empty(hash),
            Value::SortedSet(set) => Object::is_empty(set),
        }
    }

    /// The value under a key.
    pub(crate) fn into_entry(self, key: &[u8]) -> Entry {
        match self {
            Value::String(text) => match crate::args::parse_int(&text) {
                Some(number) => Entry::int(key, number),
                None => Entry::string(key, &text),
            },
            Value::List(list) => Entry::with_object(key, list),
            Value::Set(set) => Entry::with_object(key, set),
            Value::Hash(hash) => Entry::with_object(key, hash),
            Value::TimedHash(hash) => Entry::with_object(key, hash),
            Value::SortedSet(set) => Entry::with_object(key, set),
            Value::Stream(stream) => Entry::with_object(key, *stream),
        }
    }
}

// The forms, by the names that Redis gives them.
const STRING: u8 = 0;
const LIST: u8 = 1;
const SET: u8 = 2;
const ZSET: u8 = 3;
const HASH: u8 = 4;
const ZSET_2: u8 = 5;
const HASH_ZIPMAP: u8 = 9;
const LIST_ZIPLIST: u8 = 10;
const SET_INTSET: u8 = 11;
const ZSET_ZIPLIST: u8 = 12;
const HASH_ZIPLIST: u8 = 13;
const LIST_QUICKLIST: u8 = 14;
const STREAM_LISTPACKS: u8 = 15;
const HASH_LISTPACK: u8 = 16;
const ZSET_LISTPACK: u8 = 17;
const LIST_QUICKLIST_2: u8 = 18;
const STREAM_LISTPACKS_2: u8 = 19;
const SET_LISTPACK: u8 = 20;
const STREAM_LISTPACKS_3: u8 = 21;
/// Valkey's form of a hash of which fields expire; in Redis it was never released.
const HASH_2: u8 = 22;
const HASH_METADATA: u8 = 24;
const HASH_LISTPACK_EX: u8 = 25;

/// How a node of a list is held in [`LIST_QUICKLIST_2`]: as an element by itself, or as a listpack.
const NODE_PLAIN: u64 = 1;
const NODE_PACKED: u64 = 2;
