//! Which calls a rule is for.

use std::fmt;
use std::ops::RangeInclusive;

use larder_store::Command;

use crate::rows;

/// Which calls a rule of a [`Plan`] is for. Each command counts, also those of one pipeline.
///
/// [`Plan`]: crate::Plan
///
/// # Examples
///
/// ```
/// use larder_testing::Calls;
///
/// assert_eq!(Calls::named("INCR").nth(2).to_string(), "the 2nd INCR");
/// assert_eq!(
///     Calls::all().like("{shop:lock:*").of("ann").one_in(10).to_string(),
///     "1 in 10 calls like {shop:lock:* of ann",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    kind: Kind,
    like: Option<String>,
    client: Option<String>,
    which: Which,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    All,
    Named(String),
    Writes,
    Scripts,
}

/// Which of those that match.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    Every,
    Numbers(RangeInclusive<u64>),
    OneIn(u32),
}

impl Calls {
    /// Every call.
    pub fn all() -> Calls {
        Calls::of_kind(Kind::All)
    }

    /// The calls of this command, such as `INCR`, in any case. `SUBSCRIBE` is the beginning of a
    /// subscription.
    pub fn named(command: &str) -> Calls {
        Calls::of_kind(Kind::Named(command.to_ascii_uppercase()))
    }

    /// The calls that may change something: commands that write, and scripts.
    pub fn writes() -> Calls {
        Calls::of_kind(Kind::Writes)
    }

    /// The calls of scripts: `EVAL` and `EVALSHA`. The first call of a script is two: the store does not
    /// know the digest, and is sent the text.
    pub fn scripts() -> Calls {
        Calls::of_kind(Kind::Scripts)
    }

    fn of_kind(kind: Kind) -> Calls {
        Calls {
            kind,
            like: None,
            client: None,
            which: Which::Every,
        }
    }

    /// Of these, those with a key, or another argument, that matches this glob pattern: `*` stands for
    /// any bytes, `?` for one.
    #[must_use]
    pub fn like(mut self, glob: impl Into<String>) -> Calls {
        self.like = Some(glob.into());
        self
    }

    /// Of these, those of this client.
    #[must_use]
    pub fn of(mut self, client: impl Into<String>) -> Calls {
        self.client = Some(client.into());
        self
    }

    /// Of these, the `number`th; the first is number 1.
    #[must_use]
    pub fn nth(self, number: u64) -> Calls {
        self.numbers(number..=number)
    }

    /// Of these, those with these numbers; the first is number 1.
    #[must_use]
    pub fn numbers(mut self, numbers: RangeInclusive<u64>) -> Calls {
        self.which = Which::Numbers(numbers);
        self
    }

    /// Of these, one in so many, by chance.
    #[must_use]
    pub fn one_in(mut self, times: u32) -> Calls {
        self.which = Which::OneIn(times);
        self
    }

    /// Whether a command of a client is one of these, whichever they are.
    pub(crate) fn match_command(&self, client: &str, command: &Command) -> bool {
        let is_of_kind = match &self.kind {
            Kind::All => true,
            Kind::Named(name) => command.name().eq_ignore_ascii_case(name.as_bytes()),
            Kind::Writes => rows::may_write(command),
            Kind::Scripts => rows::is_script(command),
        };
        let has_client = self.client.as_deref().is_none_or(|name| name == client);
        let mut arguments = command.arguments().iter().skip(1);
        is_of_kind && has_client && { self.like.as_deref() }
            .is_none_or(|glob| arguments.any(|argument| matches(glob.as_bytes(), argument)))
    }

    /// Whether the one with this number is among these. `happens` says whether one in so many is.
    pub(crate) fn take(&self, number: u64, happens: impl FnOnce(u32) -> bool) -> bool {
        match &self.which {
            Which::Every => true,
            Which::Numbers(numbers) => numbers.contains(&number),
            Which::OneIn(times) => happens(*times),
        }
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::All => "call",
            Kind::Named(name) => name,
            Kind::Writes => "call that may write",
            Kind::Scripts => "call of a script",
        };
        match &self.which {
            Which::Every => write!(f, "every {kind}")?,
            Which::Numbers(numbers) if numbers.start() == numbers.end() => {
                write!(f, "the {} {kind}", Ordinal(*numbers.start()))?;
            }
            Which::Numbers(numbers) => {
                let (first, last) = (Ordinal(*numbers.start()), Ordinal(*numbers.end()));
                write!(f, "the {first} to {last} {kind}")?;
            }
            Which::OneIn(times) => match self.kind {
                Kind::All => write!(f, "1 in {times} calls")?,
                _ => write!(f, "1 in {times} of every {kind}")?,
            },
        }
        if let Some(glob) = &self.like {
            write!(f, " like {glob}")?;
        }
        if let Some(client) = &self.client {
            write!(f, " of {client}")?;
        }
        Ok(())
    }
}

struct Ordinal(u64);

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = match (self.0 % 10, self.0 % 100) {
            (_, 11..=13) => "th",
            (1, _) => "st",
            (2, _) => "nd",
            (3, _) => "rd",
            _ => "th",
        };
        write!(f, "{}{ending}", self.0)
    }
}

/// Whether a text matches a pattern of `*` and `?`. O(length of the pattern times that of the text).
fn matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // Where the last star stands, and up to where it reaches.
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match glob.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[from] => {
                (at, from) = (at + 1, from + 1);
            }
            _ => match star {
                Some((place, reach)) => {
                    star = Some((place, reach + 1));
                    (at, from) = (place + 1, reach + 1);
                }
                None => return false,
            },
        }
    }
    glob[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_bytes_and_a_question_mark_for_one() {
        for (glob, text, wanted) in [
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b", "a-b-c", false),
            ("?", "", false),
            ("{shop:lock:?}*", "{shop:lock:a}:fence", true),
            ("[a]", "a", false),
        ] {
            assert_eq!(
                matches(glob.as_bytes(), text.as_bytes()),
                wanted,
                "{glob} {text}"
            );
        }
    }

    #[test]
    fn calls_are_told_by_command_argument_and_client() {
        let call = Command::new("set").arg("{shop:cache:a}").arg("1");
        assert!(Calls::all().match_command("ann", &call));
        assert!(Calls::named("SET").match_command("ann", &call));
        assert!(
            Calls::writes()
                .like("*cache*")
                .of("ann")
                .match_command("ann", &call)
        );
        assert!(!Calls::named("GET").match_command("ann", &call));
        assert!(!Calls::all().like("*lock*").match_command("ann", &call));
        assert!(!Calls::all().of("bob").match_command("ann", &call));
        assert!(!Calls::scripts().match_command("ann", &call));
    }
}
