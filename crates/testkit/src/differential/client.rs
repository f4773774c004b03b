//! A connection to each side.

use std::collections::HashSet;
use std::time::Duration;

use larder_resp::Frame;

use super::compare::Freedom;
use super::difference::Difference;
use super::events::Told;
use super::meant::{
    exchanged_members, is_newer_refusal, is_taken_by_valkey, is_torn, is_unsorted_by_valkey,
    is_written_by_valkey,
};
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
    /// Whether it has waited for the entries of a group.
    pub(super) has_waited_in_group: bool,
    /// The words of requests that have read streams when a wait ended, among them their keys.
    read_late: HashSet<Vec<u8>>,
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
            has_waited_in_group: false,
            read_late: HashSet::new(),
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
                let last = self.queue.last();
                let reads_group = last.is_some_and(|words| is(words, "XREADGROUP"));
                self.is_waiting = !self.is_answered;
                self.has_waited_in_group |= self.is_waiting && reads_group;
                return None;
            }
            let words = self.queue.last().cloned().unwrap_or_default();
            if self.is_waiting && is(&words, "XREAD") {
                self.read_late.extend(words.iter().cloned());
            }
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

    /// Whether the last request, or the transaction that it has executed, lets databases take each other's places.
    pub(super) fn swaps_databases(&self) -> bool {
        let swaps = |words: &Words| is(words, "SWAPDB");
        match self.queue.last() {
            Some(last) if is(last, "EXEC") => self.queue.iter().any(swaps),
            last => last.is_some_and(swaps),
        }
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
            (Arrived::Bytes(ours), Arrived::Bytes(theirs)) => {
                freedom.allows(ours, theirs) && !self.is_last(words, ours, theirs)
            }
            (ours, theirs) => ours == theirs,
        };
        if is_same {
            return None;
        }
        let is_meant =
            self.is_meant(words, ours, &theirs) || self.are_in_one_place(words, ours, &theirs);
        Some(Difference::between(words, ours, &theirs, is_meant))
    }

    /// Whether the answers about what is near name others that are in the same place: which of those are the
    /// first is up to the server, where it does not sort all that it has found.
    fn are_in_one_place(&mut self, words: &Words, ours: &Arrived, theirs: &Arrived) -> bool {
        let searches = [
            "GEORADIUS",
            "GEORADIUS_RO",
            "GEORADIUSBYMEMBER",
            "GEORADIUSBYMEMBER_RO",
            "GEOSEARCH",
        ];
        let (Arrived::Bytes(ours), Arrived::Bytes(theirs)) = (ours, theirs) else {
            return false;
        };
        let is_cut = searches.iter().any(|name| is(words, name)) && has_any(words, &["COUNT"]);
        match exchanged_members(ours, theirs) {
            Some(pairs) if is_cut && !pairs.is_empty() => pairs.iter().all(|[ours, theirs]| {
                let mut place = |member: &[u8]| {
                    self.ours
                        .send(&[b"GEOPOS".to_vec(), words[1].clone(), member.to_vec()]);
                    self.ours.receive_bytes(Duration::ZERO)
                };
                place(ours) == place(theirs)
            }),
            _ => false,
        }
    }

    /// Whether nothing can be compared behind these two answers of a transaction, even where they may be
    /// different: the server has not sent all of its own, or has done what the engine has refused.
    fn is_last(&self, words: &Words, ours: &[u8], theirs: &[u8]) -> bool {
        let is_done = || ours != theirs && is_newer_refusal(self.kind, ours);
        is(words, "EXEC") && (is_torn(self.kind, ours, theirs) || is_done())
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
            (Arrived::Bytes(ours), Arrived::Bytes(theirs)) if self.is_last(words, ours, theirs) => {
                true
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
        is_newer_refusal(self.kind, ours) || self.is_waiting && looks_again
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
            || is_unsorted_by_valkey(ours, theirs)
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
        // Before Redis 7.2 who reads a stream when a wait ends is not told of its next change.
        if self.kind == ServerKind::Redis {
            for side in [&mut self.ours, &mut self.theirs] {
                side.pushed.retain(|told| !names_any(told, &self.read_late));
            }
        }
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

/// Whether what a client is told of changes names one of these keys.
fn names_any(told: &[u8], keys: &HashSet<Vec<u8>>) -> bool {
    let Ok(Some((Frame::Push(parts), _))) = Frame::read(told) else {
        return false;
    };
    let is_one = |key: &Frame| matches!(key, Frame::Bulk(key) if keys.contains(key));
    matches!(parts.last(), Some(Frame::Array(changed)) if changed.iter().any(is_one))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_is_told_names_keys() {
        let told = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$2\r\nx2\r\n";
        let keys = |key: &str| HashSet::from([key.as_bytes().to_vec()]);
        assert!(names_any(told, &keys("x2")));
        assert!(!names_any(told, &keys("x1")));
        assert!(!names_any(b">2\r\n$10\r\ninvalidate\r\n_\r\n", &keys("x2")));
    }
}
