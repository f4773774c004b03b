//! The parameters that CONFIG knows: a row each, with what values it may have and where it is kept.
//!
//! A parameter is here if it does something, or if a client that reads it learns something true.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use super::config::{ClientsMemory, Config, Host};
use super::observed::{
    LARGE_REPLY, LARGE_REQUEST, Observed, PERCENTILES, SLOWER_THAN, THRESHOLD, TRACKING, read_int,
    read_switch,
};
use super::output_limits::OutputLimits;
use crate::engine::Engine;
use crate::eviction::EvictionPolicy;
use crate::keyspace::{Classes, DATABASES};
use crate::types::{Limit, Limits};

/// A parameter.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    /// The name that it had in older versions.
    pub(super) alias: Option<&'static str>,
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
    Switch(fn(&Config) -> &AtomicBool),
    /// `notify-keyspace-events`: classes of events.
    Events,
    /// `acl-pubsub-default`.
    NewUsersChannels,
    /// What is looked at of commands.
    Observed(&'static Observed),
    /// It has this value and no other; the reason says why.
    Only(&'static str, &'static str),
    /// `aclfile`.
    UserFile,
    /// Whoever started the process decided.
    Started(fn(&Host) -> String),
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
    /// As it was written.
    Text(Vec<u8>),
    /// The value that it has anyway.
    Same,
}

/// What new users may listen to: everything, or nothing.
const NEW_USERS_CHANNELS: &[&str] = &["allchannels", "resetchannels"];
const NOTHING_KEPT: &str = "nothing is kept on disk by this server";
const NO_CLASS: &str = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
const NO_REPLICAS: &str = "this server has no replicas";
const IMMUTABLE: &str = "can't set immutable config";

pub(super) const PARAMETERS: &[Parameter] = &[
    row("requirepass", Place::Password),
    row(
        "protected-mode",
        Place::Switch(|config| &config.protected_mode),
    ),
    row(
        "maxclients",
        Place::Setting(
            |config| &config.clients_max,
            Unit::Count,
            1,
            u32::MAX as u64,
        ),
    ),
    row(
        "timeout",
        Place::Setting(
            |config| &config.idle_timeout_s,
            Unit::Count,
            0,
            i32::MAX as u64,
        ),
    ),
    row(
        "tcp-keepalive",
        Place::Setting(
            |config| &config.keepalive_s,
            Unit::Count,
            0,
            i32::MAX as u64,
        ),
    ),
    row(
        "proto-max-bulk-len",
        Place::Setting(
            |config| &config.bulk_len_max,
            Unit::Memory,
            1 << 20,
            // Words are placed in their request by 32-bit numbers.
            u32::MAX as u64,
        ),
    ),
    row(
        "client-query-buffer-limit",
        Place::Setting(
            |config| &config.query_buffer_max,
            Unit::Memory,
            1 << 20,
            i64::MAX as u64,
        ),
    ),
    row("client-output-buffer-limit", Place::OutputLimits),
    row("maxmemory-clients", Place::ClientsMemory),
    aliased(
        "busy-reply-threshold",
        "lua-time-limit",
        Place::Setting(
            |config| &config.script_busy_ms,
            Unit::Count,
            0,
            i64::MAX as u64,
        ),
    ),
    // Of Larder alone: Redis lets scripts take all memory that there is.
    row(
        "lua-memory-limit",
        Place::Setting(
            |config| &config.script_memory_max,
            Unit::Memory,
            1 << 20,
            u32::MAX as u64,
        ),
    ),
    aliased(
        "hash-max-listpack-entries",
        "hash-max-ziplist-entries",
        Place::Limit(|limits| &limits.hash_max_listpack_entries, Unit::Count),
    ),
    aliased(
        "hash-max-listpack-value",
        "hash-max-ziplist-value",
        Place::Limit(|limits| &limits.hash_max_listpack_value, Unit::Memory),
    ),
    aliased(
        "list-max-listpack-size",
        "list-max-ziplist-size",
        Place::ListSize,
    ),
    row(
        "set-max-intset-entries",
        Place::Limit(|limits| &limits.set_max_intset_entries, Unit::Count),
    ),
    row(
        "set-max-listpack-entries",
        Place::Limit(|limits| &limits.set_max_listpack_entries, Unit::Count),
    ),
    row(
        "set-max-listpack-value",
        Place::Limit(|limits| &limits.set_max_listpack_value, Unit::Memory),
    ),
    aliased(
        "zset-max-listpack-entries",
        "zset-max-ziplist-entries",
        Place::Limit(|limits| &limits.zset_max_listpack_entries, Unit::Count),
    ),
    aliased(
        "zset-max-listpack-value",
        "zset-max-ziplist-value",
        Place::Limit(|limits| &limits.zset_max_listpack_value, Unit::Memory),
    ),
    row(
        "stream-node-max-entries",
        Place::Limit(|limits| &limits.stream_node_max_entries, Unit::Count),
    ),
    row(
        "stream-node-max-bytes",
        Place::Limit(|limits| &limits.stream_node_max_bytes, Unit::Memory),
    ),
    row(
        "hll-sparse-max-bytes",
        Place::Limit(|limits| &limits.hll_sparse_max_bytes, Unit::Memory),
    ),
    row(
        "tracking-table-max-keys",
        Place::Setting(
            |config| &config.tracked_keys_max,
            Unit::Count,
            0,
            i64::MAX as u64,
        ),
    ),
    aliased(
        "slowlog-log-slower-than",
        "commandlog-execution-slower-than",
        Place::Observed(&SLOWER_THAN),
    ),
    aliased(
        "slowlog-max-len",
        "commandlog-slow-execution-max-len",
        Place::Setting(
            |config| &config.slowlog_len_max,
            Unit::Count,
            0,
            i64::MAX as u64,
        ),
    ),
    row(
        "commandlog-request-larger-than",
        Place::Observed(&LARGE_REQUEST),
    ),
    row(
        "commandlog-large-request-max-len",
        Place::Setting(
            |config| &config.large_requests_max,
            Unit::Count,
            0,
            i64::MAX as u64,
        ),
    ),
    row(
        "commandlog-reply-larger-than",
        Place::Observed(&LARGE_REPLY),
    ),
    row(
        "commandlog-large-reply-max-len",
        Place::Setting(
            |config| &config.large_replies_max,
            Unit::Count,
            0,
            i64::MAX as u64,
        ),
    ),
    row("latency-monitor-threshold", Place::Observed(&THRESHOLD)),
    row("latency-tracking", Place::Observed(&TRACKING)),
    row(
        "latency-tracking-info-percentiles",
        Place::Observed(&PERCENTILES),
    ),
    row("databases", Place::Started(|_| DATABASES.to_string())),
    row("port", Place::Started(|host| host.tcp_port.to_string())),
    row("bind", Place::Started(|host| host.bind.clone())),
    row("unixsocket", Place::Started(|host| host.unixsocket.clone())),
    row(
        "enable-debug-command",
        Place::Started(|host| host.debug_access.name().to_owned()),
    ),
    row(
        "hz",
        Place::Only("10", "what has expired is removed ten times a second"),
    ),
    row("daemonize", Place::Only("no", IMMUTABLE)),
    row("cluster-enabled", Place::Only("no", IMMUTABLE)),
    row(
        "activerehashing",
        Place::Only("yes", "tables grow in small steps"),
    ),
    row(
        "activedefrag",
        Place::Only("no", "this server does not move what it holds"),
    ),
    row(
        "list-compress-depth",
        Place::Only("0", "lists are not compressed"),
    ),
    aliased(
        "replica-read-only",
        "slave-read-only",
        Place::Only("yes", NO_REPLICAS),
    ),
    aliased(
        "min-replicas-to-write",
        "min-slaves-to-write",
        Place::Only("0", NO_REPLICAS),
    ),
    aliased("replicaof", "slaveof", Place::Only("", NO_REPLICAS)),
    row("save", Place::Only("", NOTHING_KEPT)),
    row("appendonly", Place::Only("no", NOTHING_KEPT)),
    row("maxmemory", Place::MaxMemory),
    row("maxmemory-policy", Place::EvictionPolicy),
    row(
        "maxmemory-samples",
        Place::Kept(|engine| &engine.memory.samples, Unit::Count, 1, 64),
    ),
    row(
        "maxmemory-eviction-tenacity",
        Place::Kept(|engine| &engine.memory.tenacity, Unit::Count, 0, 100),
    ),
    row(
        "lfu-log-factor",
        Place::Kept(
            |engine| &engine.shards.access().log_factor,
            Unit::Count,
            0,
            i32::MAX as u64,
        ),
    ),
    row(
        "lfu-decay-time",
        Place::Kept(
            |engine| &engine.shards.access().decay_min,
            Unit::Count,
            0,
            i32::MAX as u64,
        ),
    ),
    row("notify-keyspace-events", Place::Events),
    row("aclfile", Place::UserFile),
    row("acl-pubsub-default", Place::NewUsersChannels),
    row(
        "acllog-max-len",
        Place::Setting(
            |config| &config.acl_log_len_max,
            Unit::Count,
            0,
            i64::MAX as u64,
        ),
    ),
];

const fn row(name: &'static str, place: Place) -> Parameter {
    Parameter {
        name,
        alias: None,
        place,
    }
}

const fn aliased(name: &'static str, alias: &'static str, place: Place) -> Parameter {
    Parameter {
        name,
        alias: Some(alias),
        place,
    }
}

impl Parameter {
    /// The parameter of this name, in any case.
    pub(super) fn find(name: &[u8]) -> Option<&'static Parameter> {
        let is = |candidate: &str| name.eq_ignore_ascii_case(candidate.as_bytes());
        let mut rows = PARAMETERS.iter();
        rows.find(|row| is(row.name) || row.alias.is_some_and(is))
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
            Place::Switch(switch) => match switch(&engine.config).load(Relaxed) {
                true => "yes".to_owned(),
                false => "no".to_owned(),
            },
            Place::Events => engine.shards.event_classes().to_string(),
            Place::NewUsersChannels => {
                let has_none = usize::from(!engine.config.has_all_channels());
                NEW_USERS_CHANNELS[has_none].to_owned()
            }
            Place::UserFile => engine.acl.file_name(),
            Place::Observed(parameter) => (parameter.get)(&engine.config),
            Place::Only(value, _) => (*value).to_owned(),
            Place::Started(value) => value(&engine.config.host()),
        };
        text.into_bytes()
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
            Place::Observed(parameter) => {
                (parameter.check)(value).map(|()| Value::Text(value.to_vec()))
            }
            Place::Only(only, _) if value.eq_ignore_ascii_case(only.as_bytes()) => Ok(Value::Same),
            Place::Only(_, reason) => Err(reason.to_owned()),
            Place::Started(_) | Place::UserFile => Err(IMMUTABLE.to_owned()),
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
                switch(&engine.config).store(is_on, Relaxed);
            }
            (Place::NewUsersChannels, Value::Number(place)) => {
                engine.config.acl_all_channels.store(place == 0, Relaxed);
            }
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
