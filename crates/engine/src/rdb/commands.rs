//! DUMP and RESTORE: values as bytes that any server of the family reads.

use super::payload::Sums;
use super::{Reader, Writer, payload, value};
use crate::args::parse_int;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::engine::Engine;
use crate::error::{Error, Result};

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "DUMP",
        run: dump,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: Flags::READONLY,
        syntax: "key",
        summary: "Answers the value of a key as bytes for RESTORE.",
        complexity: "O(n), n the length of the value.",
        since: "2.6.0",
    },
    Row {
        name: "RESTORE",
        run: restore,
        arity: Arity::AtLeast(4),
        keys: KeySpec::First,
        flags: Flags::WRITE.and(Flags::DENY_OOM),
        syntax: "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
        summary: "Gives a key the value that DUMP has answered.",
        complexity: "O(n), n the length of the value; O(n*log(n)) for a sorted set.",
        since: "2.6.0",
    },
    Row {
        name: "RESTORE-ASKING",
        run: restore,
        arity: Arity::AtLeast(4),
        keys: KeySpec::First,
        flags: Flags::WRITE.and(Flags::DENY_OOM),
        syntax: "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
        summary: "The same as RESTORE, as the nodes of a cluster say it to each other.",
        complexity: "O(n), n the length of the value; O(n*log(n)) for a sorted set.",
        since: "3.0.0",
    },
];

fn dump(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let Some(entry) = call.keyspace.look_up(key) else {
        call.reply.null();
        return Ok(());
    };
    let mut writer = Writer::default();
    value::write(entry, &mut writer);
    call.reply.bulk(&payload::seal(writer.into_bytes()));
    Ok(())
}

/// How a key is restored.
#[derive(Default)]
struct Options {
    replaces: bool,
    /// The time is one at which the key expires, not one that it has left.
    is_absolute: bool,
    idle_s: Option<u32>,
    uses: Option<u8>,
}

fn restore(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, ttl_ms, bytes) = (call.args.key()?, call.args.bytes()?, call.args.bytes()?);
    let options = Options::read(call)?;
    if !options.replaces && call.keyspace.exists(key) {
        return Err(Error::text("BUSYKEY Target key name already exists."));
    }
    let ttl_ms = parse_int(ttl_ms).ok_or(Error::NotAnInteger)?;
    if ttl_ms < 0 {
        return Err(Error::text("ERR Invalid TTL value, must be >= 0"));
    }
    let wrong = |_| Error::text("ERR DUMP payload version or checksum are wrong");
    let body = payload::open(bytes, Sums::of(&call.engine.config)).map_err(wrong)?;
    let mut reader = Reader::new(body).with_room(room(call.engine));
    let read = value::read(&mut reader, call.keyspace.limits());
    let value = read.map_err(|_| Error::text("ERR Bad data format"))?;

    call.reply.ok();
    let now_ms = call.keyspace.now_ms();
    let expires_at = match ttl_ms {
        0 => None,
        ttl_ms if options.is_absolute => Some(ttl_ms),
        // A time that can't be is over, as in Redis.
        ttl_ms => Some(ttl_ms.wrapping_add_unsigned(now_ms)),
    };
    if expires_at.is_some_and(|at| at <= call.keyspace.over_ms() as i64) {
        call.keyspace.remove(key);
        return Ok(());
    }
    let mut entry = value.into_entry(key);
    entry.set_expiry(expires_at.map(|at| at.max(1).cast_unsigned()));
    call.keyspace.put_entry(entry);
    call.keyspace
        .set_last_use(key, options.idle_s, options.uses);
    Ok(())
}

/// How many bytes a payload may become: a short one may become 88 times as long, and the process would
/// end for it where it is to hold no more than so much.
fn room(engine: &Engine) -> usize {
    match engine.max_memory() {
        0 => usize::MAX,
        bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
    }
}

impl Options {
    fn read(call: &mut Call<'_, '_>) -> Result<Options> {
        let mut options = Options::default();
        while !call.args.is_empty() {
            let has_value = call.args.len() > 1;
            match () {
                () if call.args.option("REPLACE") => options.replaces = true,
                () if call.args.option("ABSTTL") => options.is_absolute = true,
                () if has_value && options.uses.is_none() && call.args.option("IDLETIME") => {
                    let idle_s = call.args.int()?;
                    let idle_s = u64::try_from(idle_s);
                    let idle_s = idle_s
                        .map_err(|_| Error::text("ERR Invalid IDLETIME value, must be >= 0"))?;
                    options.idle_s = Some(u32::try_from(idle_s).unwrap_or(u32::MAX));
                }
                () if has_value && options.idle_s.is_none() && call.args.option("FREQ") => {
                    let uses = u8::try_from(call.args.int()?);
                    options.uses = Some(uses.map_err(|_| {
                        Error::text("ERR Invalid FREQ value, must be >= 0 and <= 255")
                    })?);
                }
                () => return Err(Error::Syntax),
            }
        }
        Ok(options)
    }
}
