//! What a command may do.

/// What a command may do, and where it may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u32);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl Flags {
            $($(#[$doc])* pub const $name: Flags = Flags(1 << $bit);)*

            /// Every flag that has a meaning here, by name.
            pub const ALL: &[(&str, Flags)] = &[$((stringify!($name), Flags::$name)),*];
        }
    };
}

flags! {
    /// It may change keys.
    WRITE = 0;
    /// It reads keys and changes none.
    READONLY = 1;
    /// It is refused when memory is short.
    DENY_OOM = 2;
    /// It takes constant or logarithmic time.
    FAST = 3;
    /// It may wait.
    BLOCKING = 4;
    /// Scripts may not call it.
    NO_SCRIPT = 5;
    /// It may not stand in a transaction.
    NO_MULTI = 6;
    /// It is run at once inside a transaction, not queued.
    UNQUEUED = 7;
    /// It is allowed before authentication.
    NO_AUTH = 8;
    /// It is for administrators.
    ADMIN = 9;
    /// It has to do with messages.
    PUBSUB = 10;
    /// A RESP2 connection that is subscribed may send it.
    SUBSCRIBED = 11;
    /// It works on the whole keyspace, and so holds every shard.
    WHOLE = 12;
    /// It runs a script.
    SCRIPT = 13;
    /// It changes no key, and has an effect outside the connection all the same.
    MAY_REPLICATE = 14;
    /// Of those that work on the whole keyspace: it takes one shard after the other, and sees each as
    /// it is then. In a transaction it holds all.
    SHARDWISE = 15;
}

/// Where the flags begin that have a meaning elsewhere only.
const RESERVED: u32 = 24;

impl Flags {
    /// Nothing in particular.
    pub const NONE: Flags = Flags(0);

    /// One of the eight flags, from 0, that have no meaning here: for what an engine derives for itself.
    ///
    /// # Panics
    ///
    /// If there is no such flag.
    pub const fn reserved(number: u32) -> Flags {
        assert!(
            number < u32::BITS - RESERVED,
            "there are eight reserved flags"
        );
        Flags(1 << (RESERVED + number))
    }

    /// These flags and those.
    #[must_use]
    pub const fn and(self, more: Flags) -> Flags {
        Flags(self.0 | more.0)
    }

    /// Whether all of `wanted` are among these.
    #[inline]
    pub const fn has(self, wanted: Flags) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// Whether it reads or changes keys.
    #[inline]
    pub const fn touches_keys(self) -> bool {
        self.0 & (Flags::WRITE.0 | Flags::READONLY.0) != 0
    }

    /// The names of these flags, without the reserved ones.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = Flags::ALL.iter();
        all.filter(move |(_, flag)| self.has(*flag))
            .map(|(name, _)| *name)
    }
}
