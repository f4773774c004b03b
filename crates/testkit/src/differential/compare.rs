//! When two answers are the same, and which differences are meant.

use std::time::{SystemTime, UNIX_EPOCH};

use larder_resp::Frame;

use super::Words;
use super::meant;
use super::named::{has_any, integer_of, is, mentions};
use crate::server::ServerKind;

/// What may be different between two answers to the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Freedom {
    /// Whose server it is.
    server: ServerKind,
    /// The items of containers stand in any order.
    order: bool,
    /// Times are about the same.
    time: bool,
    /// The values themselves: only their kinds and numbers count.
    values: bool,
    /// Everything.
    all: bool,
    /// Numbers are written in different ways.
    digits: bool,
    /// A script has made the answer.
    script: bool,
}

/// Answers in no order. A set, a hash and the keys have none; SORT has none where it does not sort,
/// or where elements weigh the same.
const ANY_ORDER: &[&str] = &[
    "SMEMBERS", "SINTER", "SUNION", "SDIFF", "HGETALL", "HKEYS", "HVALS", "KEYS", "SCAN", "SSCAN",
    "HSCAN", "ZSCAN", "SORT", "SORT_RO",
];

/// Answers with times: what is left of a life, how long an entry has been pending, ids that the
/// clock makes.
const TIMES: &[&str] = &[
    "TTL",
    "PTTL",
    "EXPIRETIME",
    "PEXPIRETIME",
    "HTTL",
    "HPTTL",
    "HEXPIRETIME",
    "HPEXPIRETIME",
    "XPENDING",
    "XINFO",
    "XADD",
];

/// Answers that are chosen at random, that count what is over and not yet gone, or that describe a
/// server, or a value, in its own words.
const ANY_VALUES: &[&str] = &[
    "SPOP",
    "SRANDMEMBER",
    "HRANDFIELD",
    "ZRANDMEMBER",
    "RANDOMKEY",
    "TIME",
    "HELP",
    "INFO",
    "MEMORY",
    "OBJECT",
    "ROLE",
    "DBSIZE",
    "DUMP",
];

/// Answers about the server and the connection, and texts of help.
const ANYTHING: &[&str] = &["HELLO", "HELP"];

/// Whether all answers of a command are the same, wherever it runs.
pub(super) fn is_strict(command: &str) -> bool {
    let lists = [ANY_ORDER, TIMES, ANY_VALUES, ANYTHING];
    let mut words = command.split(' ');
    !words.any(|word| lists.iter().any(|names| names.contains(&word)) || word == "CLIENT")
}

/// Whether a request compares lives: which of two of the same length ends later depends on when they began.
pub(super) fn depends_on_moments(words: &Words) -> bool {
    let is_relative = has_any(words, &["EXPIRE", "PEXPIRE", "HEXPIRE", "HPEXPIRE"]);
    is_relative && has_any(words, &["GT", "LT"])
}

/// Whether a step of a scan is asked for that is not its first. A cursor means something only to the
/// server that gave it.
fn goes_on_scanning(words: &Words) -> bool {
    let mut cursors = words.iter().enumerate().filter_map(|(place, word)| {
        match word.to_ascii_uppercase().as_slice() {
            b"SCAN" => words.get(place + 1),
            b"SSCAN" | b"HSCAN" | b"ZSCAN" => words.get(place + 2),
            _ => None,
        }
    });
    cursors.any(|cursor| cursor != b"0")
}

impl Freedom {
    /// What may be different in the answer of such a server to these requests, of which one may hold another.
    pub(super) fn of<'a>(
        server: ServerKind,
        requests: impl IntoIterator<Item = &'a Words>,
    ) -> Freedom {
        let mut freedom = Freedom {
            server,
            order: false,
            time: false,
            values: false,
            all: false,
            digits: false,
            script: false,
        };
        for words in requests {
            let has = |names: &[&str]| has_any(words, names);
            freedom.order |= has(ANY_ORDER);
            freedom.time |= has(TIMES);
            freedom.values |= has(ANY_VALUES);
            // Which elements are the first of those that are not sorted is up to the server.
            freedom.values |= has(&["SORT", "SORT_RO"]) && has(&["BY"]) && has(&["LIMIT"]);
            freedom.values |= depends_on_moments(words);
            freedom.order |= words
                .iter()
                .any(|word| word.starts_with(b"redis.setresp(3)"));
            // A function may answer with a hash.
            freedom.order |= has(&["FCALL", "FCALL_RO"]);
            // Channels, libraries and their functions are kept in no order.
            freedom.order |= has(&["CHANNELS", "SHARDCHANNELS"]) && has(&["PUBSUB"]);
            freedom.order |= has(&["LIST"]) && has(&["FUNCTION"]);
            // In Redis SORT makes a skiplist of a sorted set, which writes large scores with an
            // exponent.
            freedom.digits |= has(&["ZSCAN"]);
            // Redis 8 writes coordinates as any other double, and Valkey gives scripts only so many digits.
            let tells_places = ["GEOPOS", "WITHCOORD"]
                .iter()
                .any(|name| mentions(words, name));
            // In Redis 7.0 scripts read them from texts with 17 places behind the point, which of small ones are
            // not all.
            let reads_numbers = mentions(words, "redis.setresp(3)");
            freedom.digits |= (server != ServerKind::Redis || reads_numbers) && tells_places;
            freedom.script |= has(&["EVAL", "EVAL_RO", "EVALSHA", "EVALSHA_RO"]);
            // CLIENT KILL has an option of that name, and a number to answer.
            let lists_clients =
                |pair: &[Vec<u8>]| is(pair, "CLIENT") && has_any(pair, &["LIST", "ID"]);
            freedom.all |= has(ANYTHING) || words.windows(2).any(lists_clients);
            // In Redis a value has a size until somebody finds that its time is over.
            freedom.all |= has(&["MEMORY"]) && has(&["USAGE"]);
            freedom.all |= goes_on_scanning(words);
            // The rules of a user are told in the order in which they were given since Redis 7.2, and
            // Valkey tells fewer.
            let tells_rules = has(&["ACL"]) && has(&["GETUSER", "LIST"]);
            freedom.all |= server != ServerKind::Redis8 && tells_rules;
            freedom.order |= has(&["CONFIG"]) && has(&["GET"]);
        }
        freedom
    }

    /// What may be different in the answer to a request about what is stored.
    pub(super) fn of_state(server: ServerKind, request: &Words) -> Freedom {
        Freedom {
            values: false,
            ..Freedom::of(server, [request])
        }
    }

    /// Whether two answers, as they came over the wire, are the same.
    pub(super) fn allows(self, ours: &[u8], theirs: &[u8]) -> bool {
        if ours == theirs || self.all {
            return true;
        }
        let (ours, theirs) = (
            &self.with_our_doubles(ours)[..],
            &self.with_our_doubles(theirs)[..],
        );
        let (ours_bytes, theirs_bytes) = (ours, theirs);
        let frame = |bytes| Frame::read(bytes).ok().flatten();
        let (Some((ours, _)), Some((theirs, _))) = (frame(ours), frame(theirs)) else {
            return false;
        };
        // What is the same as a value may be written differently in the protocol, which is wrong.
        // Texts of errors are UTF-8 in Larder, whatever a script makes of them.
        let is_free = self.order
            || self.time
            || self.values
            || self.digits
            || self.script
            || is_odd_text(theirs_bytes);
        let is_meant = ours_bytes == theirs_bytes || is_free || ours != theirs;
        is_meant && self.is_same(&ours, &theirs)
    }

    fn is_same(self, ours: &Frame, theirs: &Frame) -> bool {
        if self.form(ours) == self.form(theirs)
            || meant::refuses_before_it_looks(ours, theirs)
            || meant::is_refused_by_valkey(self.server, ours, theirs)
        {
            return true;
        }
        // The answers of a transaction.
        let (Frame::Array(ours), Frame::Array(theirs)) = (ours, theirs) else {
            return false;
        };
        let mut both = ours.iter().zip(theirs);
        ours.len() == theirs.len() && both.all(|(ours, theirs)| self.is_same(ours, theirs))
    }

    /// The answer without what may be different.
    fn form(self, frame: &Frame) -> String {
        let all = |items: &[Frame]| {
            let mut items = items.to_vec();
            self.leave_out_fields(&mut items);
            let mut forms: Vec<String> = items.iter().map(|item| self.form(item)).collect();
            if self.order {
                forms.sort();
            }
            forms.join(" ")
        };
        match frame {
            Frame::Array(items) => format!("*[{}]", all(items)),
            Frame::Set(items) => format!("~[{}]", all(items)),
            Frame::Push(items) => format!(">[{}]", all(items)),
            Frame::Map(pairs) => {
                let pair = |(name, value)| Frame::Array(vec![name, value]);
                let is_told = |(name, value): &&(Frame, Frame)| {
                    !meant::is_left_out(self.server, name, Some(value))
                };
                let pairs = pairs.iter().filter(is_told).cloned();
                let pairs: Vec<Frame> = pairs.map(pair).collect();
                format!("%[{}]", all(&pairs))
            }
            Frame::Bulk(_) if self.values => "bulk".into(),
            Frame::Integer(_) if self.values => "integer".into(),
            Frame::Double(_) if self.values => "double".into(),
            Frame::Status(_) if self.values => "status".into(),
            Frame::Verbatim(..) if self.values => "verbatim".into(),
            Frame::Integer(number) if self.time => format!("about {}", about(*number)),
            Frame::Bulk(bytes) if self.time && integer_of(bytes).is_some() => {
                format!("about {:?}", integer_of(bytes).map(about))
            }
            Frame::Bulk(bytes) if self.is_old() && meant::is_refused_permission(bytes) => {
                "no permission".into()
            }
            Frame::Bulk(bytes) if is_time_id(bytes) => "an id of now".into(),
            Frame::Double(number) if self.digits => places(*number),
            Frame::Bulk(bytes) if self.digits && double(bytes).is_some() => {
                double(bytes).map_or(String::new(), places)
            }
            // A number without a fraction that Lua can't hold exactly ends at another end.
            Frame::Integer(i64::MIN) if self.script => format!("{:?}", Frame::Integer(i64::MAX)),
            // A script has made a text of a refusal.
            Frame::Bulk(bytes) if self.script && bytes.starts_with(b"ERR ") => {
                meant::refusal(self.server, &String::from_utf8_lossy(bytes))
            }
            // A score is never minus zero.
            Frame::Bulk(bytes) if bytes == b"-0" => "\"0\"".into(),
            // Which sign has what is not a number is up to the processor.
            Frame::Bulk(bytes) if bytes == b"-nan" => "\"nan\"".into(),
            Frame::Double(number) => format!("{:?}", Frame::Double(number + 0.0)),
            Frame::Bulk(bytes) if self.is_old() && is_long_double(bytes) => {
                format!("{:?}", String::from_utf8_lossy(&shortest(bytes)))
            }
            Frame::Bulk(bytes) => format!(
                "{:?}",
                String::from_utf8_lossy(meant::word(self.server, bytes))
            ),
            Frame::Error(text) => format!("-{}", meant::refusal(self.server, text)),
            leaf => format!("{leaf:?}"),
        }
    }

    /// An answer in which no double has more digits than are needed, and none is the zero below zero.
    fn with_our_doubles(self, bytes: &[u8]) -> Vec<u8> {
        let line = |line: &[u8]| match line {
            [b',', number @ ..] if self.is_old() && is_long_double(number) => {
                [b",", &shortest(number)[..]].concat()
            }
            b",-0" => b",0".to_vec(),
            line => line.to_vec(),
        };
        let lines: Vec<Vec<u8>> = bytes
            .split(|byte| *byte == b'\n')
            .map(|full| match full.strip_suffix(b"\r") {
                Some(text) => [&line(text)[..], b"\r"].concat(),
                None => full.to_vec(),
            })
            .collect();
        lines.join(&b'\n')
    }

    /// Whether the server is of the version before Redis 7.2.
    fn is_old(self) -> bool {
        self.server == ServerKind::Redis
    }

    fn leave_out_fields(self, items: &mut Vec<Frame>) {
        let mut at = 0;
        while at < items.len() {
            match meant::is_left_out(self.server, &items[at], items.get(at + 1)) {
                true => drop(items.drain(at..(at + 2).min(items.len()))),
                false => at += 1,
            }
        }
    }
}

/// Whether an answer is a text that is not UTF-8.
fn is_odd_text(bytes: &[u8]) -> bool {
    bytes.starts_with(b"-") && std::str::from_utf8(bytes).is_err()
}

/// A time to the next 1000 seconds: a distance in seconds, in milliseconds, or a time of day.
fn about(number: i64) -> i128 {
    let number = i128::from(number);
    let near = |distance: i128, unit: i128| (distance + unit / 2).div_euclid(unit);
    let now = i128::from(unix_ms());
    let year_ms: i128 = 366 * 24 * 3600 * 1000;
    match number {
        _ if (number - now).abs() < year_ms => near(number - now, 1_000_000),
        _ if (number - now / 1000).abs() < year_ms / 1000 => near(number - now / 1000, 1000),
        0..100_000 => near(number, 1000),
        _ => near(number, 1_000_000),
    }
}

/// Whether the bytes are an id that XADD has made of the time.
fn is_time_id(bytes: &[u8]) -> bool {
    let Some((ms, _)) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.split_once('-'))
    else {
        return false;
    };
    ms.parse::<u64>()
        .is_ok_and(|ms| ms.abs_diff(unix_ms()) < 24 * 3600 * 1000)
}

/// A number to so many places that one with 17 behind the point is the same as one with all its digits.
fn places(number: f64) -> String {
    format!("number {:.14}", number + 0.0)
}

fn double(bytes: &[u8]) -> Option<f64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// Whether the bytes are a number of 15 to 17 digits, or of fewer with many behind the point, or with an exponent.
/// Redis 7.0 writes all digits of a score, later versions as many as are needed, and those with an exponent where
/// it would not.
fn is_long_double(bytes: &[u8]) -> bool {
    let mantissa = bytes.split(|byte| *byte == b'e').next().unwrap_or_default();
    let count = |bytes: &[u8]| bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let zeros = mantissa
        .iter()
        .take_while(|byte| !(b'1'..=b'9').contains(*byte));
    let digits = count(&mantissa[zeros.count()..]);
    let behind_point = mantissa.split(|byte| *byte == b'.').nth(1).map_or(0, count);
    let has_exponent = bytes.windows(2).any(|sign| sign == b"e+");
    let is_long = (15..=17).contains(&digits) || digits < 15 && behind_point >= 7;
    (has_exponent || is_long) && double(bytes).is_some()
}

/// A number with as many digits as are needed.
fn shortest(bytes: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let mut out = Vec::new();
    larder_resp::write_double(&mut out, text.parse().unwrap_or_default());
    out
}

/// The time, in milliseconds since 1970.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_the_same_however_many_of_its_digits_are_written() {
        for (ours, theirs) in [
            ("0.1", "0.10000000000000001"),
            ("1.638400390625e+4", "16384.00390625"),
            ("1.2345678912345679e+8", "123456789.12345679"),
        ] {
            let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len()).into_bytes();
            let freedom = |server| Freedom::of(server, [&vec![b"ZSCORE".to_vec()]]);
            let (ours, theirs) = (bulk(ours), bulk(theirs));
            assert!(freedom(ServerKind::Redis).allows(&ours, &theirs));
            assert!(!freedom(ServerKind::Redis8).allows(&ours, &theirs));
        }
    }
}
