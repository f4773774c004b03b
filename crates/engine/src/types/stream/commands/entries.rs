//! Commands on the entries of one stream: adding, reading ranges, removing.

use super::super::{Bound, Id, Log, Name, NewId, Precision, Producers, References, Stream, Trim};
use super::{INVALID_ID, answer_entries, answer_id, id, option_with_value, parse_bound, parse_id};
use crate::args::Args;
use crate::command::Call;
use crate::error::{Error, Result};
use crate::keyspace::WriteGuard;
use crate::reply::Reply;
use crate::types::Limits;

// --- adding -----------------------------------------------------------------------------------

const EXHAUSTED: &str =
    "ERR The stream has exhausted the last possible ID, unable to add more items";
const NOT_GREATER: &str =
    "ERR The ID specified in XADD is equal or smaller than the target stream top item";

/// How a stream is to be trimmed.
#[derive(Clone, Copy, Debug)]
struct Trimming {
    until: Trim,
    precision: Precision,
    references: References,
}

/// The options of XADD and XTRIM while they are read.
#[derive(Debug, Default)]
struct Options<'a> {
    until: Option<Trim>,
    approximate: bool,
    limit: Option<u64>,
    references: Option<References>,
    no_mkstream: bool,
    producer: Option<Produced<'a>>,
}

/// Who adds an entry, and under which name; none if its fields are its name.
#[derive(Debug)]
struct Produced<'a> {
    producer: &'a [u8],
    name: Option<&'a [u8]>,
}

impl<'a> Produced<'a> {
    /// Reads what IDMP and IDMPAUTO are given, if the next word is one of these.
    fn read(args: &mut Args<'a>, is_second: bool) -> Result<Option<Produced<'a>>> {
        let (option, has_name) = match () {
            () if option_with_value(args, "IDMP") => ("IDMP", true),
            () if option_with_value(args, "IDMPAUTO") => ("IDMPAUTO", false),
            () => return Ok(None),
        };
        if is_second {
            return Err(Error::text("ERR IDMP/IDMPAUTO specified multiple times"));
        }
        let mut word = |what: &str| match args.bytes()? {
            b"" => Err(Error::text(format!(
                "ERR {option} requires a non-empty {what} ID"
            ))),
            word => Ok(word),
        };
        let producer = word("producer")?;
        let name = match has_name {
            true => Some(word("idempotent")?),
            false => None,
        };
        Ok(Some(Produced { producer, name }))
    }
}

/// Reads the next word as what becomes of references, if it is that.
pub(super) fn read_references(args: &mut Args<'_>) -> Option<References> {
    match () {
        () if args.option("KEEPREF") => Some(References::Keep),
        () if args.option("DELREF") => Some(References::Remove),
        () if args.option("ACKED") => Some(References::Respect),
        () => None,
    }
}

impl Options<'_> {
    /// Reads the next word as an option that both commands have. Answers whether it is one.
    fn read_one(&mut self, args: &mut Args<'_>) -> Result<bool> {
        if option_with_value(args, "MAXLEN") {
            self.read_precision(args)?;
            let len = u64::try_from(args.int()?)
                .map_err(|_| Error::text("ERR The MAXLEN argument must be >= 0."))?;
            self.until = Some(Trim::MaxLen(len));
        } else if option_with_value(args, "MINID") {
            self.read_precision(args)?;
            self.until = Some(Trim::MinId(id(args)?));
        } else if option_with_value(args, "LIMIT") {
            let limit = u64::try_from(args.int()?)
                .map_err(|_| Error::text("ERR The LIMIT argument must be >= 0."))?;
            self.limit = Some(limit);
        } else if self.references.is_none()
            && let Some(references) = read_references(args)
        {
            self.references = Some(references);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn read_precision(&mut self, args: &mut Args<'_>) -> Result<()> {
        if self.until.is_some() {
            return Err(Error::text(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        self.approximate = option_with_value(args, "~");
        if !self.approximate {
            option_with_value(args, "=");
        }
        Ok(())
    }

    /// How the stream is to be trimmed, if it is.
    fn trimming(&self, limits: &Limits) -> Result<Option<Trimming>> {
        let Some(until) = self.until else {
            return match self.limit {
                None => Ok(None),
                Some(0) => Err(Error::text(LIMIT_OF_EXACT)),
                Some(_) => Err(Error::text(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                )),
            };
        };
        let precision = match (self.approximate, self.limit) {
            (true, Some(limit)) => Precision::Approximate { limit },
            (true, None) => Precision::Approximate {
                limit: default_limit(limits),
            },
            (false, Some(_)) => return Err(Error::text(LIMIT_OF_EXACT)),
            (false, None) => Precision::Exact,
        };
        let references = self.references.unwrap_or_default();
        Ok(Some(Trimming {
            until,
            precision,
            references,
        }))
    }
}

const LIMIT_OF_EXACT: &str = "ERR syntax error, LIMIT cannot be used without the special ~ option";

/// How many entries a call may trim that does not say: as many as a hundred blocks have.
fn default_limit(limits: &Limits) -> u64 {
    match 100 * limits.stream_node_max_entries.get() as u64 {
        0 => 10_000,
        limit => limit.min(1_000_000),
    }
}

pub(super) fn xadd(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let (limits, now_ms) = (call.keyspace.limits(), call.keyspace.now_ms());
    let mut options = Options::default();
    loop {
        if options.read_one(&mut call.args)? {
            continue;
        }
        if let Some(produced) = Produced::read(&mut call.args, options.producer.is_some())? {
            options.producer = Some(produced);
            continue;
        }
        if !call.args.option("NOMKSTREAM") {
            break;
        }
        options.no_mkstream = true;
    }
    let wanted = match call.args.next() {
        Some(word) => Some(NewId::parse(word).ok_or_else(|| Error::text(INVALID_ID))?),
        None => None,
    };
    let trimming = options.trimming(limits)?;
    let fields = call.args.rest();
    let wanted = wanted.filter(|_| fields.len() >= 2 && fields.len().is_multiple_of(2));
    let wanted = wanted.ok_or_else(|| Error::WrongArity(call.command.full_name()))?;
    if options.producer.is_some() && wanted != NewId::Auto {
        return Err(Error::text(
            "ERR IDMP/IDMPAUTO can be used only with auto-generated IDs",
        ));
    }
    if wanted == NewId::Given(Id::MIN) {
        return Err(Error::text(
            "ERR The ID specified in XADD must be greater than 0-0",
        ));
    }

    let named = options.producer.map(|Produced { producer, name }| {
        let name = name.map(|name| Name::Given(name.into()));
        (producer, name.unwrap_or_else(|| Name::of(fields.clone())))
    });
    if let Some(mut stream) = call.keyspace.write_existing::<Stream>(key)? {
        if let Some((producer, name)) = &named
            && let Some(id) = added_before(&stream, producer, name, now_ms)
        {
            if let Some(producers) = &mut stream.producers {
                producers.note_repeated();
            }
            // It is counted, and else it is as if it had not been sent.
            stream.unchanged();
            answer_id(call.reply, id);
            return Ok(());
        }
        let id = next_id(&stream.log, wanted, now_ms)?;
        Addition {
            id,
            fields,
            named,
            trimming,
        }
        .make(stream, now_ms, limits);
        answer_id(call.reply, id);
        return Ok(());
    }
    if options.no_mkstream {
        call.reply.null();
        return Ok(());
    }
    let id = next_id(&Log::default(), wanted, now_ms)?;
    let stream = call.keyspace.write::<Stream>(key)?;
    Addition {
        id,
        fields,
        named,
        trimming,
    }
    .make(stream, now_ms, limits);
    answer_id(call.reply, id);
    Ok(())
}

/// An entry that is to be added.
struct Addition<'a, F> {
    id: Id,
    fields: F,
    /// Under which name its producer may add it again, to no effect.
    named: Option<(&'a [u8], Name)>,
    trimming: Option<Trimming>,
}

impl<'f, F: ExactSizeIterator<Item = &'f [u8]> + Clone> Addition<'_, F> {
    /// Adds it, and trims the stream.
    fn make(self, mut stream: WriteGuard<'_, '_, Stream>, now_ms: u64, limits: &Limits) {
        stream.log.append(self.id, self.fields, limits);
        if let Some((producer, name)) = self.named {
            let producers = stream.producers.get_or_insert_default();
            producers.note(producer, name, self.id, now_ms);
        }
        if let Some(trimming) = self.trimming
            && trimming.apply(&mut stream) > 0
        {
            stream.also("xtrim");
        }
    }
}

impl Trimming {
    fn apply(self, stream: &mut Stream) -> u64 {
        stream.trim(self.until, self.precision, self.references)
    }
}

/// The id of the entry that a producer has added under this name already.
fn added_before(stream: &Stream, producer: &[u8], name: &Name, now_ms: u64) -> Option<Id> {
    let producers: &Producers = stream.producers.as_deref()?;
    producers.find(producer, name, now_ms)
}

/// The id of a new entry.
fn next_id(log: &Log, wanted: NewId, now_ms: u64) -> Result<Id> {
    if log.last_id() == Id::MAX {
        return Err(Error::text(EXHAUSTED));
    }
    let id = log.next_id(wanted, now_ms);
    id.ok_or_else(|| Error::text(NOT_GREATER))
}

// --- reading ----------------------------------------------------------------------------------

pub(super) fn xlen(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let len = call
        .keyspace
        .read::<Stream>(key)?
        .map_or(0, |stream| stream.log.len());
    call.reply.int(len as i64);
    Ok(())
}

pub(super) fn xrange(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, start, end) = (call.args.key()?, call.args.bytes()?, call.args.bytes()?);
    range(call, key, start, end, |log, start, end, count, reply| {
        answer_entries(reply, log.range(start, end).take(count));
    })
}

pub(super) fn xrevrange(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, end, start) = (call.args.key()?, call.args.bytes()?, call.args.bytes()?);
    range(call, key, start, end, |log, start, end, count, reply| {
        answer_entries(reply, log.rev_range(start, end).take(count));
    })
}

fn range(
    call: &mut Call<'_, '_>,
    key: &[u8],
    start: &[u8],
    end: &[u8],
    answer: impl FnOnce(&Log, Id, Id, usize, &mut dyn Reply),
) -> Result<()> {
    let (start, end) = (
        parse_bound(Bound::Start, start)?,
        parse_bound(Bound::End, end)?,
    );
    let mut count = usize::MAX;
    while !call.args.is_empty() {
        if !option_with_value(&mut call.args, "COUNT") {
            return Err(Error::Syntax);
        }
        count = usize::try_from(call.args.int()?).unwrap_or(0);
    }

    match call.keyspace.read::<Stream>(key)? {
        None => call.reply.array(0),
        Some(_) if count == 0 => call.reply.null_array(),
        Some(stream) => answer(&stream.log, start, end, count, call.reply),
    }
    Ok(())
}

// --- removing ---------------------------------------------------------------------------------

pub(super) fn xdel(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, ids) = (call.args.key()?, call.args.rest());
    if call.keyspace.read::<Stream>(key)?.is_none() {
        call.reply.int(0);
        return Ok(());
    }
    let ids = ids.map(parse_id).collect::<Result<Vec<Id>>>()?;

    let mut stream = call.keyspace.write::<Stream>(key)?;
    stream.trimmed();
    let log = &mut stream.log;
    let removed = ids.into_iter().filter(|&id| log.remove(id)).count();
    if removed == 0 {
        stream.unchanged();
    }
    call.reply.int(removed as i64);
    Ok(())
}

pub(super) fn xtrim(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let mut options = Options::default();
    while !call.args.is_empty() {
        if !options.read_one(&mut call.args)? {
            return Err(Error::Syntax);
        }
    }
    if options.until.is_none() && options.limit.is_none_or(|limit| limit == 0) {
        return Err(Error::text(
            "ERR syntax error, XTRIM must be called with a trimming strategy",
        ));
    }
    let trimming = options.trimming(call.keyspace.limits())?;

    let stream = call.keyspace.write_existing::<Stream>(key)?;
    let (Some(mut stream), Some(trimming)) = (stream, trimming) else {
        call.reply.int(0);
        return Ok(());
    };
    stream.trimmed();
    let removed = trimming.apply(&mut stream);
    if removed == 0 {
        stream.unchanged();
    }
    call.reply.int(removed as i64);
    Ok(())
}

pub(super) fn xsetid(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, last_id) = (call.args.key()?, id(&mut call.args)?);
    let (mut entries_added, mut max_removed_id) = (None, None);
    while !call.args.is_empty() {
        if option_with_value(&mut call.args, "ENTRIESADDED") {
            let added = u64::try_from(call.args.int()?);
            let added = added.map_err(|_| Error::text("ERR entries_added must be positive"))?;
            entries_added = Some(added);
        } else if option_with_value(&mut call.args, "MAXDELETEDID") {
            let id = id(&mut call.args)?;
            if last_id < id {
                return Err(Error::text(
                    "ERR The ID specified in XSETID is smaller than the provided \
                     max_deleted_entry_id",
                ));
            }
            max_removed_id = Some(id).filter(|&id| id != Id::MIN);
        } else {
            return Err(Error::Syntax);
        }
    }

    let mut stream = call
        .keyspace
        .write_existing::<Stream>(key)?
        .ok_or(Error::NoSuchKey)?;
    check_new_last_id(&stream.log, last_id, entries_added)?;
    stream.unwatched();
    stream
        .log
        .set_counters(last_id, entries_added, max_removed_id);
    call.reply.ok();
    Ok(())
}

/// Refuses a last id that entries are already behind, or fewer entries than there are.
fn check_new_last_id(log: &Log, last_id: Id, entries_added: Option<u64>) -> Result<()> {
    if last_id < log.max_removed_id() {
        return Err(Error::text(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if log.last().is_some_and(|last| last_id < last.id) {
        return Err(Error::text(
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        ));
    }
    if log.len() > 0 && entries_added.is_some_and(|added| added < log.len()) {
        return Err(Error::text(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    Ok(())
}
