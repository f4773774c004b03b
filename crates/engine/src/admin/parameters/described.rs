//! What is said of parameters to those who write configurations: a command line, a file, a help.

use std::fmt::Write as _;

use super::{Group, PARAMETERS, Parameter, Place, absent};
use crate::engine::{Engine, Now};

/// A parameter, for a help or an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its name in CONFIG, in files and, behind `--`, on the command line.
    pub name: &'static str,
    /// The name that it had in older versions of Redis.
    pub alias: Option<&'static str>,
    /// What it belongs to.
    pub group: Group,
    /// What it is, in a sentence.
    pub doc: &'static str,
    /// What it is if nobody says otherwise, as it would be written or in words; none if it is not there
    /// then.
    pub default: Option<String>,
    /// Whether [`Described::default`] can be written as it is.
    pub is_literal: bool,
    /// What may be written, in a few words.
    pub values: String,
    /// Whether it has one value that never changes.
    pub is_fixed: bool,
}

/// A value that can't be given to a parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// There is no parameter of this name.
    #[error("{name}: there is no such parameter{}", near.map_or_else(String::new, |near| format!(": did you mean {near}?")))]
    Unknown {
        /// The name.
        name: String,
        /// The parameter whose name is nearest, if it is near.
        near: Option<&'static str>,
    },
    /// Redis has it, and Larder does not.
    #[error("{name}: {why}")]
    Absent {
        /// The name.
        name: String,
        /// Why it is not there.
        why: &'static str,
    },
    /// It can't have this value.
    #[error("{name}: {why}")]
    Wrong {
        /// The name.
        name: &'static str,
        /// What is wrong with the value.
        why: String,
    },
}

/// All parameters, in the order of their groups.
pub fn described() -> Vec<Described> {
    let engine = Engine::new([0; 32], Now::from_unix_us(0));
    let rows = PARAMETERS.iter();
    rows.map(|parameter| parameter.described(&engine)).collect()
}

/// The parameter that a line of a configuration sets, and the value: its words with spaces between them.
///
/// # Errors
///
/// If there is no such parameter, or it can't have this value.
pub fn recognize(name: &str, words: &[Vec<u8>]) -> Result<(&'static str, Vec<u8>), ParameterError> {
    let Some(parameter) = Parameter::find(name.as_bytes()) else {
        return Err(unknown(name));
    };
    let value = words.join(&b' ');
    match parameter.check(words, &value) {
        Ok(()) => Ok((parameter.name, value)),
        Err(why) => {
            let name = parameter.name;
            Err(ParameterError::Wrong { name, why })
        }
    }
}

fn unknown(name: &str) -> ParameterError {
    let name = name.to_ascii_lowercase();
    if let Some(why) = absent::reason(&name) {
        return ParameterError::Absent { name, why };
    }
    let names = PARAMETERS.iter().map(|parameter| parameter.name);
    let near = names.map(|known| (distance(known, &name), known)).min();
    let near = near.filter(|(distance, known)| *distance <= 1 + known.len() / 6);
    let near = near.map(|(_, known)| known);
    ParameterError::Unknown { name, near }
}

/// How many letters have to be put in, taken out or changed to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, byte) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], place + 1);
        for (column, against) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(byte != against);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

impl Parameter {
    /// Whether a process may be started with these words for it.
    fn check(&self, words: &[Vec<u8>], value: &[u8]) -> Result<(), String> {
        if words.is_empty() || (words.len() > 1 && !self.has_words()) {
            return Err("wrong number of arguments".to_owned());
        }
        match &self.place {
            Place::Hosted(hosted) => hosted.check(value),
            Place::Start | Place::UserFile => Ok(()),
            _ => self.read(value).map(drop),
        }
    }

    /// Whether several words may stand behind its name.
    fn has_words(&self) -> bool {
        match &self.place {
            Place::Hosted(hosted) => hosted.has_words(),
            Place::OutputLimits | Place::Only(..) | Place::Points | Place::Start => true,
            Place::Observed(_) => self.name == "latency-tracking-info-percentiles",
            _ => false,
        }
    }

    fn described(&self, engine: &Engine) -> Described {
        let own = || String::from_utf8_lossy(&self.get(engine)).into_owned();
        let default = match (self.unless_told, &self.place) {
            (Some(what), _) => Some(what.to_owned()),
            (None, Place::Start) => None,
            (None, _) => Some(own()).filter(|value| !value.is_empty()),
        };
        Described {
            name: self.name,
            alias: self.alias,
            group: self.group,
            doc: self.doc,
            is_literal: self.unless_told.is_none(),
            default,
            values: self.values(),
            is_fixed: matches!(self.place, Place::Only(..)) || self.name == "databases",
        }
    }

    /// What may be written, in a few words.
    fn values(&self) -> String {
        use crate::eviction::EvictionPolicy;
        match &self.place {
            Place::Setting(_, unit, min, max) | Place::Kept(_, unit, min, max) => {
                unit.values(*min, *max)
            }
            Place::MaxMemory | Place::Limit(_, super::Unit::Memory) => "BYTES".to_owned(),
            Place::ClientsMemory => "BYTES or N%".to_owned(),
            Place::Limit(..) => "COUNT".to_owned(),
            Place::EvictionPolicy => EvictionPolicy::NAMES.join("|"),
            Place::ListSize => "NUMBER".to_owned(),
            Place::OutputLimits => "CLASS HARD SOFT SECONDS".to_owned(),
            Place::Password => "PASSWORD".to_owned(),
            Place::Switch(_) => "no|yes".to_owned(),
            Place::Events => "LETTERS".to_owned(),
            Place::Points => "SECONDS CHANGES".to_owned(),
            Place::NewUsersChannels => super::NEW_USERS_CHANNELS.join("|"),
            Place::Observed(_) if self.name == "latency-tracking" => "no|yes".to_owned(),
            Place::Observed(_) => "NUMBER".to_owned(),
            Place::Only(value, _) => format!("{value:?}"),
            Place::UserFile => "PATH".to_owned(),
            Place::Hosted(hosted) => hosted.values(),
            Place::Start => "VALUE".to_owned(),
        }
    }
}

impl super::Unit {
    fn values(self, min: u64, max: u64) -> String {
        let mut text = match self {
            super::Unit::Count => "NUMBER".to_owned(),
            super::Unit::Memory => "BYTES".to_owned(),
        };
        if max <= 1024 {
            let _ = write!(text, " from {min} to {max}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str, words: &[&str]) -> String {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        recognize(name, &words).unwrap_err().to_string()
    }

    #[test]
    fn a_name_that_is_mistyped_is_told_from_one_that_larder_knowingly_lacks() {
        assert_eq!(
            refusal("maxmemmory", &["1gb"]),
            "maxmemmory: there is no such parameter: did you mean maxmemory?"
        );
        assert_eq!(
            refusal("whatever", &["1"]),
            "whatever: there is no such parameter"
        );
        assert_eq!(
            refusal("repl-backlog-size", &["1mb"]),
            "repl-backlog-size: Larder does not replicate"
        );
        assert_eq!(
            refusal("AppendFsync", &["always"]),
            "appendfsync: there is no append-only file: `save` keeps snapshots"
        );
    }

    #[test]
    fn what_holds_anyway_is_accepted_and_everything_else_of_it_is_not() {
        let word = |text: &str| vec![text.as_bytes().to_vec()];
        for (name, value) in [
            ("save", ""),
            ("appendonly", "no"),
            ("daemonize", "no"),
            ("databases", "16"),
        ] {
            assert!(recognize(name, &word(value)).is_ok(), "{name}");
        }
        assert_eq!(refusal("databases", &["32"]), "databases: it is always 16");
        assert_eq!(
            refusal("appendonly", &["yes"]),
            "appendonly: there is no append-only file"
        );
        assert_eq!(refusal("save", &["900"]), "save: Invalid save parameters");
        assert_eq!(
            refusal("replicaof", &["a", "1"]),
            "replicaof: this server has no replicas"
        );
        assert_eq!(
            refusal("port", &["1", "2"]),
            "port: wrong number of arguments"
        );
        assert_eq!(
            refusal("port", &["70000"]),
            "port: argument must be between 0 and 65535 inclusive"
        );
    }

    #[test]
    fn every_parameter_has_a_doc_that_is_whole_sentences_and_a_default_that_it_may_have() {
        for parameter in described() {
            assert!(parameter.doc.ends_with('.'), "{}", parameter.name);
            let literal = parameter.default.filter(|_| parameter.is_literal);
            let Some(default) = literal else { continue };
            let words = default.split(' ').map(|word| word.as_bytes().to_vec());
            let words: Vec<Vec<u8>> = words.collect();
            assert!(
                recognize(parameter.name, &words).is_ok(),
                "{}",
                parameter.name
            );
        }
    }
}
