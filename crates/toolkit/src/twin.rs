//! What the twins of scripts share: see [`larder_store::Twin`].

use larder_store::Value;

/// An array of integers.
pub(crate) fn integers<const N: usize>(numbers: [i64; N]) -> Value {
    Value::Array(numbers.map(Value::Int).into())
}

/// A byte string.
pub(crate) fn text(bytes: impl AsRef<[u8]>) -> Value {
    Value::Bytes(bytes::Bytes::copy_from_slice(bytes.as_ref()))
}

/// 1 if something is so, else 0.
pub(crate) fn flag(is_so: bool) -> Value {
    Value::Int(i64::from(is_so))
}
