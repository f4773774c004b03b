//! Which connections CLIENT LIST lists and CLIENT KILL closes: those to which all that is asked for
//! applies. The filters are those of Valkey 9, of which Redis has the older ones.

use super::client::{Client, ClientKind};
use crate::args::{Args, parse_int};
use crate::engine::{Engine, Now};
use crate::error::{Error, Result, shown};
use crate::keyspace::DATABASES;

/// The flags that CLIENT LIST knows.
const FLAGS: &str = "OSMPxbtRBdcuAUreTIiEN";

/// The capabilities that CLIENT LIST knows: that a client can be sent to another server.
const CAPABILITIES: &str = "r";

/// What applies to the connections that are asked for.
pub(super) struct Filters<'a> {
    conditions: Vec<(Wanted, Condition<'a>)>,
    pub(super) spares_caller: bool,
}

/// Which command reads the filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    List,
    /// Closes connections: not the caller's, if nothing else is said.
    Kill,
}

/// Whether a condition is to hold, or not to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Yes,
    No,
}

enum Condition<'a> {
    /// One of these, in order.
    Ids(Vec<u64>),
    Kind(ClientKind),
    User(&'a [u8]),
    Address(&'a [u8]),
    LocalAddress(&'a [u8]),
    Ip(&'a [u8]),
    Name(&'a [u8]),
    Library(&'a [u8]),
    LibraryVersion(&'a [u8]),
    Db(usize),
    Flags(&'a [u8]),
    /// Capabilities, by their letters.
    Capabilities(&'a [u8]),
    AgeAtLeast(u64),
    IdleAtLeast(u64),
}

impl<'a> Filters<'a> {
    /// Reads filters until the words end.
    pub(super) fn read(
        args: &mut Args<'a>,
        engine: &Engine,
        purpose: Purpose,
    ) -> Result<Filters<'a>> {
        let mut filters = Filters {
            conditions: Vec::new(),
            spares_caller: purpose == Purpose::Kill,
        };
        while let Some(name) = args.next() {
            if args.is_empty() {
                return Err(Error::Syntax);
            }
            let name = larder_resp::text_of(name).to_ascii_uppercase();
            if name == "SKIPME" {
                filters.spares_caller = yes_or_no(args)?;
                continue;
            }
            let (wanted, kind) = match name.strip_prefix("NOT-") {
                Some("MAXAGE" | "IDLE") => return Err(Error::Syntax),
                Some(kind) => (Wanted::No, kind),
                None => (Wanted::Yes, &*name),
            };
            let condition = match kind {
                "ID" => Condition::Ids(client_ids(args, wanted, purpose)?),
                _ => Condition::read(kind, wanted, args, engine)?,
            };
            filters.add(wanted, condition);
        }
        Ok(filters)
    }

    /// Adds a condition. It stands for an earlier one of its kind; numbers of connections come together.
    fn add(&mut self, wanted: Wanted, mut condition: Condition<'a>) {
        let is_same = |(other_wanted, other): &(Wanted, Condition<'_>)| {
            *other_wanted == wanted
                && std::mem::discriminant(other) == std::mem::discriminant(&condition)
        };
        if let Some(place) = self.conditions.iter().position(is_same)
            && let (_, Condition::Ids(old)) = self.conditions.remove(place)
            && let Condition::Ids(ids) = &mut condition
        {
            ids.extend(old);
        }
        self.conditions.push((wanted, condition));
    }

    /// Whether all of it applies to a connection.
    pub(super) fn have(&self, client: &Client, now: Now) -> bool {
        let mut conditions = self.conditions.iter();
        conditions
            .all(|(wanted, condition)| condition.holds(client, now) == (*wanted == Wanted::Yes))
    }
}

impl<'a> Condition<'a> {
    /// Reads what is wanted of this kind.
    fn read(
        kind: &str,
        wanted: Wanted,
        args: &mut Args<'a>,
        engine: &Engine,
    ) -> Result<Condition<'a>> {
        Ok(match kind {
            "TYPE" => Condition::Kind(client_kind(args.bytes()?)?),
            "USER" => Condition::User(user(args.bytes()?, engine)?),
            "ADDR" => Condition::Address(args.bytes()?),
            "LADDR" => Condition::LocalAddress(args.bytes()?),
            "IP" => Condition::Ip(args.bytes()?),
            "NAME" => Condition::Name(args.bytes()?),
            "LIB-NAME" => Condition::Library(args.bytes()?),
            "LIB-VER" => Condition::LibraryVersion(args.bytes()?),
            "DB" => Condition::Db(db(args, wanted)?),
            "FLAGS" => Condition::Flags(flags(args.bytes()?, wanted)?),
            "CAPA" => Condition::Capabilities(capabilities(args.bytes()?, wanted)?),
            "MAXAGE" => Condition::AgeAtLeast(seconds(args, "maxage")?),
            "IDLE" => Condition::IdleAtLeast(seconds(args, "idle")?),
            _ => return Err(Error::Syntax),
        })
    }

    fn holds(&self, client: &Client, now: Now) -> bool {
        let (info, names) = (client.info(), client.names());
        match self {
            Condition::Ids(ids) => ids.contains(&client.id()),
            Condition::Kind(kind) => *kind == client.kind(),
            Condition::User(user) => *client.login().user() == **user,
            Condition::Address(address) => *address == info.address.as_bytes(),
            Condition::LocalAddress(address) => *address == info.local_address.as_bytes(),
            Condition::Ip(ip) => {
                let ip_and_port = info.address.rsplit_once(':');
                // One of IPv6 stands in brackets before its port.
                let address = ip_and_port.map(|(address, _)| address.trim_matches(['[', ']']));
                address.is_some_and(|address| *ip == address.as_bytes())
            }
            Condition::Name(name) => is_text(name, &names.name),
            Condition::Library(name) => is_text(name, &names.library),
            Condition::LibraryVersion(version) => is_text(version, &names.library_version),
            Condition::Db(db) => *db == client.db(),
            Condition::Flags(flags) => {
                let own = client.flags();
                flags.iter().all(|flag| own.as_bytes().contains(flag))
            }
            Condition::Capabilities(letters) => letters.iter().all(|_| client.can_be_redirected()),
            Condition::AgeAtLeast(seconds) => client.age_s(now) >= *seconds,
            Condition::IdleAtLeast(seconds) => client.idle_s(now) >= *seconds,
        }
    }
}

/// Whether somebody has said this of himself. Nothing is what nobody has said.
fn is_text(wanted: &[u8], text: &str) -> bool {
    !text.is_empty() && wanted == text.as_bytes()
}

/// Numbers of connections, of which there has to be one, until a word is no number. Those that no
/// connection can have are refused, but where Redis lists nothing for them.
fn client_ids(args: &mut Args<'_>, wanted: Wanted, purpose: Purpose) -> Result<Vec<u64>> {
    let is_lenient = (wanted, purpose) == (Wanted::Yes, Purpose::List);
    let mut ids = Vec::new();
    while let Some(number) = args.peek().and_then(parse_int) {
        match u64::try_from(number) {
            Ok(id @ 1..) => ids.push(id),
            _ if is_lenient => ids.push(NOBODY),
            _ => return Err(Error::text(NO_ID)),
        }
        args.next();
    }
    match (ids.is_empty(), wanted, purpose) {
        (false, ..) => Ok(ids),
        (true, Wanted::Yes, Purpose::List) => Err(Error::text("ERR Invalid client ID")),
        (true, Wanted::Yes, Purpose::Kill) => Err(Error::text(NO_ID)),
        (true, Wanted::No, _) => Err(Error::Syntax),
    }
}

/// A number that no connection has.
const NOBODY: u64 = 0;

const NO_ID: &str = "ERR client-id should be greater than 0";

fn client_kind(name: &[u8]) -> Result<ClientKind> {
    let name = shown(name);
    match name.to_ascii_lowercase().as_str() {
        "normal" => Ok(ClientKind::Normal),
        "pubsub" => Ok(ClientKind::PubSub),
        "master" | "primary" | "slave" | "replica" => Ok(ClientKind::Replication),
        _ => Err(Error::text(format!("ERR Unknown client type '{name}'"))),
    }
}

/// The name of a user, that there has to be.
fn user<'a>(name: &'a [u8], engine: &Engine) -> Result<&'a [u8]> {
    if engine.acl.rules(name).is_some() {
        return Ok(name);
    }
    let name = shown(name);
    Err(Error::text(format!("ERR No such user '{name}'")))
}

fn db(args: &mut Args<'_>, wanted: Wanted) -> Result<usize> {
    let name = match wanted {
        Wanted::Yes => "DB",
        Wanted::No => "NOT-DB",
    };
    let number = args
        .int()
        .map_err(|_| Error::text(format!("ERR {name} is not an integer or out of range")))?;
    let db = usize::try_from(number).ok().filter(|db| *db < DATABASES);
    db.ok_or_else(|| {
        let last = DATABASES - 1;
        Error::text(format!("ERR {name} number should be between 0 and {last}"))
    })
}

fn flags(flags: &[u8], wanted: Wanted) -> Result<&[u8]> {
    letters(flags, FLAGS, ("flags", "NOT-FLAGS"), wanted)
}

fn capabilities(capabilities: &[u8], wanted: Wanted) -> Result<&[u8]> {
    letters(capabilities, CAPABILITIES, ("capa", "NOT-CAPA"), wanted)
}

/// Letters, each one of those that are known. A refusal says what they are, and in which filter.
fn letters<'a>(
    given: &'a [u8],
    known: &str,
    (what, not_filter): (&str, &str),
    wanted: Wanted,
) -> Result<&'a [u8]> {
    if given.iter().all(|letter| known.as_bytes().contains(letter)) {
        return Ok(given);
    }
    let filter = match wanted {
        Wanted::Yes => "provided",
        Wanted::No => not_filter,
    };
    let given = shown(given);
    Err(Error::text(format!(
        "ERR Unknown {what} found in the {filter} filter: {given}"
    )))
}

fn seconds(args: &mut Args<'_>, name: &str) -> Result<u64> {
    let seconds = args
        .int()
        .map_err(|_| Error::text(format!("ERR {name} is not an integer or out of range")))?;
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| Error::text(format!("ERR {name} should be greater than 0")))
}

fn yes_or_no(args: &mut Args<'_>) -> Result<bool> {
    match () {
        () if args.option("YES") => Ok(true),
        () if args.option("NO") => Ok(false),
        () => Err(Error::Syntax),
    }
}
