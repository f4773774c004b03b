//! A request, made from the syntax of its row.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::{Part, Place, Row, Words, values};
use crate::differential::parameters;

/// A request in the making.
pub(super) struct Request<'a> {
    random: &'a mut StdRng,
    row: &'a Row,
    family: &'a str,
    words: Words,
    /// The number that stands for how many keys, fields, ids or places follow.
    count: Option<Count>,
    keys: usize,
}

/// A number in a request that says how often something follows.
struct Count {
    /// Where it stands.
    at: usize,
    /// What is counted.
    name: &'static str,
    /// How many there are so far.
    so_far: usize,
}

/// The numbers in the syntax of rows, and what they count.
const COUNTS: &[(&str, &str)] = &[
    ("numkeys", "key"),
    ("numfields", "field"),
    ("numids", "id"),
    ("num-vertices", "longitude"),
];

impl Request<'_> {
    pub(super) fn of(random: &mut StdRng, row: &Row, family: &str) -> Words {
        let words = row.command.name.split(' ').map(Into::into).collect();
        let mut request = Request {
            random,
            row,
            family,
            words,
            count: None,
            keys: 0,
        };
        request.sequence(&row.parts);
        request.set_count();
        request.fit_range();
        request.walk_to_the_end();
        request.decide_ties();
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
        if let Some(parts) = choices.choose(self.random) {
            self.sequence(parts);
        }
    }

    fn value(&mut self, name: &str, token: Option<&str>) {
        self.keys += usize::from(name == "key");
        if let Some((_, counted)) = COUNTS.iter().find(|(count, _)| *count == name) {
            self.count = Some(Count {
                at: self.words.len(),
                name: counted,
                so_far: 0,
            });
        }
        if let Some(count) = self.count.as_mut().filter(|count| count.name == name) {
            count.so_far += 1;
        }
        let place = Place {
            command: self.row.command.name,
            family: self.family,
            name,
            token,
        };
        let value = match (self.row.command.name, name, self.words.last()) {
            ("CONFIG SET", "value", Some(parameter)) => parameters::value(self.random, parameter),
            _ => values::value(self.random, &place),
        };
        self.words.push(value);
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

    /// Mostly it is right.
    fn set_count(&mut self) {
        if let Some(count) = &self.count {
            self.words[count.at] = match self.random.random_bool(0.93) {
                true => count.so_far.to_string().into_bytes(),
                false => values::one_of(self.random, &["0", "-1", "1", "5", "abc"]),
            };
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
