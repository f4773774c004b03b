//! What Larder answers otherwise than a server, and why.

use larder_resp::Frame;

use super::Words;
use super::named::{has_any, mentions};
use crate::server::ServerKind::{self, Redis, Redis8, Valkey};

/// A text that stands for another one of some servers.
struct Text {
    ours: &'static str,
    theirs: &'static str,
    of: &'static [ServerKind],
}

const TEXTS: &[Text] = &[
    // Redis 7.0 makes a negative number of one that is too large. Later versions say this.
    Text {
        ours: "ERR timeout is out of range",
        theirs: "ERR timeout is negative",
        of: &[Redis],
    },
    // A short list is a listpack since Redis 7.2.
    Text {
        ours: "listpack",
        theirs: "quicklist",
        of: &[Redis],
    },
    // Valkey takes a word of up to 64 bytes for short.
    Text {
        ours: "raw",
        theirs: "embstr",
        of: &[Valkey],
    },
    // Later versions name the command as it was sent.
    Text {
        ours: "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified.",
        theirs: "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
        of: &[Redis],
    },
    Text {
        ours: "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.",
        theirs: "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
        of: &[Redis],
    },
];

/// What is refused since Redis 7.2 and done in 7.0.
const NEWER_REFUSALS: &[&str] = &[
    "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    "ERR timeout is out of range",
];

/// What XINFO says of consumers since Redis 7.2, and how many entries a group has read and how far it lags, which
/// later versions do not guess where entries were removed.
const NEWER_FIELDS: &[&str] = &["active-time", "inactive", "entries-read", "lag"];

/// The word of the server for a word of ours.
pub(super) fn word(server: ServerKind, ours: &[u8]) -> &[u8] {
    let is_meant = |text: &&Text| text.ours.as_bytes() == ours && text.of.contains(&server);
    let text = TEXTS.iter().find(is_meant);
    text.map_or(ours, |text| text.theirs.as_bytes())
}

/// Fields that say how long ago something was, which is longer for a server that had to wait for its turn.
const MOMENTS: &[&str] = &["idle", "inactive"];

/// Whether a field is one that the server does not have, or says otherwise.
pub(super) fn is_left_out(server: ServerKind, name: &Frame, value: Option<&Frame>) -> bool {
    let is_named = |other: &&str| matches!(name, Frame::Bulk(name) if name == other.as_bytes());
    let is_past = matches!(value, Some(Frame::Integer(0..)));
    if is_past && MOMENTS.iter().any(is_named) {
        return true;
    }
    let names: &[&str] = match server {
        Redis => NEWER_FIELDS,
        // Larder's dumps are read by Redis 7.0 too, so they do not tell when a consumer was active.
        Redis8 => &["inactive"],
        // Since Redis 8 it is told in more cases.
        Valkey => &["inactive", "lag"],
    };
    names.iter().any(is_named)
}

/// Whether the answer is a refusal of what Redis 7.0 does and later versions refuse.
pub(super) fn is_newer_refusal(server: ServerKind, answer: &[u8]) -> bool {
    let frame = || Frame::read(answer).ok().flatten();
    server == Redis && frame().is_some_and(|(frame, _)| holds_newer_refusal(&frame))
}

fn holds_newer_refusal(answer: &Frame) -> bool {
    let is_newer = |text: &[u8]| {
        let mut refusals = NEWER_REFUSALS.iter();
        refusals.any(|refusal| text.starts_with(refusal.as_bytes()))
    };
    match answer {
        Frame::Error(text) => is_newer(text.as_bytes()),
        // A script may have made a text of it.
        Frame::Bulk(text) => is_newer(text),
        // The answers of a transaction, or what a script tells of one.
        Frame::Array(items) => items.iter().any(holds_newer_refusal),
        _ => false,
    }
}

/// The members that stand in each other's places in two answers about what is near, if those are alike in all
/// else.
pub(super) fn exchanged_members(ours: &[u8], theirs: &[u8]) -> Option<Vec<[Vec<u8>; 2]>> {
    let frame = |bytes| Frame::read(bytes).ok().flatten();
    let (Some((Frame::Array(ours), _)), Some((Frame::Array(theirs), _))) =
        (frame(ours), frame(theirs))
    else {
        return None;
    };
    let exchanged = |(ours, theirs): (&Frame, &Frame)| {
        let ([Frame::Bulk(ours), our_rest @ ..], [Frame::Bulk(theirs), their_rest @ ..]) =
            (found(ours), found(theirs))
        else {
            return None;
        };
        (our_rest == their_rest).then(|| [ours.clone(), theirs.clone()])
    };
    let pairs: Option<Vec<_>> = ours.iter().zip(&theirs).map(exchanged).collect();
    let mut pairs = pairs.filter(|_| ours.len() == theirs.len())?;
    pairs.retain(|[ours, theirs]| ours != theirs);
    Some(pairs)
}

/// What is told of a member: its name alone, or with its distance, hash and place.
fn found(item: &Frame) -> &[Frame] {
    match item {
        Frame::Array(parts) => parts,
        name => std::slice::from_ref(name),
    }
}

/// What Redis 7.0 sends in the midst of a transaction's answer, where it counts as one of its items: each that
/// stands behind it comes one too late.
const MESSAGE: &[u8] = b"message\r\n";

/// How prefixes are refused of which one begins another. Unless it is the first of them the servers go on, and
/// answer a second time.
const OVERLAP: &[u8] = b" overlaps with another provided prefix ";

/// Whether the answer of a transaction has more items than it says, so that what comes next from the server is
/// the rest of it, whatever may be different in the answer.
pub(super) fn is_torn(server: ServerKind, ours: &[u8], theirs: &[u8]) -> bool {
    let holds = |text: &[u8], part: &[u8]| text.windows(part.len()).any(|there| there == part);
    server == Redis && holds(theirs, MESSAGE) || holds(ours, OVERLAP)
}

/// What runs scripts.
const SCRIPTS: &[&str] = &["EVAL", "EVAL_RO", "EVALSHA", "EVALSHA_RO"];

/// What says how long fields of a hash live.
const LIVES_OF_FIELDS: [&str; 6] = [
    "HEXPIRE",
    "HPEXPIRE",
    "HEXPIREAT",
    "HPEXPIREAT",
    "HSETEX",
    "HGETEX",
];

/// What Valkey refuses where Redis and Larder find nothing.
const REFUSED_BY_VALKEY: &[&str] = &[
    // SCAN looks for values of a type that there is not.
    "ERR unknown type name",
    // GETEX looks at the time even if there is no such key.
    "ERR invalid expire time",
];

/// How SORT refuses what is no number. Valkey reads it to its end, and not to the first zero byte, so what
/// is sorted here, and may be stored, is not there.
const NOT_SORTED: &[u8] = b"-ERR One or more scores can't be converted into double";

/// Whether Valkey refuses what there is no harm in, or reads all of a request before it looks at the key.
pub(super) fn is_refused_by_valkey(server: ServerKind, ours: &Frame, theirs: &Frame) -> bool {
    let Frame::Error(text) = theirs else {
        return false;
    };
    let looks_first = match ours {
        Frame::Error(ours) => ours.starts_with("WRONGTYPE ") && text.starts_with("ERR "),
        Frame::Null => text == "ERR value is not an integer or out of range",
        _ => false,
    };
    let mut refusals = REFUSED_BY_VALKEY.iter();
    server == Valkey && (looks_first || refusals.any(|refusal| text.starts_with(refusal)))
}

/// Whether Valkey does, or takes for something else, what Larder refuses as Redis does: options of the
/// lives of fields stand there as often as one likes, and a life without an end is one.
pub(super) fn is_taken_by_valkey(requests: &[Words], ours: &[u8]) -> bool {
    let is_refused = ours.windows(3).any(|part| part == b"ERR");
    is_refused
        && requests
            .iter()
            .any(|words| has_any(words, &LIVES_OF_FIELDS))
}

/// Whether Valkey has not sorted what Larder has, alone or in a transaction.
pub(super) fn is_unsorted_by_valkey(ours: &[u8], theirs: &[u8]) -> bool {
    let count = |text: &[u8]| {
        let parts = text.windows(NOT_SORTED.len());
        parts.filter(|part| *part == NOT_SORTED).count()
    };
    count(theirs) > count(ours)
}

/// Whether a script's answer holds what Valkey writes otherwise: what a script says of a refusal, a text with
/// a zero byte, at which it ends there, what is no number, or names in the order of a table.
pub(super) fn is_written_by_valkey(requests: &[Words], ours: &[u8], theirs: &[u8]) -> bool {
    let mut scripts = requests
        .iter()
        .filter(|words| has_any(words, SCRIPTS))
        .peekable();
    let holds = |text: &[u8], part: &[u8]| text.windows(part.len()).any(|there| there == part);
    let says_it = ours.contains(&0) || holds(ours, b"ERR ") || holds(theirs, b"ERR ");
    // A library may have packed a refusal, or the script tells only that there was one, or how long it is.
    let may_hide_it = |words: &Words| {
        mentions(words, "cmsgpack")
            || mentions(words, "string.len(")
            || has_any(words, &["GETEX"])
            || has_any(words, &LIVES_OF_FIELDS)
            || has_any(words, &["SCAN"]) && has_any(words, &["TYPE"])
    };
    // What is no number may have a sign, and tables with names are walked in another order.
    let differs =
        |words: &Words| holds(ours, b"nan") || mentions(words, "cjson.decode(cjson.encode(");
    scripts.peek().is_some() && says_it || scripts.any(|words| may_hide_it(words) || differs(words))
}

/// Whether the engine has refused an argument where Redis looked at the key first: Larder reads all
/// arguments before it touches the keyspace.
pub(super) fn refuses_before_it_looks(ours: &Frame, theirs: &Frame) -> bool {
    let Frame::Error(ours) = ours else {
        return false;
    };
    let is_about_key = match theirs {
        // Since Redis 7.2 a reader whose stream has gone is told of the group.
        Frame::Error(theirs) if ours.starts_with("NOGROUP") => {
            return theirs == "UNBLOCKED the stream key no longer exists"
                || theirs
                    == "NOGROUP the consumer group this client was blocked on no longer exists";
        }
        Frame::Error(theirs) => theirs.starts_with("WRONGTYPE"),
        // A walk over nothing.
        Frame::Array(parts) => parts[..] == [Frame::Bulk(b"0".to_vec()), Frame::Array(Vec::new())],
        _ => false,
    };
    ours.starts_with("ERR ") && is_about_key
}

/// What counts of an error's text: for Valkey only of which kind it is. Many refusals have other words
/// there, and Larder speaks as Redis does.
pub(super) fn refusal(server: ServerKind, text: &str) -> String {
    match server {
        // It ends a transaction.
        Valkey if text.ends_with("not allowed inside a transaction") => text.to_owned(),
        Valkey => text.split(' ').next().unwrap_or_default().to_owned(),
        Redis if is_refused_permission(text.as_bytes()) => "no permission".into(),
        Redis | Redis8 => {
            let text = without_name(text.to_owned());
            String::from_utf8_lossy(word(server, text.as_bytes())).into_owned()
        }
    }
}

/// Whether a text says that a user may not do something, which servers say in other words since Redis 7.2.
pub(super) fn is_refused_permission(text: &[u8]) -> bool {
    let starts = ["NOPERM ", "This user has no permissions", "User u"];
    starts
        .iter()
        .any(|start| text.starts_with(start.as_bytes()))
}

/// The text of an error without the one name that it says of several: which of the functions or libraries that
/// a library has in common with others is found first is up to the server.
fn without_name(text: String) -> String {
    let is_one_of = |start: &str| text.starts_with(start) && text.ends_with(" already exists");
    match ["ERR Function ", "ERR Library "]
        .into_iter()
        .find(|start| is_one_of(start))
    {
        Some(start) if !text.contains('\'') => format!("{start}already exists"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_refusal_is_known_wherever_it_stands() {
        let text = "ERR timeout is out of range";
        for answer in [
            format!("-{text}\r\n"),
            format!("*2\r\n:1\r\n-{text}\r\n"),
            format!("*2\r\n$5\r\ntable\r\n*1\r\n${}\r\n{text}\r\n", text.len()),
        ] {
            assert!(is_newer_refusal(Redis, answer.as_bytes()), "{answer}");
            assert!(!is_newer_refusal(Redis8, answer.as_bytes()), "{answer}");
        }
        assert!(!is_newer_refusal(
            Redis,
            b"*1\r\n-ERR timeout is negative\r\n"
        ));
    }

    #[test]
    fn members_are_exchanged_where_all_else_is_the_same() {
        let ours = b"*2\r\n$1\r\na\r\n*2\r\n$1\r\nb\r\n:7\r\n";
        let theirs = b"*2\r\n$1\r\na\r\n*2\r\n$1\r\nc\r\n:7\r\n";
        let pair = [b"b".to_vec(), b"c".to_vec()];
        assert_eq!(exchanged_members(ours, theirs), Some(vec![pair]));
        let elsewhere = b"*2\r\n$1\r\na\r\n*2\r\n$1\r\nc\r\n:8\r\n";
        assert_eq!(exchanged_members(ours, elsewhere), None);
        assert_eq!(exchanged_members(ours, b"*1\r\n$1\r\na\r\n"), None);
    }

    #[test]
    fn an_answer_is_torn_by_a_message_or_a_second_refusal() {
        let message = b"*2\r\n+OK\r\n*3\r\n$7\r\nmessage\r\n$2\r\nc1\r\n$1\r\na\r\n";
        assert!(is_torn(Redis, b"*2\r\n+OK\r\n:1\r\n", message));
        assert!(!is_torn(Redis8, b"*2\r\n+OK\r\n:1\r\n", message));
        let refusal = b"*1\r\n-ERR Prefix 'a' overlaps with another provided prefix 'ab'. Prefixes for a single \
            client must not overlap.\r\n";
        assert!(is_torn(Redis8, refusal, refusal));
        assert!(!is_torn(Redis8, b"*1\r\n+OK\r\n", b"*1\r\n+OK\r\n"));
    }
}
