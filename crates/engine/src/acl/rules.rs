//! The rules of a user: how it comes in, and what it may do.

use super::selector::{Selector, are_allowed};

/// The rules of a user. They do not change: whoever changes a user makes other rules.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(super) is_on: bool,
    /// Whether any password will do.
    pub(super) is_open: bool,
    /// Whether what it restores is not looked at closely. It is kept and shown; what this server
    /// restores is always looked at.
    skips_sanitizing: bool,
    pub(super) passwords: Vec<Digest>,
    /// The root selector, which the rules outside of parentheses are about, and the others behind it.
    /// One of them has to let a request do all that it does.
    pub(super) selectors: Vec<Selector>,
}

/// What is known of a password: its SHA-256.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digest([u8; 32]);

/// Why a rule was refused, in Redis's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RuleError {
    #[error("Unknown command or category name in ACL")]
    Unknown,
    #[error("Syntax error")]
    Syntax,
    #[error(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have \
         any effect. Try 'resetkeys' to start with an empty list of patterns"
    )]
    AfterAllKeys,
    #[error(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not \
         have any effect. Try 'resetchannels' to start with an empty list of channels"
    )]
    AfterAllChannels,
    #[error("The password you are trying to remove from the user does not exist")]
    NoSuchPassword,
    #[error(
        "The password hash must be exactly 64 characters and contain only lowercase hexadecimal \
         characters"
    )]
    NoDigest,
    #[error("Allowing first-arg of a subcommand is not supported")]
    PartOfSubcommand,
}

impl Digest {
    fn of(password: &[u8]) -> Digest {
        Digest(hmac_sha256::Hash::hash(password))
    }

    /// Reads 64 hexadecimal digits, which are small.
    fn read(text: &[u8]) -> Result<Digest, RuleError> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(RuleError::NoDigest),
        };
        let (pairs, []) = text.as_chunks::<2>() else {
            return Err(RuleError::NoDigest);
        };
        let bytes = pairs
            .iter()
            .map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?));
        let bytes = bytes.collect::<Result<Vec<u8>, RuleError>>()?;
        let bytes = bytes.try_into().map_err(|_| RuleError::NoDigest)?;
        Ok(Digest(bytes))
    }

    /// Whether two are the same, in a time that does not tell where they differ.
    fn is(&self, other: &Digest) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        pairs.fold(0, |differences, (one, other)| differences | (one ^ other)) == 0
    }

    pub(super) fn shown(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Rules {
    /// Those of a user who is new: it can't come in, and may do nothing.
    pub(super) fn new(has_all_channels: bool) -> Rules {
        Rules {
            is_on: false,
            is_open: false,
            skips_sanitizing: false,
            passwords: Vec::new(),
            selectors: vec![Selector::new(has_all_channels)],
        }
    }

    /// Those of a user who comes in without a password, and may do everything.
    pub(super) fn all() -> Rules {
        Rules {
            is_on: true,
            is_open: true,
            selectors: vec![Selector::all()],
            ..Rules::new(true)
        }
    }

    /// Whether nothing that the user does has to be checked.
    pub(crate) fn are_all(&self) -> bool {
        self.selectors.iter().any(Selector::is_all)
    }

    /// Whether a connection that has said nothing is not this user yet.
    pub(crate) fn ask_for_login(&self) -> bool {
        !self.is_open || !self.is_on
    }

    /// Whether the user may come in with this password. It takes as long whichever password is right.
    pub(super) fn accept(&self, password: &[u8]) -> bool {
        let digest = Digest::of(password);
        let known = self.passwords.iter();
        let is_known = known.fold(false, |is_known, other| is_known | other.is(&digest));
        self.is_on && (self.is_open || is_known)
    }

    /// Whether it may listen to a channel, or to a pattern of them.
    pub(crate) fn allow_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        let mut selectors = self.selectors.iter();
        selectors.any(|selector| selector.allows_channel(channel, is_pattern))
    }

    /// The patterns of channels of all selectors; `None` if one allows all.
    pub(super) fn channels(&self) -> Option<Vec<Box<[u8]>>> {
        let selectors = self.selectors.iter();
        let all = selectors.map(|selector| selector.channels().map(<[_]>::to_vec));
        all.collect::<Option<Vec<_>>>().map(|all| all.concat())
    }

    /// What listeners may hear from here on, if that may be less than under the `old` rules.
    pub(super) fn channels_left(&self, old: &Rules) -> Option<Vec<Box<[u8]>>> {
        let channels = self.channels()?;
        let has_all = |old: Vec<Box<[u8]>>| old.iter().all(|channel| channels.contains(channel));
        match old.channels().is_some_and(has_all) {
            true => None,
            false => Some(channels),
        }
    }

    /// Applies one rule. If it is refused nothing has changed.
    pub(super) fn set(&mut self, rule: &[u8], has_all_channels: bool) -> Result<(), RuleError> {
        match rule {
            [] => {}
            _ if is(rule, "on") => self.is_on = true,
            _ if is(rule, "off") => self.is_on = false,
            _ if is(rule, "skip-sanitize-payload") => self.skips_sanitizing = true,
            _ if is(rule, "sanitize-payload") => self.skips_sanitizing = false,
            _ if is(rule, "nopass") => {
                self.is_open = true;
                self.passwords.clear();
            }
            _ if is(rule, "resetpass") => {
                self.is_open = false;
                self.passwords.clear();
            }
            [b'>', password @ ..] => self.add_password(Digest::of(password)),
            [b'#', digest @ ..] => self.add_password(Digest::read(digest)?),
            [b'<', password @ ..] => self.remove_password(&Digest::of(password))?,
            [b'!', digest @ ..] => self.remove_password(&Digest::read(digest)?)?,
            [b'(', rules @ .., b')'] => {
                let mut selector = Selector::new(has_all_channels);
                let rules = rules.split(u8::is_ascii_whitespace);
                let mut rules = rules.filter(|rule| !rule.is_empty());
                rules.try_for_each(|rule| selector.set(rule))?;
                self.selectors.push(selector);
            }
            _ if is(rule, "clearselectors") => self.selectors.truncate(1),
            _ if is(rule, "reset") => *self = Rules::new(has_all_channels),
            _ => self.selectors[0].set(rule)?,
        }
        Ok(())
    }

    fn add_password(&mut self, digest: Digest) {
        if !self.passwords.iter().any(|other| other.is(&digest)) {
            self.passwords.push(digest);
        }
        self.is_open = false;
    }

    fn remove_password(&mut self, digest: &Digest) -> Result<(), RuleError> {
        let mut passwords = self.passwords.iter();
        let place = passwords.position(|other| other.is(digest));
        self.passwords
            .remove(place.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }

    /// Its flags, in Redis's words and order.
    pub(super) fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.is_on { "on" } else { "off" }];
        if self.is_open {
            flags.push("nopass");
        }
        flags.push(match self.skips_sanitizing {
            true => "skip-sanitize-payload",
            false => "sanitize-payload",
        });
        flags
    }

    /// The rules that make them, as ACL LIST shows them.
    pub(super) fn shown(&self) -> Vec<u8> {
        let flags = self
            .flags()
            .into_iter()
            .map(|flag| flag.as_bytes().to_vec());
        let passwords = self.passwords.iter();
        let passwords = passwords.map(|digest| format!("#{}", digest.shown()).into_bytes());
        let selectors = self.selectors.iter().enumerate();
        let selectors = selectors.map(|(place, selector)| match place {
            0 => selector.shown(),
            _ => [b"(", &*selector.shown(), b")"].concat(),
        });
        let parts = flags.chain(passwords).chain(selectors);
        parts.collect::<Vec<_>>().join(&b' ')
    }
}

/// Puts selectors that are spread over several words together.
///
/// # Errors
///
/// The word that opens a parenthesis which is not closed.
pub(super) fn merge_selectors<'a>(
    words: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<Vec<u8>>, &'a [u8]> {
    let mut merged: Vec<Vec<u8>> = Vec::new();
    let mut open: Option<&[u8]> = None;
    for word in words {
        match (open, merged.last_mut()) {
            (Some(_), Some(selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(word);
                open = open.filter(|_| !word.ends_with(b")"));
            }
            _ => {
                merged.push(word.to_vec());
                open = Some(word).filter(|word| word.starts_with(b"(") && !word.ends_with(b")"));
            }
        }
    }
    match open {
        Some(word) => Err(word),
        None => Ok(merged),
    }
}

/// Whether a listener may go on with this, of what is left to it.
pub(super) fn may_listen(left: &[Box<[u8]>], name: &[u8], is_pattern: bool) -> bool {
    are_allowed(left, name, is_pattern)
}

/// Whether a rule is this word, in any case.
pub(super) fn is(rule: &[u8], word: &str) -> bool {
    rule.eq_ignore_ascii_case(word.as_bytes())
}

/// Whether a text has what separates the words of a file of users.
pub(super) fn has_spaces(text: &[u8]) -> bool {
    // The vertical tab is no white space for Rust.
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, 0 | 0x0b);
    text.iter().any(is_space)
}
