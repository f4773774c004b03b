//! Running a program on both sides, and making it shorter.

use std::time::Duration;

use larder_resp::Frame;

use super::compare::{Freedom, is_newer_refusal};
use super::events::{Event, Listeners, Tracking};
use super::next::{PATIENCE, frame};
use super::{Step, Words, values};
use crate::server::ServerKind;
use crate::transcript::target::{Arrived, Connection, InProcess, Open, Real};

/// What a client is told is not compared if this occurs: Redis takes keys of the same name in all
/// databases for one, does not tell of databases that are swapped, removes what has expired at its own
/// time, and before 7.2 took the keys of a script for those of its commands.
const SPECIAL: &[&str] = &[
    "SELECT",
    "SWAPDB",
    "MOVE",
    "DB",
    "EXPIRE",
    "PEXPIRE",
    "EXPIREAT",
    "PEXPIREAT",
    "SETEX",
    "PSETEX",
    "EX",
    "PX",
    "EXAT",
    "PXAT",
    "EVAL",
    "EVAL_RO",
    "EVALSHA",
    "EVALSHA_RO",
];

/// The engine and a real server.
pub(super) struct Sides {
    ours: InProcess,
    theirs: Box<dyn Open>,
}

/// Where the sides are not the same.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    /// What kind of difference it is, as far as that can be seen.
    pub(super) class: String,
    /// Whether it is meant. What comes after it can't be compared.
    is_meant: bool,
    /// The request, and both answers.
    text: String,
}

impl Sides {
    /// Both sides, if this machine has a real server.
    pub(super) fn start() -> Option<Sides> {
        Some(Sides {
            ours: InProcess::default(),
            theirs: Real::start(ServerKind::Redis)?,
        })
    }

    /// Runs a program from an empty store on. Answers the first difference, unless it is meant.
    pub(super) fn run(&mut self, program: &[Step]) -> Option<Difference> {
        self.first_difference(program)
            .filter(|difference| !difference.is_meant)
    }

    fn first_difference(&mut self, program: &[Step]) -> Option<Difference> {
        self.ours.begin();
        self.theirs.begin();
        let mut clients = [self.connect(), self.connect()];
        let mut listeners = Listeners::new(self.ours.connect(), self.theirs.connect());
        let trims = program.iter().any(|step| is(&step.words, "LTRIM"));
        clients.iter_mut().for_each(|client| client.trims = trims);
        for step in program {
            if clients[step.client].is_waiting {
                continue;
            }
            let difference = clients[step.client].step(&step.words);
            // A request of one may end the wait of the other.
            let other = &mut clients[1 - step.client];
            let difference = difference.or_else(|| other.end_wait());
            clients.iter_mut().for_each(|client| client.ours.collect());
            let difference = difference.or_else(|| heard(&step.words, listeners.events()));
            if difference.is_some() {
                return difference;
            }
        }
        let mut control = self.connect();
        let ended = clients
            .iter_mut()
            .find_map(|client| client.unblock(&mut control));
        let told = clients.iter_mut().find_map(Client::told);
        let all = program.iter().map(|step| values::shown(&step.words));
        let all = all.collect::<String>().to_ascii_uppercase();
        let has = |name| all.contains(name);
        control.sorts = has("SORT");
        control.makes_texts = has("INCRBYFLOAT");
        control.copies = has("COPY");
        let is_special = |step: &Step| {
            let mut words = step.words.iter().map(|word| word.to_ascii_uppercase());
            words.any(|word| SPECIAL.iter().any(|name| word == name.as_bytes()))
        };
        let told = told.filter(|_| !program.iter().any(is_special));
        ended.or(told).or_else(|| control.state())
    }

    fn connect(&mut self) -> Client {
        let mut client = Client {
            ours: Tracking::new(self.ours.connect()),
            theirs: Tracking::new(self.theirs.connect()),
            ids: Default::default(),
            queue: Vec::new(),
            is_waiting: false,
            trims: false,
            sorts: false,
            makes_texts: false,
            copies: false,
        };
        client.ids = client.ask(&[b"CLIENT", b"ID"]);
        client
    }

    /// The shortest program with the same kind of difference that leaving out steps leads to, as a
    /// text with the difference itself.
    pub(super) fn shrink(&mut self, mut program: Vec<Step>, mut found: Difference) -> String {
        let mut len = program.len();
        while len > 0 {
            let mut start = program.len();
            while start > 0 {
                start = start.saturating_sub(len);
                let end = (start + len).min(program.len());
                let mut shorter = program.clone();
                shorter.drain(start..end);
                if let Some(same) = self
                    .run(&shorter)
                    .filter(|other| other.class == found.class)
                {
                    (program, found) = (shorter, same);
                }
            }
            len /= 2;
        }
        let line = |step: &Step| {
            let client = if step.client == 0 {
                ""
            } else {
                "(other client) "
            };
            let line: String = values::shown(&step.words).chars().take(300).collect();
            format!("  > {client}{line}\n")
        };
        program.iter().map(line).collect::<String>() + &found.text
    }
}

/// A connection to each side.
struct Client {
    ours: Tracking,
    theirs: Tracking,
    /// The number of the connection on each side.
    ids: [String; 2],
    /// What was sent since MULTI: EXEC answers for all of it.
    queue: Vec<Words>,
    is_waiting: bool,
    /// Whether LTRIM is used, which changes a list in Redis 7.0 even where it takes nothing away.
    trims: bool,
    /// Whether SORT has been used, which makes a skiplist of a sorted set in Redis.
    sorts: bool,
    /// Whether INCRBYFLOAT has been used, which leaves a text in Redis even where it is an integer.
    makes_texts: bool,
    /// Whether COPY has been used, which copies in Redis also how a value is held: Larder holds the
    /// copy as tightly as it can.
    copies: bool,
}

impl Client {
    /// Sends a request to both sides.
    fn step(&mut self, words: &Words) -> Option<Difference> {
        self.ours.send(words);
        self.theirs.send(words);
        self.queue.push(words.clone());
        match self.ours.receive_bytes(Duration::ZERO) {
            Arrived::Nothing => {
                self.is_waiting = true;
                None
            }
            ours => self.answer(&ours),
        }
    }

    /// Compares an answer of the engine to the next one of the server.
    fn answer(&mut self, ours: &Arrived) -> Option<Difference> {
        let words = self.queue.last().cloned().unwrap_or_default();
        let freedom = match is(&words, "EXEC") {
            true => Freedom::of(&self.queue),
            false => Freedom::of([&words]),
        };
        if ["EXEC", "DISCARD", "RESET"]
            .iter()
            .any(|name| is(&words, name))
        {
            self.queue.clear();
        }
        self.compare(&words, freedom, ours)
    }

    fn compare(&mut self, words: &Words, freedom: Freedom, ours: &Arrived) -> Option<Difference> {
        let theirs = self.theirs.receive_bytes(PATIENCE);
        let is_same = match (ours, &theirs) {
            (Arrived::Bytes(ours), Arrived::Bytes(theirs)) => freedom.allows(ours, theirs),
            (ours, theirs) => ours == theirs,
        };
        let is_meant = || self.is_meant(words, ours, &theirs);
        (!is_same).then(|| difference(words, ours, &theirs, is_meant()))
    }

    /// Whether Larder means to answer this where Redis 7.0 answers that.
    fn is_meant(&self, words: &Words, ours: &Arrived, theirs: &Arrived) -> bool {
        match (ours, theirs) {
            (Arrived::Bytes(ours), Arrived::Bytes(theirs)) => {
                // A wait that ends looks at all of its keys again, as since Redis 7.2.
                let looks_again = ours.starts_with(b"-WRONGTYPE") || is(words, "XREAD");
                is_newer_refusal(ours)
                    || self.is_waiting && looks_again
                    || self.trims && is(words, "EXEC") && theirs == b"*-1\r\n"
            }
            // Whoever waits for a key is served as well when it held a value of another type before.
            // In Redis the next change of the key serves them.
            (Arrived::Bytes(_), Arrived::Nothing) => self.is_waiting,
            _ => false,
        }
    }

    fn end_wait(&mut self) -> Option<Difference> {
        if !self.is_waiting {
            return None;
        }
        match self.ours.receive_bytes(Duration::ZERO) {
            Arrived::Nothing => None,
            ours => {
                let difference = self.answer(&ours);
                self.is_waiting = false;
                difference
            }
        }
    }

    /// Ends a wait that nothing has ended, if the connection waits on both sides.
    fn unblock(&mut self, control: &mut Client) -> Option<Difference> {
        if !self.is_waiting {
            return None;
        }
        let [ours, theirs] = self.ids.clone().map(|id| {
            ["CLIENT", "UNBLOCK", &id]
                .map(|word| word.as_bytes().to_vec())
                .to_vec()
        });
        control.ours.send(&ours);
        control.theirs.send(&theirs);
        control.queue.push(ours);
        let answer = control.ours.receive_bytes(Duration::ZERO);
        control.answer(&answer).or_else(|| self.end_wait())
    }

    /// Compares what was pushed to the client since it began.
    fn told(&mut self) -> Option<Difference> {
        // The answer comes behind all that has been pushed before.
        self.ask(&[b"PING"]);
        while self.ours.receive_bytes(Duration::ZERO) != Arrived::Nothing {}
        let [ours, theirs] = [&self.ours, &self.theirs].map(|side| {
            let pushed = side.pushed.iter();
            let pushed: Vec<String> = pushed
                .map(|bytes| bytes.escape_ascii().to_string())
                .collect();
            pushed
        });
        (ours != theirs).then(|| Difference {
            class: format!("told {} {}", ours.len(), theirs.len()),
            is_meant: false,
            text: format!("  told by us   {ours:?}\n  told by them {theirs:?}\n"),
        })
    }

    /// Asks both sides for a number or a status.
    fn ask(&mut self, words: &[&[u8]]) -> [String; 2] {
        let words: Words = words.iter().map(|word| word.to_vec()).collect();
        self.ours.send(&words);
        self.theirs.send(&words);
        [&mut self.ours, &mut self.theirs].map(|side| match frame(side) {
            Some(Frame::Integer(number)) => number.to_string(),
            Some(Frame::Status(text)) => text,
            _ => String::new(),
        })
    }

    /// Reads all that is stored on both sides.
    fn state(&mut self) -> Option<Difference> {
        (0..2).find_map(|db: usize| {
            self.look(&[b"SELECT", db.to_string().as_bytes()])
                .or_else(|| self.keys().iter().find_map(|key| self.value(key)))
        })
    }

    /// Asks both sides for something about what is stored that has to be the same.
    fn look(&mut self, words: &[&[u8]]) -> Option<Difference> {
        let words: Words = words.iter().map(|word| word.to_vec()).collect();
        self.ours.send(&words);
        self.theirs.send(&words);
        let ours = self.ours.receive_bytes(Duration::ZERO);
        let difference = self.compare(&words, Freedom::of_state(&words), &ours)?;
        Some(Difference {
            class: format!("state {}", difference.class),
            ..difference
        })
    }

    /// The keys of the server, by a full walk of small steps on each side.
    fn keys(&mut self) -> Vec<Vec<u8>> {
        let [mut ours, theirs] = [walk(&mut self.ours), walk(&mut self.theirs)];
        ours.extend(theirs);
        ours.sort();
        ours.dedup();
        ours
    }

    /// Reads all about a key.
    fn value(&mut self, key: &[u8]) -> Option<Difference> {
        let [kind, _] = self.ask(&[b"TYPE", key]);
        let difference = self
            .look(&[b"TYPE", key])
            .or_else(|| self.look(&[b"PTTL", key]))
            .or_else(|| match kind.as_str() {
                // Small sets are listpacks since Redis 7.2.
                "set" => None,
                "zset" if self.sorts => None,
                "string" if self.makes_texts => None,
                "string" | "hash" | "zset" if self.copies => None,
                _ => self.look(&[b"OBJECT", b"ENCODING", key]),
            });
        difference.or_else(|| match kind.as_str() {
            "string" => self.look(&[b"GET", key]),
            "list" => self.look(&[b"LRANGE", key, b"0", b"-1"]),
            "hash" => self
                .look(&[b"HGETALL", key])
                .or_else(|| self.look(&[b"HSCAN", key, b"0", b"COUNT", b"5000"])),
            "set" => self
                .look(&[b"SMEMBERS", key])
                .or_else(|| self.look(&[b"SSCAN", key, b"0", b"COUNT", b"5000"])),
            "zset" if self.sorts => self.look(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]),
            "zset" => self
                .look(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"])
                .or_else(|| self.look(&[b"ZSCAN", key, b"0", b"COUNT", b"5000"])),
            "stream" => self.look(&[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"]),
            _ => None,
        })
    }
}

/// All keys that a walk in small steps comes past.
fn walk(side: &mut dyn Connection) -> Vec<Vec<u8>> {
    let (mut keys, mut cursor) = (Vec::new(), b"0".to_vec());
    loop {
        side.send(&[b"SCAN".to_vec(), cursor, b"COUNT".to_vec(), b"3".to_vec()]);
        let Some(Frame::Array(mut parts)) = frame(side) else {
            return keys;
        };
        let (Some(Frame::Array(some)), Some(Frame::Bulk(next))) = (parts.pop(), parts.pop()) else {
            return keys;
        };
        keys.extend(some.into_iter().filter_map(|key| match key {
            Frame::Bulk(key) => Some(key),
            _ => None,
        }));
        if next == b"0" {
            return keys;
        }
        cursor = next;
    }
}

/// Whether this is a request of the command.
fn is(words: &Words, name: &str) -> bool {
    words[0].eq_ignore_ascii_case(name.as_bytes())
}

/// Compares the keyspace events of a step.
fn heard(request: &Words, [ours, theirs]: [Vec<Event>; 2]) -> Option<Difference> {
    // When a key is removed that has expired is the business of each side.
    let told = |events: Vec<Event>| -> Vec<String> {
        let expired =
            |[channel, payload]: &Event| channel.ends_with(b":expired") || payload == b"expired";
        let events = events.iter().filter(|event| !expired(event));
        events
            .map(|[channel, payload]| {
                format!("{} {}", channel.escape_ascii(), payload.escape_ascii())
            })
            .collect()
    };
    let (ours, theirs) = (told(ours), told(theirs));
    let name = String::from_utf8_lossy(&request[0]).to_uppercase();
    (ours != theirs).then(|| Difference {
        class: format!("events {name} {} {}", ours.len(), theirs.len()),
        is_meant: false,
        text: format!(
            "  at {}\n  events of ours   {ours:?}\n  events of theirs {theirs:?}\n",
            values::shown(request)
        ),
    })
}

fn difference(request: &Words, ours: &Arrived, theirs: &Arrived, is_meant: bool) -> Difference {
    let name = String::from_utf8_lossy(&request[0]).to_uppercase();
    let nested = match name.starts_with("EVAL") {
        true => request
            .get(1)
            .map(|script| String::from_utf8_lossy(script).into_owned()),
        false => None,
    };
    let request = values::shown(request);
    Difference {
        class: format!(
            "{name} {} {} {}",
            nested.unwrap_or_default(),
            kind(ours),
            kind(theirs)
        ),
        is_meant,
        text: format!(
            "  at {request}\n  ours   {}\n  theirs {}\n",
            text(ours),
            text(theirs)
        ),
    }
}

/// What kind of answer it is: the first words of a refusal, the sign of any other.
fn kind(arrived: &Arrived) -> String {
    let bytes = match arrived {
        Arrived::Bytes(bytes) => bytes,
        other => return format!("{other:?}"),
    };
    let len = match bytes.first() {
        Some(b'-') => 16,
        _ => 1,
    };
    String::from_utf8_lossy(bytes.get(..len).unwrap_or(bytes)).into_owned()
}

fn text(arrived: &Arrived) -> String {
    match arrived {
        Arrived::Bytes(bytes) => {
            let text: String = bytes
                .escape_ascii()
                .to_string()
                .chars()
                .take(1500)
                .collect();
            text.replace("\\r\\n", " ")
        }
        other => format!("{other:?}"),
    }
}
