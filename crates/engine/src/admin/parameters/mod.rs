//! The parameters that CONFIG knows: a row each, with what values it may have and where it is kept.
//!
//! A parameter is here if it does something, or if a client that reads it learns something true.

mod absent;
mod described;
mod hosted;
mod table;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

pub use described::{Described, ParameterError, described, recognize};
pub(super) use table::PARAMETERS;

use super::config::{ClientsMemory, Config};
use super::observed::{Observed, read_int, read_switch};
use super::output_limits::OutputLimits;
use super::rewrite::quoted;
use crate::engine::Engine;
use crate::eviction::EvictionPolicy;
use crate::keyspace::Classes;
use crate::persist::{Points, read_points};
use crate::types::{Limit, Limits};

use hosted::Hosted;

/// A parameter.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    /// The name that it had in older versions.
    pub(super) alias: Option<&'static str>,
    pub(super) group: Group,
    /// What it is, in a sentence.
    pub(super) doc: &'static str,
    /// What `larder serve` takes if nobody says otherwise, where that is not the engine's own default.
    unless_told: Option<&'static str>,
    place: Place,
}

/// Where a parameter is kept, and what it may be.
enum Place {
    /// A number from the first to the last of these.
    Setting(fn(&Config) -> &AtomicU64, Unit, u64, u64),
    /// A number that is kept beside the configuration, by whoever goes by it.
    Kept(fn(&Engine) -> &AtomicU64, Unit, u64, u64),
    /// `maxmemory`.
    MaxMemory,
    /// `maxmemory-policy`.
    EvictionPolicy,
    /// A limit of small collections.
    Limit(fn(&Limits) -> &Limit, Unit),
    /// `list-max-listpack-size`: a count, or one of five sizes.
    ListSize,
    /// `client-output-buffer-limit`: three numbers for each class of clients.
    OutputLimits,
    /// `maxmemory-clients`: bytes, or hundredths of `maxmemory`.
    ClientsMemory,
    Password,
    /// `yes` or `no`.
    Switch(fn(&Engine) -> &AtomicBool),
    /// `notify-keyspace-events`: classes of events.
    Events,
    /// `save`: after how many seconds and changes the store is saved.
    Points,
    /// `acl-pubsub-default`.
    NewUsersChannels,
    /// What is looked at of commands.
    Observed(&'static Observed),
    /// It has this value and no other; the reason says why.
    Only(&'static str, &'static str),
    /// `aclfile`.
    UserFile,
    /// The process around the engine goes by it.
    Hosted(Hosted),
    /// It says how the process is started, and CONFIG does not know it.
    Start,
}

/// How a number is written.
#[derive(Clone, Copy)]
enum Unit {
    Count,
    /// In bytes, or with a unit behind it: `512mb`.
    Memory,
}

/// A value that was read, for its parameter.
pub(super) enum Value {
    Number(u64),
    ListSize(i64),
    OutputLimits(Vec<u8>),
    ClientsMemory(ClientsMemory),
    Password(Vec<u8>),
    Switch(bool),
    Events(Classes),
    Points(Points),
    /// As it was written.
    Text(Vec<u8>),
    /// For the process around the engine, which says whether it is one.
    Hosted,
    /// The value that it has anyway.
    Same,
}

/// What new users may listen to: everything, or nothing.
const NEW_USERS_CHANNELS: &[&str] = &["allchannels", "resetchannels"];
const NO_CLASS: &str = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
pub(super) const IMMUTABLE: &str = "can't set immutable config";

/// What `larder serve --help` puts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Where is listened, and what connections are like.
    Network,
    /// Connections over TLS.
    Tls,
    /// Passwords and users.
    Users,
    /// What clients may take.
    Clients,
    /// What the store may hold.
    Memory,
    /// Scripts.
    Scripts,
    /// How small collections are kept.
    Collections,
    /// What is logged, noted and published.
    Watching,
    /// What is kept on disk.
    Files,
    /// Everything else.
    General,
}

impl Group {
    /// Its name, for a heading.
    pub const fn title(self) -> &'static str {
        match self {
            Group::Network => "Network",
            Group::Tls => "TLS",
            Group::Users => "Passwords and users",
            Group::Clients => "Clients",
            Group::Memory => "Memory",
            Group::Scripts => "Scripts",
            Group::Collections => "Small collections",
            Group::Watching => "Log, slow log and events",
            Group::Files => "Files",
            Group::General => "General",
        }
    }
}

const fn row(name: &'static str, group: Group, doc: &'static str, place: Place) -> Parameter {
    Parameter {
        name,
        alias: None,
        group,
        doc,
        unless_told: None,
        place,
    }
}

const fn aliased(
    name: &'static str,
    alias: &'static str,
    group: Group,
    doc: &'static str,
    place: Place,
) -> Parameter {
    Parameter {
        alias: Some(alias),
        ..row(name, group, doc, place)
    }
}

impl Parameter {
    /// The parameter of this name, in any case.
    pub(super) fn find(name: &[u8]) -> Option<&'static Parameter> {
        let is = |candidate: &str| name.eq_ignore_ascii_case(candidate.as_bytes());
        let mut rows = PARAMETERS.iter();
        rows.find(|row| is(row.name) || row.alias.is_some_and(is))
    }

    /// The same with what `larder serve` takes if nobody says otherwise.
    const fn unless_told(self, what: &'static str) -> Parameter {
        Parameter {
            unless_told: Some(what),
            ..self
        }
    }

    /// Whether the engine keeps it, and it can change.
    pub(super) fn is_own(&self) -> bool {
        !matches!(
            self.place,
            Place::Hosted(_) | Place::Start | Place::UserFile | Place::Only(..)
        )
    }

    /// The lines that a configuration file has of it.
    pub(super) fn lines(&self, engine: &Engine) -> Vec<Vec<u8>> {
        let value = self.get(engine);
        let line = |words: &[u8]| [self.name.as_bytes(), b" ", words].concat();
        match &self.place {
            Place::OutputLimits => {
                let words: Vec<&[u8]> = value.split(|byte| *byte == b' ').collect();
                let classes = words.chunks(4).map(|words| line(&words.join(&b' ')));
                classes.collect()
            }
            Place::Observed(_) | Place::Points if !value.is_empty() => vec![line(&value)],
            _ => vec![line(&quoted(&value))],
        }
    }

    /// Whether CONFIG knows it.
    pub(super) fn is_configured(&self) -> bool {
        !matches!(self.place, Place::Start)
    }

    /// Its value, as CONFIG GET answers it.
    pub(super) fn get(&self, engine: &Engine) -> Vec<u8> {
        let limits = engine.shards.limits();
        let text = match &self.place {
            Place::Setting(cell, ..) => cell(&engine.config).load(Relaxed).to_string(),
            Place::Kept(cell, ..) => cell(engine).load(Relaxed).to_string(),
            Place::MaxMemory => engine.max_memory().to_string(),
            Place::EvictionPolicy => engine.memory.policy().to_string(),
            Place::Limit(field, _) => field(limits).get().to_string(),
            Place::ListSize => limits.list_max_listpack_size.get().to_string(),
            Place::OutputLimits => engine.config.output_limits.load().to_string(),
            Place::ClientsMemory => match engine.config.clients_memory() {
                ClientsMemory::Unlimited => "0".to_owned(),
                ClientsMemory::Bytes(bytes) => bytes.to_string(),
                ClientsMemory::Percent(percent) => format!("{percent}%"),
            },
            Place::Password => return engine.config.password(),
            Place::Switch(switch) => match switch(engine).load(Relaxed) {
                true => "yes".to_owned(),
                false => "no".to_owned(),
            },
            Place::Events => engine.shards.event_classes().to_string(),
            Place::Points => engine.saving.points(),
            Place::NewUsersChannels => {
                let has_none = usize::from(!engine.config.has_all_channels());
                NEW_USERS_CHANNELS[has_none].to_owned()
            }
            Place::UserFile => engine.acl.file_name(),
            Place::Observed(parameter) => (parameter.get)(&engine.config),
            Place::Only(value, _) => (*value).to_owned(),
            Place::Hosted(hosted) => engine.config.hosted(self.name, hosted.default),
            Place::Start => String::new(),
        };
        text.into_bytes()
    }

    /// Whether Redis lets it be changed while it runs, or does not have it, though here it stays as it was
    /// at the start. To set it to what it is changes nothing, and is allowed.
    pub(super) fn takes_what_it_is(&self) -> bool {
        let others = ["bind", "port", "shutdown-timeout", "threads"];
        self.group == Group::Tls || others.contains(&self.name)
    }

    /// Reads a value for it.
    ///
    /// # Errors
    ///
    /// What is wrong with the value, in Redis's words where Redis has some.
    pub(super) fn read(&self, value: &[u8]) -> Result<Value, String> {
        match self.place {
            Place::Setting(_, unit, min, max) | Place::Kept(_, unit, min, max) => unit
                .read(value, i128::from(min), i128::from(max))
                .map(Value::Number),
            Place::EvictionPolicy => read_choice(value, EvictionPolicy::NAMES).map(Value::Number),
            Place::MaxMemory => Unit::Memory
                .read(value, 0, i128::from(u64::MAX))
                .map(Value::Number),
            Place::Limit(_, unit) => unit.read(value, 0, i128::from(i64::MAX)).map(Value::Number),
            Place::ListSize => {
                let size = read_int(value, i64::from(i32::MIN), i64::from(i32::MAX));
                size.map(Value::ListSize)
            }
            Place::OutputLimits => match OutputLimits::default().changed(value) {
                // Classes that are not named keep what they have when this is set.
                Ok(_) => Ok(Value::OutputLimits(value.to_vec())),
                Err(why) => Err(why.to_owned()),
            },
            Place::ClientsMemory => read_clients_memory(value).map(Value::ClientsMemory),
            Place::Password => Ok(Value::Password(value.to_vec())),
            Place::Switch(_) => read_switch(value).map(Value::Switch),
            Place::NewUsersChannels => read_choice(value, NEW_USERS_CHANNELS).map(Value::Number),
            Place::Events => Classes::parse(value)
                .map(Value::Events)
                .ok_or_else(|| NO_CLASS.to_owned()),
            Place::Points => read_points(value).map(Value::Points),
            Place::Observed(parameter) => {
                (parameter.check)(value).map(|()| Value::Text(value.to_vec()))
            }
            Place::Only(only, _) if value.eq_ignore_ascii_case(only.as_bytes()) => Ok(Value::Same),
            Place::Only(_, reason) => Err(reason.to_owned()),
            Place::Hosted(_) => Ok(Value::Hosted),
            Place::UserFile | Place::Start => Err(IMMUTABLE.to_owned()),
        }
    }

    /// Gives it a value that [`Parameter::read`] allowed.
    pub(super) fn set(&self, value: Value, engine: &Engine) {
        let limits = engine.shards.limits();
        match (&self.place, value) {
            (Place::Setting(cell, ..), Value::Number(number)) => {
                cell(&engine.config).store(number, Relaxed);
            }
            (Place::Kept(cell, ..), Value::Number(number)) => {
                cell(engine).store(number, Relaxed);
            }
            (Place::MaxMemory, Value::Number(bytes)) => engine.set_max_memory(bytes),
            (Place::EvictionPolicy, Value::Number(number)) => {
                engine.set_eviction_policy(EvictionPolicy::from_number(number));
            }
            (Place::Limit(field, _), Value::Number(number)) => {
                field(limits).set(usize::try_from(number).unwrap_or(usize::MAX));
            }
            (Place::ListSize, Value::ListSize(size)) => {
                limits.list_max_listpack_size.set(size);
            }
            (Place::OutputLimits, Value::OutputLimits(text)) => {
                let shared = &engine.config.output_limits;
                if let Ok(limits) = shared.load().changed(&text) {
                    shared.store(&limits);
                }
            }
            (Place::ClientsMemory, Value::ClientsMemory(memory)) => {
                engine.config.set_clients_memory(memory);
            }
            (Place::Password, Value::Password(password)) => {
                let password = Some(&*password).filter(|password| !password.is_empty());
                engine.require_password(password);
            }
            (Place::Switch(switch), Value::Switch(is_on)) => {
                switch(engine).store(is_on, Relaxed);
                engine.saving.look_again();
            }
            (Place::NewUsersChannels, Value::Number(place)) => {
                engine.config.acl_all_channels.store(place == 0, Relaxed);
            }
            (Place::Points, Value::Points(points)) => engine.saving.set_points(points),
            (Place::Events, Value::Events(classes)) => engine.shards.set_event_classes(classes),
            (Place::Observed(parameter), Value::Text(text)) => {
                (parameter.set)(&engine.config, &text);
                engine.look_as_configured();
            }
            _ => {}
        }
    }
}

impl Unit {
    fn read(self, value: &[u8], min: i128, max: i128) -> Result<u64, String> {
        let number = match self {
            Unit::Count => crate::args::parse_int(value)
                .map(i128::from)
                .ok_or("argument couldn't be parsed into an integer")?,
            Unit::Memory => memory(value)
                .filter(|bytes| *bytes >= 0)
                .ok_or("argument must be a memory value")?,
        };
        let number = Some(number).filter(|number| (min..=max).contains(number));
        number
            .and_then(|number| u64::try_from(number).ok())
            .ok_or_else(|| format!("argument must be between {min} and {max} inclusive"))
    }
}

/// The place of a name among those that are allowed.
fn read_choice(value: &[u8], names: &[&str]) -> Result<u64, String> {
    let mut known = names.iter();
    let index = known.position(|name| value.eq_ignore_ascii_case(name.as_bytes()));
    index.map(|index| index as u64).ok_or_else(|| {
        let names = names.join(", ");
        format!("argument(s) must be one of the following: {names}")
    })
}

fn read_clients_memory(value: &[u8]) -> Result<ClientsMemory, String> {
    let not_one = || "argument must be a memory or percent value".to_owned();
    if let Some(percent) = value.strip_suffix(b"%") {
        let percent = crate::args::parse_int(percent).filter(|percent| *percent >= 0);
        let percent = u8::try_from(percent.ok_or_else(not_one)?);
        return match percent {
            Ok(0) => Ok(ClientsMemory::Unlimited),
            Ok(percent @ 1..=100) => Ok(ClientsMemory::Percent(percent)),
            _ => Err("percentage argument must be less or equal to 100".to_owned()),
        };
    }
    Ok(match memory_size(value).ok_or_else(not_one)? {
        0 => ClientsMemory::Unlimited,
        bytes => ClientsMemory::Bytes(bytes),
    })
}

/// A number of bytes as Redis's configuration writes it, with a unit behind it or without: `512mb`.
/// None if the text is no such number, or a negative one.
pub fn memory_size(text: &[u8]) -> Option<u64> {
    memory(text).and_then(|bytes| u64::try_from(bytes).ok())
}

/// A number of bytes, with a unit behind it or without.
fn memory(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?.to_ascii_lowercase();
    let end = text.find(|c: char| c.is_ascii_alphabetic());
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let factor: i128 = match unit {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    let number = crate::args::parse_int(digits.as_bytes())?;
    Some(i128::from(number) * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_may_have_a_unit() {
        for (text, wanted) in [
            ("10", Some(10)),
            ("1k", Some(1000)),
            ("512MB", Some(512 << 20)),
            ("1gb", Some(1 << 30)),
            ("10xx", None),
            ("mb", None),
        ] {
            assert_eq!(memory(text.as_bytes()), wanted, "{text}");
        }
    }
}
