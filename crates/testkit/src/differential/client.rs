//! A connection to each side.

use std::time::Duration;

use larder_resp::Frame;

use super::compare::Freedom;
use super::difference::Difference;
use super::events::Told;
use super::meant::{is_newer_refusal, is_taken_by_valkey, is_written_by_valkey};
use super::named::{has_any, is};
use super::next::{PATIENCE, frame};
use super::values;
use super::{Step, Words};
use crate::server::ServerKind;
use crate::transcript::target::{Arrived, Connection};

/// The word in a request for the number of a connection of the program, which is another on each side.
pub(super) fn name(client: usize) -> Vec<u8> {
    format!("<client-{client}>").into_bytes()
}

/// What Valkey says in a transaction, and then refuses to execute it.
const NO_TRANSACTION: &[&[u8]] = &[
    b"-ERR Command 'multi' not allowed inside a transaction\r\n",
    b"-ERR Command 'watch' not allowed inside a transaction\r\n",
];

/// A connection to each side.
pub(super) struct Client {
    pub(super) ours: Told,
    pub(super) theirs: Told,
    /// The number of the connection on each side.
    pub(super) ids: [String; 2],
    /// What DUMP has answered last, on each side.
    dumped: [Vec<u8>; 2],
    /// Whose server the other side is.
    pub(super) kind: ServerKind,
    /// What was sent since MULTI: EXEC answers for all of it.
    queue: Vec<Words>,
    /// Whether the last request has an answer.
    is_answered: bool,
    /// Whether the engine has not answered the last request with an error.
    pub(super) is_content: bool,
    /// Whether the last request waits for others.
    pub(super) is_waiting: bool,
    /// Whether both sides have closed the connection.
    pub(super) is_closed: bool,
    /// Whether LTRIM is used, which in Valkey changes a list only where it takes something away.
    pub(super) trims: bool,
}

impl Client {
    pub(super) fn new(
        ours: Box<dyn Connection>,
        theirs: Box<dyn Connection>,
        kind: ServerKind,
    ) -> Client {
        let mut client = Client {
            ours: Told::new(ours),
            theirs: Told::new(theirs),
            ids: Default::default(),
            dumped: Default::default(),
            kind,
            queue: Vec::new(),
            is_answered: true,
            is_content: true,
            is_waiting: false,
            is_closed: false,
            trims: false,
        };
        client.ids = client.ask(&[b"CLIENT", b"ID"]);
        client
    }

    /// Sends requests to the server, in which its numbers of connections stand for their names.
    pub(super) fn send_to_theirs(&mut self, steps: &[Step], ids: &[[String; 2]]) {
        let requests = steps.iter().map(|step| self.words_for(1, &step.words, ids));
        let requests: Vec<Words> = requests.collect();
        self.theirs.send_all(&requests);
    }

    /// Sends a request to the engine, which the server has been sent.
    pub(super) fn send_to_ours(&mut self, words: &Words, ids: &[[String; 2]]) {
        let is_begun = self.queue.iter().any(|words| is(words, "MULTI"));
        if self.queue.last().is_some_and(ends_transaction) || is(words, "MULTI") && !is_begun {
            self.queue.clear();
        }
        self.ours.send(&self.words_for(0, words, ids));
        self.queue.push(words.clone());
        (self.is_answered, self.is_content) = (false, true);
    }

    /// What a side is sent: with its own numbers of connections and what it has dumped.
    fn words_for(&self, side: usize, words: &Words, ids: &[[String; 2]]) -> Words {
        let number = |word: &Vec<u8>| ids.iter().enumerate().find(|(at, _)| name(*at) == *word);
        let word = |word: &Vec<u8>| match number(word) {
            Some((_, ids)) => ids[side].clone().into_bytes(),
            None if word == values::DUMP => self.dumped[side].clone(),
            None if word == values::THEIR_DUMP => self.dumped[1].clone(),
            None => word.clone(),
        };
        words.iter().map(word).collect()
    }

    /// Compares all answers that the engine has given to the next ones of the server.
    pub(super) fn answers(&mut self) -> Option<Difference> {
        loop {
            if self.is_closed {
                return None;
            }
            let ours = self.ours.receive_bytes(Duration::ZERO);
            if ours == Arrived::Nothing {
                self.is_waiting = !self.is_answered;
                return None;
            }
            let words = self.queue.last().cloned().unwrap_or_default();
            let freedom = match is(&words, "EXEC") {
                true => Freedom::of(self.kind, &self.queue),
                false => Freedom::of(self.kind, [&words]),
            };
            let difference = self.compare(&words, freedom, &ours);
            (self.is_answered, self.is_waiting) = (true, false);
            self.is_content &= !matches!(&ours, Arrived::Bytes(bytes) if bytes.starts_with(b"-"));
            if ours == Arrived::Closed {
                self.is_closed = true;
                // Whoever is closed waits for nothing.
                self.ours.close();
            }
            if difference.is_some() {
                return difference;
            }
        }
    }

    /// Compares what the server has sent beyond the answers of the engine: nothing may be left. It is
    /// called when all that the server sends for the last request has come.
    pub(super) fn rest(&mut self) -> Option<Difference> {
        let last = self.queue.last().cloned().unwrap_or_default();
        let theirs = match self.is_closed {
            true => Arrived::Nothing,
            false => self.theirs.take(),
        };
        if theirs != Arrived::Nothing {
            let last = if last.is_empty() {
                vec![Vec::new()]
            } else {
                last
            };
            let ends_itself = is(&last, "EXEC") && self.queue.iter().any(kills);
            let is_meant = ends_itself || self.is_meant_beyond(&last);
            let ours = Arrived::Nothing;
            return Some(Difference::between(&last, &ours, &theirs, is_meant));
        }
        let messages =
            [&mut self.ours, &mut self.theirs].map(|side| std::mem::take(&mut side.messages));
        let difference = Difference::in_what_was_told("messages", &messages[0], &messages[1]);
        // Who is closed may be told more or less before.
        difference.filter(|_| !self.is_closed)
    }

    /// Whether the server sends more than there is to say.
    fn is_meant_beyond(&self, last: &Words) -> bool {
        // Redis refuses prefixes of which one begins another, and goes on.
        let tracks = is(last, "CLIENT") && has_any(last, &["PREFIX"]);
        if self.kind != ServerKind::Redis {
            return tracks && !self.is_content;
        }
        // It answers with no entries where a stream without any took another's place, or is trimmed to none.
        let reads = is(last, "XREAD") || is(last, "XREADGROUP");
        // Before 7.2 who publishes to itself in a transaction is told in the midst of the answer.
        let publishes = |words: &Words| {
            let names = ["PUBLISH", "SPUBLISH", "EVAL"];
            names.iter().any(|name| is(words, name))
        };
        if is(last, "EXEC") && self.queue.iter().any(publishes) {
            return true;
        }
        reads && self.is_waiting || tracks && !self.is_content
    }

    /// Compares an answer of the engine to the next one of the server.
    pub(super) fn compare(
        &mut self,
        words: &Words,
        freedom: Freedom,
        ours: &Arrived,
    ) -> Option<Difference> {
        let theirs = self.theirs.receive_bytes(PATIENCE);
        if has_any(&words[..words.len().min(2)], &["DUMP"]) {
            self.dumped = [ours, &theirs].map(bulk);
        }
        let is_same = match (ours, &theirs) {
            (Arrived::Bytes(ours), Arrived::Bytes(theirs)) => freedom.allows(ours, theirs),
            (ours, theirs) => ours == theirs,
        };
        (!is_same)
            .then(|| Difference::between(words, ours, &theirs, self.is_meant(words, ours, &theirs)))
    }

    /// Whether Larder means to answer this where the other side answers that.
    fn is_meant(&self, words: &Words, ours: &Arrived, theirs: &Arrived) -> bool {
        match (ours, theirs) {
            // Who ends its own connection in a transaction is not answered to the end.
            _ if is(words, "EXEC") && self.queue.iter().any(kills) => true,
            // Whoever waits for a key is served as well when it held a value of another type before.
            // In Redis the next change of the key serves them.
            (Arrived::Bytes(ours), Arrived::Nothing) => {
                self.is_waiting || is_newer_refusal(self.kind, ours)
            }
            (Arrived::Bytes(ours), Arrived::Bytes(theirs)) => match self.kind {
                ServerKind::Redis => self.is_meant_of_old(words, ours, theirs),
                ServerKind::Redis8 => false,
                ServerKind::Valkey => self.is_meant_of_valkey(words, ours, theirs),
            },
            _ => false,
        }
    }

    /// The same of two answers, where the other side is a Redis 7.0.
    fn is_meant_of_old(&self, words: &Words, ours: &[u8], theirs: &[u8]) -> bool {
        // Redis looks at no key of a request of which it can't read the number of keys.
        if ours.starts_with(b"-NOPERM") && theirs.starts_with(b"-ERR") {
            return true;
        }
        // A wait that ends looks at all of its keys again, as since Redis 7.2.
        let looks_again =
            ours.starts_with(b"-WRONGTYPE") || is(words, "XREAD") || has_many_keys(words);
        // Before 7.2 who publishes to itself in a transaction is told in the midst of the answer.
        let is_torn = theirs.windows(9).any(|part| part == b"message\r\n");
        is_newer_refusal(self.kind, ours)
            || is(words, "EXEC") && is_torn
            || self.is_waiting && looks_again
    }

    /// The same of two answers, where the other side is a Valkey.
    fn is_meant_of_valkey(&self, words: &Words, ours: &[u8], theirs: &[u8]) -> bool {
        let last = self.queue.len().saturating_sub(1);
        let asked = match is(words, "EXEC") {
            true => &self.queue[..],
            false => &self.queue[last..],
        };
        // In a wide polygon Valkey does not look everywhere.
        let looks_around = |words: &Words| has_any(words, &["BYPOLYGON"]);
        let is_trimmed = self.trims && is(words, "EXEC") && is_nothing(ours);
        is_trimmed
            || NO_TRANSACTION.contains(&theirs)
            || is_taken_by_valkey(asked, ours)
            || is_written_by_valkey(asked, ours, theirs)
            || asked.iter().any(looks_around)
    }

    /// Ends a wait that nothing has ended, if the connection waits on both sides.
    pub(super) fn unblock(&mut self, control: &mut Client) -> Option<Difference> {
        if !self.is_waiting || self.is_closed {
            return None;
        }
        let words = ["CLIENT".into(), "UNBLOCK".into(), name(0)].to_vec();
        let ids = std::slice::from_ref(&self.ids);
        let step = Step { client: 0, words };
        control.send_to_theirs(std::slice::from_ref(&step), ids);
        control.send_to_ours(&step.words, ids);
        control.answers().or_else(|| self.answers())
    }

    /// Compares what was pushed to the client since it began.
    pub(super) fn told(&mut self) -> Option<Difference> {
        if self.is_closed {
            return None;
        }
        // The answer comes behind all that has been pushed before.
        self.ask(&[b"PING"]);
        while self.ours.receive_bytes(Duration::ZERO) != Arrived::Nothing {}
        Difference::in_what_was_told("told", &self.ours.pushed, &self.theirs.pushed)
    }

    /// Asks both sides for a number or a status.
    pub(super) fn ask(&mut self, words: &[&[u8]]) -> [String; 2] {
        let words: Words = words.iter().map(|word| word.to_vec()).collect();
        self.ours.send(&words);
        self.theirs.send(&words);
        [&mut self.ours, &mut self.theirs].map(|side| match frame(side) {
            Some(Frame::Integer(number)) => number.to_string(),
            Some(Frame::Status(text)) => text,
            _ => String::new(),
        })
    }
}

/// Whether a transaction was not executed.
fn is_nothing(answer: &[u8]) -> bool {
    [&b"*-1\r\n"[..], b"_\r\n"].contains(&answer)
}

/// The bytes of an answer that is a text.
fn bulk(answer: &Arrived) -> Vec<u8> {
    match answer {
        Arrived::Bytes(bytes) => match Frame::read(bytes) {
            Ok(Some((Frame::Bulk(bytes), _))) => bytes,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Whether the request ends connections.
fn kills(words: &Words) -> bool {
    is(words, "CLIENT")
        && words
            .get(1)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"KILL"))
}

/// Whether what was queued is over with this request.
fn ends_transaction(words: &Words) -> bool {
    ["EXEC", "DISCARD", "RESET"]
        .iter()
        .any(|name| is(words, name))
}

/// Whether the request waits for one of several keys.
fn has_many_keys(words: &Words) -> bool {
    let names = ["BLPOP", "BRPOP", "BZPOPMIN", "BZPOPMAX"];
    let counted = ["BLMPOP", "BZMPOP"].iter().any(|name| is(words, name));
    match counted {
        true => words.get(2).is_some_and(|count| count != b"1"),
        false => words.len() > 3 && names.iter().any(|name| is(words, name)),
    }
}
