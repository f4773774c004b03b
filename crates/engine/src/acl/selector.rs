//! What one selector lets do: with which keys, channels and commands.

use std::fmt;

use super::allowed::Allowed;
use super::rules::{RuleError, has_spaces, is};
use crate::access::Access;
use crate::pubsub::glob;

/// What one selector lets do.
#[derive(Clone)]
pub(super) struct Selector {
    keys: Option<Vec<KeyPattern>>,
    channels: Option<Vec<Box<[u8]>>>,
    pub(super) commands: Allowed,
}

/// Keys, and what may be done with them.
#[derive(Clone)]
struct KeyPattern {
    pattern: Box<[u8]>,
    may_read: bool,
    may_write: bool,
}

impl KeyPattern {
    fn allows(&self, access: Access) -> bool {
        (self.may_read || !access.reads()) && (self.may_write || !access.writes())
    }
}

impl Selector {
    /// One that lets do nothing, but listen to all channels if that is what new ones let do.
    pub(super) fn new(has_all_channels: bool) -> Selector {
        Selector {
            keys: Some(Vec::new()),
            channels: (!has_all_channels).then(Vec::new),
            commands: Allowed::new(false),
        }
    }

    /// One that lets do everything.
    pub(super) fn all() -> Selector {
        Selector {
            keys: None,
            channels: None,
            commands: Allowed::new(true),
        }
    }

    pub(super) fn is_all(&self) -> bool {
        self.keys.is_none() && self.channels.is_none() && self.commands.is_all()
    }

    pub(super) fn allows_key(&self, key: &[u8], access: Access) -> bool {
        let matches =
            |key_is: &KeyPattern| key_is.allows(access) && glob::matches(&key_is.pattern, key);
        self.keys
            .as_ref()
            .is_none_or(|keys| keys.iter().any(matches))
    }

    /// Whether all keys may be read.
    pub(super) fn reads_all_keys(&self) -> bool {
        let is_all = |key: &KeyPattern| key.may_read && *key.pattern == *b"*";
        self.keys
            .as_ref()
            .is_none_or(|keys| keys.iter().any(is_all))
    }

    pub(super) fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        let channels = self.channels();
        channels.is_none_or(|channels| are_allowed(channels, channel, is_pattern))
    }

    /// Its patterns of channels; `None` if all are allowed.
    pub(super) fn channels(&self) -> Option<&[Box<[u8]>]> {
        self.channels.as_deref()
    }

    /// Applies one rule.
    pub(super) fn set(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        match rule {
            _ if is(rule, "allkeys") || is(rule, "~*") => self.keys = None,
            _ if is(rule, "resetkeys") => self.keys = Some(Vec::new()),
            _ if is(rule, "allchannels") || is(rule, "&*") => self.channels = None,
            _ if is(rule, "resetchannels") => self.channels = Some(Vec::new()),
            _ if is(rule, "allcommands") || is(rule, "+@all") => self.commands = Allowed::new(true),
            _ if is(rule, "nocommands") || is(rule, "-@all") => self.commands = Allowed::new(false),
            [b'~', pattern @ ..] => self.add_keys(pattern, true, true)?,
            [b'%', rest @ ..] => self.add_keys_in_part(rest)?,
            [b'&', pattern @ ..] => self.add_channels(pattern)?,
            [b'+', name @ ..] => self.commands.set(true, name)?,
            [b'-', name @ ..] => self.commands.set(false, name)?,
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    /// Reads `R~pattern`, `W~pattern` or `RW~pattern`.
    fn add_keys_in_part(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.keys.is_none() {
            return Err(RuleError::AfterAllKeys);
        }
        let tilde = rule.iter().position(|byte| *byte == b'~');
        let (letters, pattern) = match tilde {
            Some(tilde) => (&rule[..tilde], &rule[tilde + 1..]),
            // As in Redis, letters without a pattern are the empty one.
            None => (rule, &b""[..]),
        };
        let count = |wanted: u8| {
            let letters = letters.iter().map(u8::to_ascii_uppercase);
            letters.filter(|letter| *letter == wanted).count()
        };
        let (reads, writes) = (count(b'R'), count(b'W'));
        if reads > 1 || writes > 1 || letters.is_empty() || reads + writes < letters.len() {
            return Err(RuleError::Syntax);
        }
        self.add_keys(pattern, reads > 0, writes > 0)
    }

    fn add_keys(
        &mut self,
        pattern: &[u8],
        may_read: bool,
        may_write: bool,
    ) -> Result<(), RuleError> {
        let keys = self.keys.as_mut().ok_or(RuleError::AfterAllKeys)?;
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        match keys.iter_mut().find(|key| *key.pattern == *pattern) {
            Some(key) => {
                key.may_read |= may_read;
                key.may_write |= may_write;
            }
            None => keys.push(KeyPattern {
                pattern: pattern.into(),
                may_read,
                may_write,
            }),
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        let channels = self.channels.as_mut().ok_or(RuleError::AfterAllChannels)?;
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        if !channels.iter().any(|channel| **channel == *pattern) {
            channels.push(pattern.into());
        }
        Ok(())
    }

    /// Its patterns of keys, as ACL GETUSER shows them.
    pub(super) fn shown_keys(&self) -> Vec<u8> {
        let Some(keys) = &self.keys else {
            return b"~*".to_vec();
        };
        let shown = keys.iter().map(|key| {
            let sign: &[u8] = match (key.may_read, key.may_write) {
                (true, false) => b"%R~",
                (false, true) => b"%W~",
                _ => b"~",
            };
            [sign, &key.pattern].concat()
        });
        shown.collect::<Vec<_>>().join(&b' ')
    }

    /// Its patterns of channels, as ACL GETUSER shows them.
    pub(super) fn shown_channels(&self) -> Vec<u8> {
        let Some(channels) = &self.channels else {
            return b"&*".to_vec();
        };
        let shown = channels.iter().map(|channel| [b"&", &**channel].concat());
        shown.collect::<Vec<_>>().join(&b' ')
    }

    /// The rules that make it, as ACL LIST shows them.
    pub(super) fn shown(&self) -> Vec<u8> {
        let mut parts = Vec::new();
        parts.push(self.shown_keys());
        if self.channels.is_some() {
            parts.push(b"resetchannels".to_vec());
        }
        parts.push(self.shown_channels());
        parts.push(self.commands.to_string().into_bytes());
        parts.retain(|part| !part.is_empty());
        parts.join(&b' ')
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&larder_resp::text_of(&self.shown()))
    }
}

/// Whether a channel is among these. A pattern is if it stands there letter for letter.
pub(super) fn are_allowed(patterns: &[Box<[u8]>], channel: &[u8], is_pattern: bool) -> bool {
    patterns.iter().any(|pattern| match is_pattern {
        true => **pattern == *channel,
        false => glob::matches(pattern, channel),
    })
}
