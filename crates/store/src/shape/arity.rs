//! How many words a request has.

/// How many words a request has, the command's name included (both words of a subcommand).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// So many.
    Exactly(usize),
    /// So many or more.
    AtLeast(usize),
}

impl Arity {
    /// Whether a request of `len` words is long enough and not too long.
    #[inline]
    pub fn allows(self, len: usize) -> bool {
        match self {
            Arity::Exactly(wanted) => len == wanted,
            Arity::AtLeast(least) => len >= least,
        }
    }

    /// The arity as `COMMAND INFO` gives it: negative where there may be more.
    pub fn as_redis(self) -> i64 {
        match self {
            Arity::Exactly(wanted) => wanted as i64,
            Arity::AtLeast(least) => -(least as i64),
        }
    }
}
