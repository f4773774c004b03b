//! Random programs: requests made from the syntax of every row of the table, of one connection after
//! the other or of many together, and scripts.

mod fit;
mod left_out;
mod lua;
mod request;
mod together;
mod wild;

use larder_engine::{Flags, Row as Command, commands};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

pub use self::wild::Wild;

use self::left_out::{is_left_out, is_never_spoilt};
use self::request::Request;
use super::known::Known;
use super::named::is;
use super::scripts::SCRIPTS;
use super::syntax::{Part, parts};
use super::values::{self, Place};
use super::{Family, Step, Subject, Words, functions};
use crate::server::ServerKind;

/// A generator of programs.
pub(super) struct Programs {
    /// Whose server they are run on besides the engine.
    server: ServerKind,
    /// The one family that they are about.
    family: Option<Family>,
    rows: Vec<Row>,
}

/// A command with its syntax as a tree.
struct Row {
    command: &'static Command,
    family: &'static str,
    parts: Vec<Part>,
}

impl Programs {
    /// Programs of what a server knows, mostly about one family.
    pub(super) fn new(server: ServerKind, known: &Known, family: Option<Family>) -> Programs {
        let rows = commands()
            .filter(|(_, command)| known.has(command.name))
            .filter(|(_, command)| !is_left_out(command.name, server))
            .map(|(family, command)| Row {
                command,
                family: family_of(family, command.name),
                parts: known.parts(command.name, parts(command.syntax)),
            });
        Programs {
            server,
            family,
            rows: rows.collect(),
        }
    }

    /// The program of a seed. The same seed gives the same program, but for times.
    pub(super) fn program(&self, subject: Subject, seed: u64) -> Vec<Step> {
        let mut random = StdRng::seed_from_u64(seed);
        let theme = match self.family {
            Some(family) => family.rows.choose(&mut random).copied(),
            None if random.random_bool(0.75) => subject.families().choose(&mut random).copied(),
            None => None,
        };
        let mut writer = Writer {
            programs: self,
            random,
            theme,
            subject,
            client: 0,
            steps: Vec::new(),
        };
        match subject {
            Subject::Commands => writer.write(),
            Subject::Connections => writer.write_together(),
            Subject::Scripts => writer.write_scripts(),
        }
        fit::fit_together(&mut writer.steps);
        writer.steps
    }
}

impl Subject {
    /// What a program may be about most of the time.
    fn families(self) -> &'static [&'static str] {
        match self {
            Subject::Connections => &["list", "sorted-set", "stream"],
            Subject::Commands | Subject::Scripts => &[
                "string",
                "list",
                "hash",
                "set",
                "sorted-set",
                "stream",
                "bitmap",
                "hyperloglog",
                "geo",
                "generic",
            ],
        }
    }
}

/// The family that programs count a row of this family of the table to: functions are one of their own.
pub(super) fn family_of(family: &'static str, name: &str) -> &'static str {
    match name.starts_with("FUNCTION") || name.starts_with("FCALL") {
        true => "functions",
        false => family,
    }
}

/// A program in the making.
struct Writer<'a> {
    programs: &'a Programs,
    random: StdRng,
    /// The family that most requests are of.
    theme: Option<&'static str>,
    subject: Subject,
    client: usize,
    steps: Vec<Step>,
}

impl Writer<'_> {
    /// Has the client told of changes of what it reads, perhaps.
    fn track(&mut self) {
        const WAYS: [&str; 8] = [
            "CLIENT TRACKING ON",
            "CLIENT TRACKING ON NOLOOP",
            "CLIENT TRACKING ON OPTIN",
            "CLIENT TRACKING ON OPTOUT",
            "CLIENT TRACKING ON BCAST",
            "CLIENT TRACKING ON BCAST PREFIX s PREFIX l",
            "PING",
            "PING",
        ];
        let way = WAYS.choose(&mut self.random).copied();
        self.push(words(way.unwrap_or_default()));
    }

    fn write(&mut self) {
        for client in 0..2 {
            if self.random.random_bool(0.4) {
                self.client = client;
                self.push(words("HELLO 3"));
                self.track();
            }
        }
        self.client = 0;
        self.fill();
        let count = match self.programs.family {
            Some(_) => self.random.random_range(200..400),
            None => self.random.random_range(10..50),
        };
        for _ in 0..count {
            self.change_client();
            match self.random.random_range(0..100) {
                0..6 => self.transaction(),
                6..14 => {
                    let script = self.script();
                    self.push(script);
                }
                14..16 => self.large_value(),
                16..60 if self.theme == Some("transactions") => self.transaction(),
                _ => self.request(),
            }
        }
    }

    /// Goes on with the other connection, perhaps. In a long run each keeps its turn for longer: what one
    /// sends is sent at once.
    fn change_client(&mut self) {
        self.client = match (self.programs.family, self.client) {
            (None, _) => usize::from(self.random.random_bool(0.2)),
            (Some(_), 0) => usize::from(self.random.random_bool(0.05)),
            (Some(_), _) => usize::from(self.random.random_bool(0.6)),
        };
    }

    /// Stores a few values, perhaps.
    fn fill(&mut self) {
        for line in [
            "SET s1 10",
            "SET s2 3.5",
            "RPUSH l1 3 1 2 b a",
            "SADD e1 1 2 3",
            "SADD e2 a b 3",
            "ZADD z1 1 a 2 b 3 c",
            "ZADD z2 0 a 0 ab 0 b 0 c",
            "HSET h1 a 1 1 3",
            "HSET h2 a b 1 2",
            "XADD x1 1-0 a 1",
            "XADD x1 2-1 b 2 c 3",
            "XADD x1 5-0 a 3",
            "XGROUP CREATE x1 g1 0",
            "XREADGROUP GROUP g1 c1 COUNT 2 STREAMS x1 >",
            "GEOADD g1 13.361389 38.115556 a 15.087269 37.502669 b -0.5 10.5 c 179.9 0 ab",
        ] {
            if self.random.random_bool(0.8) {
                self.push(words(line));
            }
        }
    }

    fn push(&mut self, mut words: Words) {
        fit::fit(self.programs.server, &mut words);
        if self.is_in_transaction() {
            fit::fit_transaction(self.programs.server, self.subject, &mut words);
        }
        self.steps.push(Step {
            client: self.client,
            words,
        });
    }

    /// Whether the client has begun a transaction.
    fn is_in_transaction(&self) -> bool {
        let own = self.steps.iter().filter(|step| step.client == self.client);
        let names = ["MULTI", "EXEC", "DISCARD", "RESET"];
        let mut turns = own.filter(|step| names.iter().any(|name| is(&step.words, name)));
        turns
            .next_back()
            .is_some_and(|step| is(&step.words, "MULTI"))
    }

    /// A request, and what makes both sides equal again after a random choice.
    fn request(&mut self) {
        let (command, mut words) = self.command(|_| true);
        let may_be_spoilt = !is_never_spoilt(command.name, self.programs.server);
        let before = self.preparation(command.name, &words);
        before.into_iter().for_each(|words| self.push(words));
        // What each side has dumped is of its own, and no error may show it.
        let has_dump = words.iter().any(|word| values::is_dump(word));
        if may_be_spoilt && !has_dump && self.random.random_bool(0.1) {
            self.spoil(&mut words);
        }
        let chosen_from = words.get(1).cloned().filter(|_| is_random_write(command));
        self.push(words);
        if let Some(key) = chosen_from {
            self.push(vec![b"DEL".to_vec(), key]);
        }
    }

    /// What has to come before a request so that both sides answer alike.
    fn preparation(&mut self, name: &str, request: &Words) -> Vec<Words> {
        let request_words = || request.iter().cloned();
        match name {
            "RESTORE" | "RESTORE-ASKING" => {
                let key = values::key(&mut self.random, self.theme.unwrap_or("generic"));
                vec![vec![b"DUMP".to_vec(), key]]
            }
            "FUNCTION RESTORE" => vec![words("FUNCTION DUMP")],
            "EVALSHA" | "EVALSHA_RO" if self.random.random_bool(0.5) => {
                vec![[words("SCRIPT LOAD"), vec![b"return 1".to_vec()]].concat()]
            }
            // Most calls are of functions that there are.
            "FCALL" | "FCALL_RO" | "FUNCTION LIST" | "FUNCTION DELETE"
                if self.random.random_bool(0.4) =>
            {
                let library = functions::library(&mut self.random);
                vec![[words("FUNCTION LOAD REPLACE"), vec![library]].concat()]
            }
            // A consumer that gets nothing is made only since Redis 7.2.
            "XCLAIM" | "XAUTOCLAIM" if self.programs.server == ServerKind::Redis => {
                let names = request_words().skip(1).take(3);
                vec![
                    words("XGROUP CREATECONSUMER")
                        .into_iter()
                        .chain(names)
                        .collect(),
                ]
            }
            "XREADGROUP" if self.programs.server == ServerKind::Redis => {
                let keys = request_words()
                    .skip_while(|word| word != b"STREAMS")
                    .skip(1);
                let maker = |key| {
                    let mut maker = words("XGROUP CREATECONSUMER");
                    maker.extend([key, request[2].clone(), request[3].clone()]);
                    maker
                };
                keys.map(maker).collect()
            }
            // Where scores are not equal, a range of bytes may be anything.
            name if name.contains("LEX") || request.iter().any(|word| word == b"BYLEX") => {
                let key = if name == "ZRANGESTORE" {
                    &request[2]
                } else {
                    &request[1]
                };
                let [store, one, weights, zero] =
                    ["ZUNIONSTORE", "1", "WEIGHTS", "0"].map(Vec::from);
                vec![vec![store, key.clone(), one, key.clone(), weights, zero]]
            }
            _ => Vec::new(),
        }
    }

    fn transaction(&mut self) {
        if self.random.random_bool(0.3) {
            let key = values::key(&mut self.random, self.theme.unwrap_or("string"));
            self.push(vec![b"WATCH".to_vec(), key]);
            if self.random.random_bool(0.5) {
                self.client = 1 - self.client;
                self.request();
                self.client = 1 - self.client;
            }
        }
        self.push(words("MULTI"));
        for _ in 0..self.random.random_range(0..6) {
            self.request();
        }
        let end = match self.random.random_bool(0.85) {
            true => "EXEC",
            false => "DISCARD",
        };
        self.push(words(end));
    }

    /// A script, most often around a request.
    fn script(&mut self) -> Words {
        let script = values::one_of(&mut self.random, SCRIPTS);
        let name = match self.random.random_bool(0.9) {
            true => "EVAL",
            false => "EVAL_RO",
        };
        let server = self.programs.server;
        let is_fit = |row: &Row| {
            // Redis 7.0 has no script wait, later versions have it find nothing.
            let is_old = server == ServerKind::Redis;
            let is_blocking = is_old && row.command.flags.has(Flags::BLOCKING);
            let shows_dump = row.command.name.contains("RESTORE");
            // It is refused more often since Redis 7.2, and a script may hide that.
            let is_refused = is_old && row.command.name == "XSETID";
            !is_random_write(row.command) && !is_blocking && !shows_dump && !is_refused
        };
        let (command, request) = self.command(is_fit);
        let before = self.preparation(command.name, &request);
        before.into_iter().for_each(|words| self.push(words));
        let mut words = vec![name.into(), script, b"0".to_vec()];
        words.extend(request);
        words
    }

    /// A value that is too large for the small encodings.
    fn large_value(&mut self) {
        let mut count = *[127, 128, 129, 512, 513]
            .choose(&mut self.random)
            .unwrap_or(&128);
        let mut key = values::key(&mut self.random, "");
        let name = *["RPUSH", "SADD", "HSET", "ZADD", "PFADD"]
            .choose(&mut self.random)
            .unwrap_or(&"RPUSH");
        if name == "PFADD" {
            count *= 4;
            key = values::key(&mut self.random, "hyperloglog");
        }
        let start = self.random.random_range(-5..100);
        // Where many are as far away as others, it is up to the server which of them are the first.
        let are_places = name == "ZADD" && (key.starts_with(b"g") || self.theme == Some("geo"));
        let mut words = vec![name.into(), key];
        for number in start..start + count {
            if matches!(name, "HSET" | "ZADD") {
                let weight = match are_places {
                    true => scattered(number).to_string(),
                    false => (number % 7).to_string(),
                };
                words.push(weight.into_bytes());
                words.push(number.to_string().into_bytes());
            } else {
                words.push(number.to_string().into_bytes());
            }
        }
        self.push(words);
    }

    /// A request of any command that is wanted.
    fn command(&mut self, is_wanted: impl Fn(&Row) -> bool) -> (&'static Command, Words) {
        let family = match self.random.random_range(0..10) {
            0..6 => self.theme,
            6..8 if self.programs.family.is_some() => self.theme,
            6..8 => Some("generic"),
            _ => None,
        };
        let is_of_family = |row: &&Row| family.is_none_or(|family| row.family == family);
        let rows: Vec<&Row> = self
            .programs
            .rows
            .iter()
            .filter(|row| is_wanted(row))
            .collect();
        let of_family: Vec<&Row> = rows.iter().copied().filter(is_of_family).collect();
        let rows = if of_family.is_empty() {
            rows
        } else {
            of_family
        };
        let row = rows
            .choose(&mut self.random)
            .expect("some command is wanted");
        let family = match row.family {
            "generic" | "transactions" | "server" | "functions" | "scripting" => {
                self.theme.unwrap_or("generic")
            }
            family => family,
        };
        let mut words = Request::of(&mut self.random, row, family);
        fit::fit(self.programs.server, &mut words);
        if self.subject == Subject::Scripts {
            fit::fit_scripts(self.programs.server, &mut words);
        }
        (row.command, words)
    }

    /// Makes something wrong in a request.
    fn spoil(&mut self, words: &mut Words) {
        let place = self.random.random_range(0..words.len());
        match self.random.random_range(0..5) {
            0 if words.len() > 1 => {
                words.remove(place.max(1));
            }
            1 => words.push(values::odd(&mut self.random)),
            2 => words.insert(place, words[place].clone()),
            _ => words[place] = values::odd(&mut self.random),
        }
    }
}

/// The score of a place on earth for a number from -5 on: they lie so that no two are as far away as each other.
fn scattered(number: i32) -> u64 {
    // The golden ratio in 64 bits, of which a place has the upper 52.
    i64::from(number + 6)
        .unsigned_abs()
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        >> 12
}

/// Whether the command changes what is chosen at random.
fn is_random_write(command: &Command) -> bool {
    command.name == "SPOP"
}

fn words(line: &str) -> Words {
    line.split(' ').map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_program_of_known_commands() {
        let programs = Programs::new(ServerKind::Redis, &Known::all(), None);
        assert!(programs.rows.len() > 150);
        let lengths = |seed| {
            programs
                .program(Subject::Commands, seed)
                .iter()
                .map(|step| step.words.len())
                .collect::<Vec<_>>()
        };
        assert_eq!(lengths(7), lengths(7));
        assert_ne!(lengths(7), lengths(8));
    }

    #[test]
    fn what_is_left_out_is_in_the_table() {
        for name in left_out::names() {
            assert!(
                commands().any(|(_, command)| command.name == name),
                "{name}"
            );
        }
    }
}
