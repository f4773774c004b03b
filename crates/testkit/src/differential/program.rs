//! Random programs: requests of two connections, made from the syntax of every row of the table.

use larder_engine::{Flags, Row as Command, commands};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};

use super::syntax::{Part, parts};
use super::values::{self, Place};
use super::{Step, Words};

/// The version whose commands both sides know.
const VERSION: (u32, u32) = (7, 0);

/// Commands that no program sends, each with the reason.
const LEFT_OUT: &[(&str, &str)] = &[
    (
        "COMMAND HELP",
        "a word less would list the commands of another server",
    ),
    (
        "COMMAND GETKEYS",
        "wants a word more in Redis 7.0 than it needs",
    ),
    (
        "COMMAND GETKEYSANDFLAGS",
        "wants a word more in Redis 7.0 than it needs",
    ),
    ("ACL CAT", "lists commands of another server"),
    ("ACL DELUSER", "belongs to the server, not to the program"),
    (
        "ACL DRYRUN",
        "knows users of the server, not of the program",
    ),
    ("ACL GENPASS", "answers by chance"),
    (
        "ACL GETUSER",
        "knows users of the server, not of the program",
    ),
    ("ACL LIST", "knows users of the server, not of the program"),
    ("ACL LOAD", "reads files"),
    ("ACL LOG", "belongs to the server, not to the program"),
    ("ACL SAVE", "writes files"),
    ("ACL SETUSER", "belongs to the server, not to the program"),
    ("ACL USERS", "knows users of the server, not of the program"),
    ("BGREWRITEAOF", "has the server write files"),
    ("BGSAVE", "has the server write files"),
    ("CLIENT KILL", "closes connections of the test"),
    ("CLIENT PAUSE", "holds up what the test asks as well"),
    ("CLIENT UNPAUSE", "lets go what no program holds up"),
    ("CLIENT REPLY", "has requests without an answer"),
    ("COMMAND", "lists the commands of another server"),
    ("COMMAND COUNT", "counts the commands of another server"),
    ("COMMAND DOCS", "describes commands in the server's words"),
    (
        "COMMAND INFO",
        "lists categories and tips that the table does not have",
    ),
    ("COMMAND LIST", "lists the commands of another server"),
    ("CONFIG GET", "the servers have other parameters"),
    ("CONFIG REWRITE", "writes files"),
    ("CONFIG SET", "the servers have other parameters"),
    (
        "CONFIG RESETSTAT",
        "belongs to the server, not to the program",
    ),
    ("FAILOVER", "would have another server take over"),
    ("INFO", "describes another server"),
    ("LASTSAVE", "tells when another server was started"),
    ("LATENCY DOCTOR", "speaks of another server"),
    ("LATENCY GRAPH", "shows how long another server took"),
    ("LATENCY HISTOGRAM", "shows how long another server took"),
    ("LATENCY HISTORY", "shows how long another server took"),
    ("LATENCY LATEST", "shows how long another server took"),
    ("LATENCY RESET", "belongs to the server, not to the program"),
    ("LOLWUT", "draws"),
    ("MEMORY DOCTOR", "speaks of another server"),
    ("MEMORY MALLOC-STATS", "speaks of another allocator"),
    ("MEMORY STATS", "describes another server"),
    ("MONITOR", "shows addresses and times, and never ends"),
    ("PSYNC", "makes the connection that of a replica"),
    ("REPLCONF", "makes the connection that of a replica"),
    ("REPLICAOF", "would have the server follow another one"),
    ("SAVE", "has the server write files"),
    ("SCRIPT DEBUG", "makes the connection that of a debugger"),
    ("SHUTDOWN", "ends the server"),
    ("SLAVEOF", "would have the server follow another one"),
    ("SLOWLOG GET", "shows how long another server took"),
    ("SLOWLOG LEN", "belongs to the server, not to the program"),
    ("SLOWLOG RESET", "belongs to the server, not to the program"),
    ("PFSELFTEST", "takes seconds"),
    ("PSUBSCRIBE", "answers more than once: transcripts"),
    ("PUNSUBSCRIBE", "answers more than once: transcripts"),
    ("QUIT", "ends the program"),
    ("SSUBSCRIBE", "answers more than once: transcripts"),
    ("SUBSCRIBE", "answers more than once: transcripts"),
    ("SUNSUBSCRIBE", "answers more than once: transcripts"),
    ("SYNC", "makes the connection that of a replica"),
    ("UNSUBSCRIBE", "answers more than once: transcripts"),
    ("WAIT", "waits for ever"),
    ("DELIFEQ", "is Valkey's"),
];

/// Commands of which nothing is left out, and to which nothing is added, each with the reason.
const NEVER_SPOILT: &[(&str, &str)] = &[
    (
        "XGROUP SETID",
        "an option that is given twice is refused when the group was found",
    ),
    (
        "SCAN",
        "a walk that does not say how far it goes may end anywhere",
    ),
    (
        "BITCOUNT",
        "refuses wrong words since Redis 7.2 even if there is no such key",
    ),
    (
        "BITPOS",
        "refuses wrong words since Redis 7.2 even if there is no such key",
    ),
    ("ZRANK", "takes a word more since Redis 7.2"),
    ("ZREVRANK", "takes a word more since Redis 7.2"),
    (
        "XREADGROUP",
        "makes a consumer since Redis 7.2 even if it gives it nothing",
    ),
    (
        "XCLAIM",
        "makes a consumer since Redis 7.2 even if it gives it nothing",
    ),
    (
        "XAUTOCLAIM",
        "makes a consumer since Redis 7.2 even if it gives it nothing",
    ),
];

/// Options that are newer than their command, so that a Redis of [`VERSION`] does not know them.
const NEWER: &[&str] = &[
    "WITHSCORE",
    "NOVALUES",
    "IFEQ",
    "IFNE",
    "IFDEQ",
    "IFDNE",
    "MAXAGE",
    "KEEPREF",
    "DELREF",
    "ACKED",
    "IDMP",
    "IDMPAUTO",
    "CLAIM",
    "DIFF",
    "DIFF1",
    "ANDOR",
    "ONE",
    "BYPOLYGON",
];

/// Scripts about the values that pass between Lua and commands. `KEYS[1]` is a string's key.
const SCRIPTS: &[&str] = &[
    "return redis.call(unpack(ARGV))",
    "return redis.call(unpack(ARGV))",
    "return redis.pcall(unpack(ARGV))",
    "local r = redis.pcall(unpack(ARGV)) return {type(r), r}",
    "local r = redis.pcall(unpack(ARGV)) if type(r) == 'table' then return {r.err or false, r.ok or false, #r} end return {type(r), tostring(r)}",
    "redis.setresp(3) return redis.call(unpack(ARGV))",
    "redis.setresp(3) local r = redis.pcall(unpack(ARGV)) if type(r) == 'table' then local names = {} for name in pairs(r) do if name ~= 'ignore_error_stats_update' then names[#names + 1] = tostring(name) end end table.sort(names) return names end return {type(r), tostring(r)}",
    "return {pcall(redis.call, unpack(ARGV))}",
    "local r = redis.pcall(unpack(ARGV)) return cjson.encode({type(r)})",
    "return {1, 2.9, -2.9, 'a', true, false, nil, 3}",
    "return {ok = 'fine'}",
    "return {err = 'MINE went wrong'}",
    "return redis.error_reply('MINE went wrong')",
    "return redis.error_reply('went wrong')",
    "return redis.status_reply('fine')",
    "return {double = 3.5}",
    "return {map = {a = 1}}",
    "return {set = {a = true}}",
    "return {big_number = '12345678901234567890'}",
    "return {verbatim_string = {string = 'text', format = 'txt'}}",
    "redis.setresp(3) return {true, false}",
    "redis.setresp(3) return nil",
    "redis.setresp(3) return true",
    "return -0.5",
    "return 9007199254740993",
    "return '1e308'",
    "return tostring(1e15)",
    "return tostring(0.1 + 0.2)",
    "return tonumber('0x10')",
    "return {}",
    "return {{}, {{}}}",
    "return ARGV",
    "return KEYS",
    "return #ARGV + #KEYS",
    "error('mine')",
    "error({err = 'MINE table'})",
    "return nonsense",
    "nonsense = 1",
    "return redis.call('NONSENSE')",
    "return redis.call()",
    "return redis.call('GET')",
    "return redis.call('GET', {})",
    "return redis.call('SET', 's1', 3.7)",
    "return redis.call('SET', 's1', 1e20)",
    "return redis.call('INCRBYFLOAT', 's1', 0.1)",
    "return redis.sha1hex('')",
    "return cjson.encode({1, 'a', {b = 2}})",
    "return cjson.decode('[1, 2.5, null, \"a\", {\"b\": true}]')[4]",
    "syntax error (",
    "return redis.call('SELECT', 1)",
    "return string.format('%q %d %s', 'a', 3, 'b')",
];

/// A generator of programs.
pub(super) struct Programs {
    rows: Vec<Row>,
}

/// A command with its syntax as a tree.
struct Row {
    command: &'static Command,
    family: &'static str,
    parts: Vec<Part>,
}

impl Programs {
    pub(super) fn new() -> Programs {
        let rows = commands()
            .filter(|(_, command)| is_in_version(command))
            .filter(|(_, command)| LEFT_OUT.iter().all(|(name, _)| *name != command.name))
            .map(|(family, command)| Row {
                command,
                family,
                parts: parts(command.syntax),
            });
        Programs {
            rows: rows.collect(),
        }
    }

    /// The program of a seed. The same seed gives the same program, but for times.
    pub(super) fn program(&self, seed: u64) -> Vec<Step> {
        let mut random = StdRng::seed_from_u64(seed);
        let families = [
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
        ];
        let theme = match random.random_bool(0.75) {
            true => families.choose(&mut random).copied(),
            false => None,
        };
        let mut writer = Writer {
            programs: self,
            random,
            theme,
            client: 0,
            steps: Vec::new(),
        };
        writer.write();
        writer.steps
    }
}

/// Whether a server of [`VERSION`] has the command.
fn is_in_version(command: &Command) -> bool {
    let mut numbers = command
        .since
        .split('.')
        .map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) <= VERSION
}

/// A program in the making.
struct Writer<'a> {
    programs: &'a Programs,
    random: StdRng,
    /// The family that most requests are of.
    theme: Option<&'static str>,
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
        for _ in 0..self.random.random_range(10..50) {
            self.client = usize::from(self.random.random_bool(0.2));
            match self.random.random_range(0..100) {
                0..6 => self.transaction(),
                6..14 => {
                    let script = self.script();
                    self.push(script);
                }
                14..16 => self.large_value(),
                _ => self.request(),
            }
        }
    }

    fn push(&mut self, words: Words) {
        self.steps.push(Step {
            client: self.client,
            words,
        });
    }

    /// A request, and what makes both sides equal again after a random choice.
    fn request(&mut self) {
        let (command, mut words) = self.command(|_| true);
        let may_be_spoilt = !NEVER_SPOILT.iter().any(|(name, _)| *name == command.name);
        let before = self.preparation(command, &words);
        before.into_iter().for_each(|words| self.push(words));
        if may_be_spoilt && self.random.random_bool(0.1) {
            self.spoil(&mut words);
        }
        let chosen_from = words.get(1).cloned().filter(|_| is_random_write(command));
        self.push(words);
        if let Some(key) = chosen_from {
            self.push(vec![b"DEL".to_vec(), key]);
        }
    }

    /// What has to come before a request so that both sides answer alike.
    fn preparation(&self, command: &Command, request: &Words) -> Vec<Words> {
        let request_words = || request.iter().cloned();
        match command.name {
            // A consumer that gets nothing is made only since Redis 7.2.
            "XCLAIM" | "XAUTOCLAIM" => {
                let names = request_words().skip(1).take(3);
                vec![
                    words("XGROUP CREATECONSUMER")
                        .into_iter()
                        .chain(names)
                        .collect(),
                ]
            }
            "XREADGROUP" => {
                let keys = request_words()
                    .skip_while(|word| word != b"STREAMS")
                    .skip(1);
                let maker = |key| {
                    vec![
                        b"XGROUP".to_vec(),
                        b"CREATECONSUMER".to_vec(),
                        key,
                        request[2].clone(),
                        request[3].clone(),
                    ]
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
        let is_fit = |row: &Row| {
            // Redis 7.0 has no script wait, later versions have it find nothing.
            let is_blocking = row.command.flags.has(Flags::BLOCKING);
            !is_random_write(row.command) && !is_blocking
        };
        let (command, request) = self.command(is_fit);
        let before = self.preparation(command, &request);
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
        // Where many are as far away as others, it is up to the server which of them are the first.
        if key.starts_with(b"g") {
            key[0] = b'z';
        }
        if name == "PFADD" {
            count *= 4;
            key = values::key(&mut self.random, "hyperloglog");
        }
        let start = self.random.random_range(-5..100);
        let mut words = vec![name.into(), key];
        for number in start..start + count {
            if matches!(name, "HSET" | "ZADD") {
                words.push((number % 7).to_string().into_bytes());
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
            6..8 => Some("generic"),
            _ => None,
        };
        let is_of_family = |row: &&Row| family.is_none_or(|family| row.family == family);
        let rows: Vec<&Row> = self
            .programs
            .rows
            .iter()
            .filter(|row| is_wanted(row))
            .filter(is_of_family)
            .collect();
        let row = rows
            .choose(&mut self.random)
            .expect("every family has commands");
        let family = match row.family {
            "generic" | "transactions" | "server" => self.theme.unwrap_or("generic"),
            family => family,
        };
        let words = Request::of(&mut self.random, row, family);
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

/// Whether the command changes what is chosen at random.
fn is_random_write(command: &Command) -> bool {
    command.name == "SPOP"
}

fn words(line: &str) -> Words {
    line.split(' ').map(Into::into).collect()
}

/// A request in the making.
struct Request<'a> {
    random: &'a mut StdRng,
    row: &'a Row,
    family: &'a str,
    words: Words,
    /// Where the number of keys stands, and how many keys there are so far.
    count_at: Option<usize>,
    keys: usize,
}

impl Request<'_> {
    fn of(random: &mut StdRng, row: &Row, family: &str) -> Words {
        let words = row.command.name.split(' ').map(Into::into).collect();
        let mut request = Request {
            random,
            row,
            family,
            words,
            count_at: None,
            keys: 0,
        };
        request.sequence(&row.parts);
        request.count_keys();
        request.fit_range();
        request.walk_to_the_end();
        request.decide_ties();
        request.log_in_first();
        request.words
    }

    /// Options stand in any order.
    fn sequence(&mut self, parts: &[Part]) {
        let mut parts: Vec<&Part> = parts.iter().collect();
        let is_option = |part: &&Part| matches!(part, Part::Optional(_));
        let after = parts
            .iter()
            .rposition(|part| !is_option(part))
            .map_or(0, |last| last + 1);
        parts[after..].shuffle(self.random);
        let mut token = None;
        for part in parts {
            self.part(part, token);
            token = match part {
                Part::Literal(word) => Some(word.as_str()),
                _ => None,
            };
        }
    }

    fn part(&mut self, part: &Part, token: Option<&str>) {
        match part {
            Part::Literal(word) => self.words.push(word.as_bytes().to_vec()),
            Part::Value(name) => self.value(name, token),
            Part::OneOf(choices) => self.choice(choices),
            Part::Optional(choices) if self.random.random_bool(0.35) => self.choice(choices),
            Part::Optional(_) => {}
            Part::Repeated(parts) => {
                for _ in 0..self.repetitions(parts) {
                    self.sequence(parts);
                }
            }
        }
    }

    fn choice(&mut self, choices: &[Vec<Part>]) {
        let is_known = |parts: &&Vec<Part>| !matches!(parts.first(), Some(Part::Literal(word)) if NEWER.contains(&word.as_str()));
        let known: Vec<_> = choices.iter().filter(is_known).collect();
        if let Some(parts) = known.choose(self.random) {
            self.sequence(parts);
        }
    }

    fn value(&mut self, name: &str, token: Option<&str>) {
        match name {
            "numkeys" => self.count_at = Some(self.words.len()),
            "key" => self.keys += 1,
            _ => {}
        }
        let place = Place {
            command: self.row.command.name,
            family: self.family,
            name,
            token,
        };
        self.words.push(values::value(self.random, &place));
    }

    /// As many ids as streams and as many weights as keys, mostly.
    fn repetitions(&mut self, parts: &[Part]) -> usize {
        let follows_keys = matches!(parts, [Part::Value(name)] if name == "id" && self.row.command.name.starts_with("XREAD") || name == "weight");
        match self.random.random_range(0..20) {
            0..19 if follows_keys => self.keys.saturating_sub(1),
            0..10 => 0,
            10..15 => 1,
            15..18 => 2,
            _ => 5,
        }
    }

    fn count_keys(&mut self) {
        if let Some(at) = self.count_at {
            let is_right = self.random.random_bool(0.93);
            let count = match is_right {
                true => self.keys.to_string().into_bytes(),
                false => values::one_of(self.random, &["0", "-1", "1", "5", "abc"]),
            };
            self.words[at] = count;
        }
    }

    fn walk_to_the_end(&mut self) {
        let is_walk = self.row.command.name.ends_with("SCAN");
        if is_walk && !self.words.iter().any(|word| word == b"COUNT") {
            self.words.extend([b"COUNT".to_vec(), b"5000".to_vec()]);
        }
    }

    /// Elements whose weights are equal texts come in any order.
    fn decide_ties(&mut self) {
        let is_sort = self.row.command.name.starts_with("SORT");
        if is_sort && self.words.iter().any(|word| word == b"BY") {
            self.words.retain(|word| word != b"ALPHA");
        }
    }

    /// A refused `AUTH` leaves what stands before it done in Redis 7.0.
    fn log_in_first(&mut self) {
        let is_auth = |word: &Vec<u8>| word == b"AUTH";
        if self.row.command.name == "HELLO" {
            let end = self.words.iter().skip(3).position(is_auth);
            self.words.truncate(end.map_or(usize::MAX, |at| at + 3));
        }
    }

    /// Gives `ZRANGE` the bounds of its kind of range.
    fn fit_range(&mut self) {
        let at = match self.row.command.name {
            "ZRANGE" => 2,
            "ZRANGESTORE" => 3,
            _ => return,
        };
        let has = |word: &[u8]| self.words.iter().any(|other| other == word);
        let name = match (has(b"BYSCORE"), has(b"BYLEX")) {
            (true, false) => "ZCOUNT",
            (false, true) => "ZLEXCOUNT",
            _ => return,
        };
        for word in self.words.iter_mut().skip(at).take(2) {
            let place = Place {
                command: name,
                family: self.family,
                name: "min",
                token: None,
            };
            *word = values::value(self.random, &place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_program_of_known_commands() {
        let programs = Programs::new();
        assert!(programs.rows.len() > 150);
        let lengths = |seed| {
            programs
                .program(seed)
                .iter()
                .map(|step| step.words.len())
                .collect::<Vec<_>>()
        };
        assert_eq!(lengths(7), lengths(7));
        assert_ne!(lengths(7), lengths(8));
    }

    #[test]
    fn what_is_left_out_is_in_the_table() {
        for (name, _) in LEFT_OUT {
            assert!(
                commands().any(|(_, command)| command.name == *name),
                "{name}"
            );
        }
    }
}
