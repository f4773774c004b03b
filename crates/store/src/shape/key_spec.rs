//! Where the keys of a request stand.

use std::iter::{Chain, StepBy};
use std::ops::Range;
use std::option;

use larder_resp::Arguments;

/// Where the keys stand among the words of a request. The name is word 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySpec {
    /// It has none.
    None,
    /// The word after the name, or after the subcommand's name.
    First,
    /// The first two words after the name.
    FirstTwo,
    /// The third word after the name, and all words after the word `KEYS`: `MIGRATE`.
    ThirdAndKeys,
    /// All words after the name.
    All,
    /// Every second word after the name: `MSET`.
    EveryOther,
    /// All words after the name but the last: `BLPOP`.
    AllButLast,
    /// All words after the name but the first: `BITOP`.
    AllButFirst,
    /// So many words after a count, which stands at this word: `EVAL`, `ZUNION`.
    Counted(usize),
    /// The first of so many pairs of words after a count, which stands at this word: `MSETEX`.
    CountedPairs(usize),
    /// The first word after the name, and so many words after a count, which stands at this word:
    /// `ZUNIONSTORE`.
    FirstAndCounted(usize),
    /// The first half of the words after the word `STREAMS`: `XREAD`.
    Streams,
    /// The first word after the name, and the word after the option `STORE`, or `STOREDIST`; options
    /// begin at this word: `SORT`, `GEORADIUS`.
    FirstAndStore(usize),
}

/// The places of the keys of a request: what [`KeySpec::places`] gives.
pub type KeyPlaces = Chain<option::IntoIter<usize>, StepBy<Range<usize>>>;

impl KeySpec {
    /// The places at which the keys of a request stand, of which those beyond its end are none. A count
    /// that is no number, or too large, gives no keys: the command itself will be refused.
    ///
    /// `first` is the place of the first word after the command's name.
    pub fn places(self, arguments: Arguments<'_>, first: usize) -> KeyPlaces {
        let (head, others, step) = self.spread(arguments, first);
        head.into_iter().chain(others.step_by(step))
    }

    /// The place of a key that stands apart, and the places of the others with the step between them.
    fn spread(
        self,
        arguments: Arguments<'_>,
        first: usize,
    ) -> (Option<usize>, Range<usize>, usize) {
        let len = arguments.len();
        match self {
            KeySpec::None => (None, 0..0, 1),
            KeySpec::First => (Some(first), 0..0, 1),
            KeySpec::FirstTwo => (None, first..first + 2, 1),
            KeySpec::ThirdAndKeys => (Some(first + 2), behind_keys(arguments, first + 3), 1),
            KeySpec::All => (None, first..len, 1),
            KeySpec::EveryOther => (None, first..len, 2),
            KeySpec::AllButLast => (None, first..len.saturating_sub(1), 1),
            KeySpec::AllButFirst => (None, first + 1..len, 1),
            KeySpec::Counted(at) => (None, counted(arguments, at, 1), 1),
            KeySpec::CountedPairs(at) => (None, counted(arguments, at, 2), 2),
            KeySpec::FirstAndCounted(at) => (Some(first), counted(arguments, at, 1), 1),
            KeySpec::Streams => (None, streams(arguments, first), 1),
            KeySpec::FirstAndStore(from) => (Some(first), store(arguments, from), 1),
        }
    }

    /// Calls `visit` with each key of a request.
    #[inline]
    pub fn each<'a>(self, arguments: Arguments<'a>, first: usize, mut visit: impl FnMut(&'a [u8])) {
        if self == KeySpec::First {
            return arguments.get(first).into_iter().for_each(visit);
        }
        let (head, others, step) = self.spread(arguments, first);
        head.and_then(|at| arguments.get(at))
            .into_iter()
            .for_each(&mut visit);
        // By hand: this is done for every command with several keys, and an iterator in steps divides.
        let mut at = others.start;
        while at < others.end {
            arguments.get(at).into_iter().for_each(&mut visit);
            at += step;
        }
    }

    /// Whether a request that reads its keys can have read them: `XREAD` has none of them where it has
    /// not as many ids as streams, or an option that there is not.
    pub fn can_be_read(self, arguments: Arguments<'_>, first: usize) -> bool {
        self != KeySpec::Streams
            || find_streams(arguments, first).is_some_and(|(at, has_options_alone)| {
                has_options_alone && (arguments.len() - at) % 2 == 1
            })
    }

    /// The first key of a request.
    #[inline]
    pub fn first_key<'a>(self, arguments: Arguments<'a>, first: usize) -> Option<&'a [u8]> {
        match self {
            KeySpec::None => None,
            KeySpec::First => arguments.get(first),
            // The script or the function may be short of words, and is asked for its first key often.
            KeySpec::Counted(at) => {
                let count = arguments.get(at).and_then(count)?;
                arguments.get(at + 1).filter(|_| count > 0)
            }
            _ => arguments.get(self.places(arguments, first).next()?),
        }
    }
}

/// The places of so many groups of words as the count at a place says, if they are all there.
fn counted(arguments: Arguments<'_>, at: usize, group: usize) -> Range<usize> {
    let words = arguments.get(at).and_then(count);
    let end = words.and_then(|words| words.checked_mul(group)?.checked_add(at + 1));
    match end {
        Some(end) if end <= arguments.len() => at + 1..end,
        _ => 0..0,
    }
}

/// A count as Redis reads it: decimal, no sign, no leading zeros or spaces.
#[inline]
fn count(word: &[u8]) -> Option<usize> {
    if word.is_empty() || word.len() > 9 || (word[0] == b'0' && word.len() > 1) {
        return None;
    }
    word.iter().try_fold(0, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then(|| number * 10 + usize::from(digit))
    })
}

/// The places of the first half of the words behind `STREAMS`.
fn streams(arguments: Arguments<'_>, first: usize) -> Range<usize> {
    match find_streams(arguments, first) {
        Some((at, _)) => at + 1..at + 1 + (arguments.len() - at - 1) / 2,
        None => 0..0,
    }
}

/// The place of the word `STREAMS`, which a group or a consumer may have for its name too, and whether
/// all before it are options.
fn find_streams(arguments: Arguments<'_>, first: usize) -> Option<(usize, bool)> {
    let (mut at, mut has_options_alone) = (first, true);
    while let Some(word) = arguments.get(at) {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        at += match () {
            () if is("STREAMS") => return Some((at, has_options_alone)),
            () if is("GROUP") => 3,
            () if is("COUNT") || is("BLOCK") => 2,
            () => {
                has_options_alone &= is("NOACK");
                1
            }
        };
    }
    None
}

/// The place of the word behind the last `STORE` that is an option, from a place on: the words of
/// other options may be `STORE` too.
fn store(arguments: Arguments<'_>, from: usize) -> Range<usize> {
    let (mut at, mut store) = (from, 0..0);
    while let Some(word) = arguments.get(at) {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let left = arguments.len() - at - 1;
        at += match () {
            () if is("LIMIT") && left >= 2 => 3,
            () if (is("STORE") || is("STOREDIST")) && left >= 1 => {
                store = at + 1..at + 2;
                2
            }
            () if (is("BY") || is("GET")) && left >= 1 => 2,
            () => 1,
        };
    }
    store
}

/// The places behind the word `KEYS`, from a place on.
fn behind_keys(arguments: Arguments<'_>, from: usize) -> Range<usize> {
    let len = arguments.len();
    let is_keys = |at: &usize| {
        let word = arguments.get(*at);
        word.is_some_and(|word| word.eq_ignore_ascii_case(b"KEYS"))
    };
    (from..len).find(is_keys).map_or(0..0, |at| at + 1..len)
}
