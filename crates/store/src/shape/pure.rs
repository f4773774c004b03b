//! Commands whose answer may be kept until their key changes.

use super::Shape;

/// The place of the key among the words of every command that is pure.
pub const PURE_KEY: usize = 1;

/// The commands that answer with a function of the values of their keys, and of nothing else. What
/// draws by chance, tells of time, or walks with a cursor is not here; nor is what counts what it
/// looks at, or sorts by other keys.
const PURE: &[&str] = &[
    "BITCOUNT",
    "BITFIELD_RO",
    "BITPOS",
    "DIGEST",
    "EXISTS",
    "GEODIST",
    "GEOHASH",
    "GEOPOS",
    "GEORADIUSBYMEMBER_RO",
    "GEORADIUS_RO",
    "GEOSEARCH",
    "GET",
    "GETBIT",
    "GETRANGE",
    "HEXISTS",
    "HGET",
    "HGETALL",
    "HKEYS",
    "HLEN",
    "HMGET",
    "HSTRLEN",
    "HVALS",
    "LINDEX",
    "LLEN",
    "LPOS",
    "LRANGE",
    "MGET",
    "SCARD",
    "SISMEMBER",
    "SMEMBERS",
    "SMISMEMBER",
    "STRLEN",
    "SUBSTR",
    "TYPE",
    "XLEN",
    "XRANGE",
    "XREVRANGE",
    "ZCARD",
    "ZCOUNT",
    "ZLEXCOUNT",
    "ZMSCORE",
    "ZRANGE",
    "ZRANGEBYLEX",
    "ZRANGEBYSCORE",
    "ZRANK",
    "ZREVRANGE",
    "ZREVRANGEBYLEX",
    "ZREVRANGEBYSCORE",
    "ZREVRANK",
    "ZSCORE",
];

impl Shape {
    /// Whether it answers with a function of the values of its keys alone.
    pub(super) fn is_pure(&self) -> bool {
        PURE.binary_search(&self.name).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape;

    #[test]
    fn the_key_of_what_is_pure_is_its_second_word() {
        for name in PURE {
            let command = crate::Command::new(name).args(["key", "1", "2"]);
            assert_eq!(command.keys().next(), Some(&b"key"[..]), "{name}");
            assert_eq!(command.arguments().get(PURE_KEY), Some(&b"key"[..]));
        }
    }

    #[test]
    fn what_is_pure_is_a_read_that_is_known() {
        assert!(PURE.is_sorted());
        for name in PURE {
            let shape = shape::all().find(|shape| shape.name == *name);
            assert!(shape.is_some_and(Shape::is_read_only), "{name}");
        }
    }
}
