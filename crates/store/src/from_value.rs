//! Answers as Rust values.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::str::FromStr;

use bytes::Bytes;

use crate::{Error, Value};

/// A type that answers can be read as.
///
/// Reading is lenient where Redis itself is not constant: a number may come as an integer or as
/// text, a map as a map or as a flat list of names and values. It is strict in everything else.
pub trait FromValue: Sized {
    /// Reads the answer.
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`] if the answer is no such value, and [`Error::Refused`] if it is a
    /// refusal inside a larger answer.
    fn from_value(value: Value) -> Result<Self, Error>;

    /// Reads the answer as a list of these. For `u8` that is a byte string.
    ///
    /// # Errors
    ///
    /// Those of [`FromValue::from_value`].
    fn list_from_value(value: Value) -> Result<Vec<Self>, Error> {
        items(value)?.into_iter().map(Self::from_value).collect()
    }
}

fn unexpected<T>(wanted: &'static str, value: Value) -> Result<T, Error> {
    match value {
        Value::Error(refusal) => Err(Error::Refused(refusal)),
        value => Err(Error::Unexpected {
            wanted,
            got: value.kind(),
        }),
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
        Value::Status(text) => Some(text),
        Value::BigNumber(text) | Value::Verbatim(text) => Some(text),
        _ => None,
    }
}

impl FromValue for Value {
    fn from_value(value: Value) -> Result<Value, Error> {
        match value {
            Value::Error(refusal) => Err(Error::Refused(refusal)),
            value => Ok(value),
        }
    }
}

impl FromValue for () {
    /// Takes any answer that is no refusal.
    fn from_value(value: Value) -> Result<(), Error> {
        Value::from_value(value).map(drop)
    }
}

impl FromValue for Bytes {
    fn from_value(value: Value) -> Result<Bytes, Error> {
        match value {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Status(text) => Ok(Bytes::from(text.into_owned())),
            Value::Verbatim(text) | Value::BigNumber(text) => Ok(Bytes::from(text.into_string())),
            Value::Int(number) => Ok(Bytes::from(number.to_string())),
            value => unexpected("a byte string", value),
        }
    }
}

impl FromValue for String {
    fn from_value(value: Value) -> Result<String, Error> {
        match text(&value) {
            Some(text) => Ok(text.to_owned()),
            None => match value {
                Value::Int(number) => Ok(number.to_string()),
                value => unexpected("a text", value),
            },
        }
    }
}

impl FromValue for bool {
    fn from_value(value: Value) -> Result<bool, Error> {
        match (&value, text(&value)) {
            (Value::Bool(yes), _) => Ok(*yes),
            (Value::Int(0), _) | (_, Some("0")) => Ok(false),
            (Value::Int(1), _) | (_, Some("1" | "OK")) => Ok(true),
            _ => unexpected("a boolean", value),
        }
    }
}

impl FromValue for f64 {
    fn from_value(value: Value) -> Result<f64, Error> {
        match &value {
            Value::Double(number) => Ok(*number),
            Value::Int(number) => Ok(*number as f64),
            _ => match text(&value).and_then(|text| text.parse().ok()) {
                Some(number) => Ok(number),
                None => unexpected("a number", value),
            },
        }
    }
}

impl FromValue for f32 {
    fn from_value(value: Value) -> Result<f32, Error> {
        f64::from_value(value).map(|number| number as f32)
    }
}

fn integer<T: TryFrom<i64> + FromStr>(value: Value) -> Result<T, Error> {
    let number = match &value {
        Value::Int(number) => T::try_from(*number).ok(),
        _ => text(&value).and_then(|text| text.parse().ok()),
    };
    match number {
        Some(number) => Ok(number),
        None => unexpected("an integer in range", value),
    }
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl FromValue for $type {
            fn from_value(value: Value) -> Result<$type, Error> {
                integer(value)
            }
        }
    )*};
}

integers! { i8 i16 i32 i64 i128 isize u16 u32 u64 u128 usize }

impl FromValue for u8 {
    fn from_value(value: Value) -> Result<u8, Error> {
        integer(value)
    }

    fn list_from_value(value: Value) -> Result<Vec<u8>, Error> {
        match value {
            Value::Array(_) | Value::Set(_) => items(value)?.into_iter().map(integer).collect(),
            value => Bytes::from_value(value).map(Vec::from),
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Result<Option<T>, Error> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// The values of an array or a set, and of a map name by name.
fn items(value: Value) -> Result<Vec<Value>, Error> {
    match value {
        Value::Array(items) | Value::Set(items) => Ok(items),
        Value::Map(pairs) => Ok(pairs
            .into_iter()
            .flat_map(|(name, value)| [name, value])
            .collect()),
        value => unexpected("a list", value),
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: Value) -> Result<Vec<T>, Error> {
        T::list_from_value(value)
    }
}

impl<T: FromValue + Eq + Hash> FromValue for HashSet<T> {
    fn from_value(value: Value) -> Result<HashSet<T>, Error> {
        items(value)?.into_iter().map(T::from_value).collect()
    }
}

impl<T: FromValue + Ord> FromValue for BTreeSet<T> {
    fn from_value(value: Value) -> Result<BTreeSet<T>, Error> {
        items(value)?.into_iter().map(T::from_value).collect()
    }
}

/// The pairs of a map, of a list of pairs, or of a flat list.
fn pairs(value: Value) -> Result<Vec<(Value, Value)>, Error> {
    let items = match value {
        Value::Map(pairs) => return Ok(pairs),
        Value::Array(items) => items,
        value => return unexpected("a map", value),
    };
    if items
        .iter()
        .all(|item| matches!(item, Value::Array(pair) if pair.len() == 2))
    {
        return items
            .into_iter()
            .map(<(Value, Value)>::from_value)
            .collect();
    }
    if items.len() % 2 != 0 {
        return unexpected("a map", Value::Array(items));
    }
    let mut pairs = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        pairs.push((name, value));
    }
    Ok(pairs)
}

impl<K: FromValue + Eq + Hash, V: FromValue> FromValue for HashMap<K, V> {
    fn from_value(value: Value) -> Result<HashMap<K, V>, Error> {
        let read = |(name, value)| Ok((K::from_value(name)?, V::from_value(value)?));
        pairs(value)?.into_iter().map(read).collect()
    }
}

impl<K: FromValue + Ord, V: FromValue> FromValue for BTreeMap<K, V> {
    fn from_value(value: Value) -> Result<BTreeMap<K, V>, Error> {
        let read = |(name, value)| Ok((K::from_value(name)?, V::from_value(value)?));
        pairs(value)?.into_iter().map(read).collect()
    }
}

macro_rules! tuples {
    ($($count:literal: $($name:ident)+;)*) => {$(
        impl<$($name: FromValue),+> FromValue for ($($name,)+) {
            fn from_value(value: Value) -> Result<Self, Error> {
                let items = match value {
                    Value::Array(items) if items.len() == $count => items,
                    value => {
                        return unexpected(concat!("a list of ", stringify!($count)), value);
                    }
                };
                let mut items = items.into_iter();
                Ok(($($name::from_value(items.next().unwrap_or_default())?,)+))
            }
        }
    )*};
}

tuples! {
    2: A B;
    3: A B C;
    4: A B C D;
    5: A B C D E;
    6: A B C D E F;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;

    #[test]
    fn numbers_are_read_from_integers_and_from_text() {
        assert_eq!(u32::from_value(Value::Int(7)), Ok(7));
        assert_eq!(u32::from_value(Value::Bytes("7".into())), Ok(7));
        assert_eq!(f64::from_value(Value::Bytes("0.5".into())), Ok(0.5));
    }

    #[test]
    fn a_number_out_of_range_is_unexpected_rather_than_wrapped() {
        assert!(u32::from_value(Value::Int(-1)).is_err());
    }

    #[test]
    fn a_byte_string_is_read_as_a_list_of_bytes() {
        let bytes = || Value::Bytes(Bytes::from_static(b"\x00\xff"));
        assert_eq!(Vec::<u8>::from_value(bytes()), Ok(vec![0, 255]));
        let many = Value::Array(vec![bytes(), Value::Null]);
        let wanted = vec![Some(vec![0, 255]), None];
        assert_eq!(Vec::<Option<Vec<u8>>>::from_value(many), Ok(wanted));
        let numbers = Value::Array(vec![Value::Int(7), Value::Int(8)]);
        assert_eq!(Vec::<u8>::from_value(numbers), Ok(vec![7, 8]));
    }

    #[test]
    fn a_set_is_read_from_a_set_and_from_an_array() {
        let items = vec![Value::Bytes("a".into()), Value::Bytes("b".into())];
        let wanted = HashSet::from(["a".to_owned(), "b".to_owned()]);
        for value in [Value::Set(items.clone()), Value::Array(items)] {
            assert_eq!(HashSet::<String>::from_value(value), Ok(wanted.clone()));
        }
    }

    #[test]
    fn a_map_is_read_from_a_map_a_flat_list_and_a_list_of_pairs() {
        let (a, one) = (Value::Bytes("a".into()), Value::Int(1));
        let wanted = BTreeMap::from([("a".to_owned(), 1)]);
        for value in [
            Value::Map(vec![(a.clone(), one.clone())]),
            Value::Array(vec![a.clone(), one.clone()]),
            Value::Array(vec![Value::Array(vec![a, one])]),
        ] {
            assert_eq!(
                BTreeMap::<String, i64>::from_value(value),
                Ok(wanted.clone())
            );
        }
    }

    #[test]
    fn a_refusal_inside_an_answer_is_an_error() {
        let refusal = Refusal::new("WRONGTYPE no");
        let value = Value::Array(vec![Value::Error(refusal.clone())]);
        assert_eq!(Vec::<i64>::from_value(value), Err(Error::Refused(refusal)));
    }

    #[test]
    fn null_is_none_and_nothing_else_is() {
        assert_eq!(Option::<i64>::from_value(Value::Null), Ok(None));
        assert!(i64::from_value(Value::Null).is_err());
        assert_eq!(
            Option::<Bytes>::from_value(Value::Bytes(Bytes::new())),
            Ok(Some(Bytes::new()))
        );
    }
}
