//! How a command is to be delivered.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Command, Trail};

/// How a command is to be delivered: what its caller asks of the way to the store, and not of the
/// store itself. A command says it with [`Command::within`] and its like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The time within which the caller wants to hear something: [`Command::within`].
    pub within: Option<Duration>,
    /// Where it goes: [`Command::on`].
    pub part: Option<Part>,
    /// Whether it is harmless if it happens twice: [`Command::repeatable`].
    pub is_repeatable: bool,
    /// Whether a replica may answer: [`Command::from_replica`].
    pub from_replica: bool,
    /// The name of the script that it calls, if anybody wants to know: [`Script::named`].
    ///
    /// [`Script::named`]: crate::Script::named
    pub script: Option<&'static str>,
    /// Where it is noted who was asked for it, if anybody wants to know: [`Store::observed`].
    ///
    /// [`Store::observed`]: crate::Store::observed
    pub trail: Option<Arc<Trail>>,
}

impl Delivery {
    /// Where nothing was said.
    pub(crate) const PLAIN: &Delivery = &Delivery {
        within: None,
        part: None,
        is_repeatable: false,
        from_replica: false,
        script: None,
        trail: None,
    };

    /// How commands are to be delivered that are sent together: within the shortest time that one of
    /// them names, to the part and with the trail of the first, and again or to a replica only if all of
    /// them may.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder_store::{Command, Delivery};
    ///
    /// let get = |key, ms| Command::new("GET").arg(key).within(Duration::from_millis(ms));
    /// let both = Delivery::of_all(&[get("a", 50), get("b", 20)]);
    /// assert_eq!(both.within, Some(Duration::from_millis(20)));
    /// ```
    pub fn of_all(commands: &[Command]) -> Delivery {
        let all = || commands.iter().map(Command::delivery);
        Delivery {
            within: all().filter_map(|delivery| delivery.within).min(),
            part: all().next().and_then(|delivery| delivery.part.clone()),
            is_repeatable: !commands.is_empty() && all().all(|delivery| delivery.is_repeatable),
            from_replica: !commands.is_empty() && all().all(|delivery| delivery.from_replica),
            script: None,
            trail: all().next().and_then(|delivery| delivery.trail.clone()),
        }
    }
}

/// A part of a store: all of it, or one of the masters of a cluster, by its address.
///
/// A part that has come to hold other keys than before has another [version](Part::with_version), and
/// is another part: what was asked of the former is answered with [`Error::Gone`](crate::Error::Gone).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    address: Arc<str>,
    version: u64,
}

impl Part {
    /// The part at this address.
    pub fn new(address: impl Into<Arc<str>>) -> Part {
        Part {
            address: address.into(),
            version: 0,
        }
    }

    /// All of a store that has no parts. It has no address.
    pub fn whole() -> Part {
        Part::new("")
    }

    /// The part at this address that holds what it holds since this version: any number that
    /// changes whenever the part takes over keys from another one.
    #[must_use]
    pub fn with_version(mut self, version: u64) -> Part {
        self.version = version;
        self
    }

    /// Its address.
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// Its version, 0 where nobody counts.
    pub fn version(&self) -> u64 {
        self.version
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_goes_where_its_first_goes_within_the_shortest_time_of_all() {
        let ms = Duration::from_millis;
        let (here, there) = (Part::new("a:1"), Part::new("b:1"));
        let ping = || Command::new("PING");
        let batch = [
            ping().on(&here).within(ms(30)).repeatable(),
            ping().on(&there).within(ms(20)).repeatable().from_replica(),
            ping().repeatable(),
        ];
        let wanted = Delivery {
            within: Some(ms(20)),
            part: Some(here),
            is_repeatable: true,
            ..Delivery::default()
        };
        assert_eq!(Delivery::of_all(&batch), wanted);
        assert_eq!(Delivery::of_all(&[]), Delivery::default());
    }

    #[test]
    fn a_part_that_holds_other_keys_is_another_part() {
        let part = Part::new("a:1");
        assert_eq!(part, Part::new("a:1"));
        assert_ne!(part, part.clone().with_version(1));
    }
}
