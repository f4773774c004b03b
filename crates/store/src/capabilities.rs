//! What a store can do that not every store can.

use std::fmt;

/// Something that a store can do, and not every store.
///
/// A pattern never asks what kind of store it has. Where it may take a better way that only some have, it
/// asks for the capability; see [`Store::capabilities`](crate::Store::capabilities).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// It is a cluster that keeps messages on the shard of their channel (`SPUBLISH`, `SSUBSCRIBE`),
    /// where `PUBLISH` would carry each to all nodes.
    ShardedMessages,
    /// Scripts that only read have a command of their own, which a replica takes too (`EVALSHA_RO`).
    ReadOnlyScripts,
    /// A key can be removed if it holds a certain string (`DELIFEQ`).
    DelIfEq,
    /// A key can be given a string if it holds a certain other one (`SET ... IFEQ`).
    SetIfEq,
    /// A key can be removed under a condition (`DELEX`).
    DelEx,
    /// A group can be read and what others left pending be claimed at once (`XREADGROUP ... CLAIM`).
    ClaimOnRead,
    /// Each field of a hash can have its own time to live (`HPEXPIRE`).
    HashFieldExpiry,
}

/// A set of capabilities.
///
/// # Examples
///
/// ```
/// use larder_store::{Capabilities, Capability};
///
/// let some = Capabilities::EMPTY.with(Capability::ReadOnlyScripts);
/// assert!(some.has(Capability::ReadOnlyScripts));
/// assert!(!some.has(Capability::ShardedMessages));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities(u32);

/// What is known of a server, of which its capabilities follow.
#[derive(Clone, Copy)]
pub struct Server<'a> {
    /// What it calls itself: the `server` of `HELLO`, or `valkey` if its `INFO` has a `valkey_version`.
    pub name: &'a str,
    /// Its version: of `valkey_version` if there is that, else of `redis_version`.
    pub version: &'a str,
    /// Whether it is a node of a cluster.
    pub is_cluster: bool,
    /// Whether it has a command of this name, in capitals.
    pub has_command: &'a dyn Fn(&str) -> bool,
}

impl Capabilities {
    /// None at all.
    pub const EMPTY: Capabilities = Capabilities(0);

    /// Whether this is one of them.
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u32) != 0
    }

    /// These and this one.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Capabilities {
        Capabilities(self.0 | 1 << capability as u32)
    }

    /// Those that both sets have: what all nodes of a store can do.
    #[must_use]
    pub const fn and(self, others: Capabilities) -> Capabilities {
        Capabilities(self.0 & others.0)
    }

    /// The capabilities of a server.
    ///
    /// # Examples
    ///
    /// ```
    /// use larder_store::{Capabilities, Capability, Server};
    ///
    /// let node = Server {
    ///     name: "valkey",
    ///     version: "9.1.0",
    ///     is_cluster: true,
    ///     has_command: &|name| ["SPUBLISH", "EVALSHA_RO", "DELIFEQ"].contains(&name),
    /// };
    /// let can = Capabilities::of(node);
    /// assert!(can.has(Capability::ShardedMessages) && can.has(Capability::SetIfEq));
    /// assert!(!can.has(Capability::DelEx));
    /// ```
    pub fn of(server: Server<'_>) -> Capabilities {
        CAPABILITIES
            .iter()
            .filter(|(_, is_there)| is_there(&server))
            .fold(Capabilities::EMPTY, |all, (one, _)| all.with(*one))
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        let all = CAPABILITIES.iter().map(|(capability, _)| *capability);
        all.filter(move |capability| self.has(*capability))
    }
}

/// Whether a server has a capability.
type IsThere = fn(&Server<'_>) -> bool;

/// How each capability is known. What has a command of its own is known by that, and an option by the
/// version that brought it: Redis and Valkey count on their own since 7.2.
const CAPABILITIES: &[(Capability, IsThere)] = &[
    (Capability::ShardedMessages, |server| {
        server.is_cluster && server.has("SPUBLISH")
    }),
    (Capability::ReadOnlyScripts, |server| {
        server.has("EVALSHA_RO")
    }),
    (Capability::DelIfEq, |server| server.has("DELIFEQ")),
    // Whoever has DELIFEQ had this before.
    (Capability::SetIfEq, |server| {
        server.has("DELIFEQ") || server.is_since((8, 4), (8, 1))
    }),
    (Capability::DelEx, |server| server.has("DELEX")),
    (Capability::ClaimOnRead, |server| {
        server.is_redis() && server.is_at_least((8, 4))
    }),
    (Capability::HashFieldExpiry, |server| server.has("HPEXPIRE")),
];

impl Server<'_> {
    fn has(&self, command: &str) -> bool {
        (self.has_command)(command)
    }

    fn is_valkey(&self) -> bool {
        self.name.eq_ignore_ascii_case("valkey")
    }

    /// Whether it is a Redis or a Valkey of these versions, or later. A server of another name is taken
    /// for neither: it says it is compatible with one, but not with which options.
    fn is_since(&self, redis: (u32, u32), valkey: (u32, u32)) -> bool {
        match self.is_valkey() {
            true => self.is_at_least(valkey),
            false => self.is_redis() && self.is_at_least(redis),
        }
    }

    fn is_redis(&self) -> bool {
        self.name.eq_ignore_ascii_case("redis")
    }

    fn is_at_least(&self, least: (u32, u32)) -> bool {
        let mut numbers = self.version.split('.').map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= least,
            _ => false,
        }
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, version: &str, is_cluster: bool, commands: &[&str]) -> Vec<Capability> {
        let has_command = &|name: &str| commands.contains(&name);
        let server = Server {
            name,
            version,
            is_cluster,
            has_command,
        };
        Capabilities::of(server).iter().collect()
    }

    #[test]
    fn every_capability_is_known_by_something() {
        let set = CAPABILITIES
            .iter()
            .fold(Capabilities::EMPTY, |all, (one, _)| all.with(*one));
        assert_eq!(set.iter().count(), CAPABILITIES.len());
        assert_eq!(Capability::HashFieldExpiry as usize + 1, CAPABILITIES.len());
    }

    #[test]
    fn messages_stay_on_their_shard_only_where_there_are_shards() {
        assert_eq!(of("redis", "7.0.15", false, &["SPUBLISH"]), []);
        let cluster = of("redis", "7.0.15", true, &["SPUBLISH"]);
        assert_eq!(cluster, [Capability::ShardedMessages]);
    }

    #[test]
    fn options_are_known_by_the_version_of_their_own_line() {
        let both = [Capability::SetIfEq, Capability::ClaimOnRead];
        assert_eq!(of("redis", "8.4.0", false, &[]), both);
        assert_eq!(of("redis", "8.2.9", false, &[]), []);
        assert_eq!(of("redis", "10.0.0", false, &[]), both);
        assert_eq!(of("valkey", "8.1.3", false, &[]), [Capability::SetIfEq]);
        assert_eq!(of("valkey", "9.1.0", false, &[]), [Capability::SetIfEq]);
        assert_eq!(of("valkey", "8.0.1", false, &[]), []);
        for strange in ["", "9", "nine.one", "-9.1"] {
            assert_eq!(of("valkey", strange, false, &[]), [], "{strange:?}");
        }
        assert_eq!(of("dragonfly", "9.9.9", false, &[]), []);
        let both = [Capability::DelIfEq, Capability::SetIfEq];
        assert_eq!(of("larder", "0.1.0", false, &["DELIFEQ"]), both);
    }
}
