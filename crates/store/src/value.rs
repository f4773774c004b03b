//! What a store answers.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::Refusal;

/// An answer, in the shapes of RESP3.
//
// The tag takes a word, so that an answer is moved by whole words. Behind a tag of one byte it was
// moved in pieces that overlap those just written, and the processor waited for each.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
#[repr(u64)]
pub enum Value {
    /// Nothing: no such key, no such member, a wait that ended empty.
    #[default]
    Null,
    /// A whole number.
    Int(i64),
    /// A floating-point number, such as a score.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// A byte string.
    Bytes(Bytes),
    /// A status, such as `OK` or `QUEUED`.
    Status(Cow<'static, str>),
    /// An integer too large for [`Value::Int`], in decimal.
    BigNumber(Box<str>),
    /// A text for people, such as what `INFO` gives.
    Verbatim(Box<str>),
    /// Values in order.
    Array(Vec<Value>),
    /// Pairs of a name and a value.
    Map(Vec<(Value, Value)>),
    /// Values without order.
    Set(Vec<Value>),
    /// A refusal inside a larger answer: one command of a transaction.
    Error(Refusal),
}

/// What an answer is, without what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names are those of `Value`")]
pub enum Kind {
    Null,
    Int,
    Double,
    Bool,
    Bytes,
    Status,
    BigNumber,
    Verbatim,
    Array,
    Map,
    Set,
    Error,
}

impl Value {
    /// The status `OK`.
    pub fn ok() -> Value {
        Value::Status(Cow::Borrowed("OK"))
    }

    /// What this value is.
    pub fn kind(&self) -> Kind {
        match self {
            Value::Null => Kind::Null,
            Value::Int(_) => Kind::Int,
            Value::Double(_) => Kind::Double,
            Value::Bool(_) => Kind::Bool,
            Value::Bytes(_) => Kind::Bytes,
            Value::Status(_) => Kind::Status,
            Value::BigNumber(_) => Kind::BigNumber,
            Value::Verbatim(_) => Kind::Verbatim,
            Value::Array(_) => Kind::Array,
            Value::Map(_) => Kind::Map,
            Value::Set(_) => Kind::Set,
            Value::Error(_) => Kind::Error,
        }
    }

    /// Whether this is [`Value::Null`].
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Null => "null",
            Kind::Int => "an integer",
            Kind::Double => "a double",
            Kind::Bool => "a boolean",
            Kind::Bytes => "a byte string",
            Kind::Status => "a status",
            Kind::BigNumber => "a big number",
            Kind::Verbatim => "a text",
            Kind::Array => "an array",
            Kind::Map => "a map",
            Kind::Set => "a set",
            Kind::Error => "a refusal",
        })
    }
}
