//! Patterns of Lua 5.1, matched as its own library does (`lstrlib.c`, Lua 5.1.5), and counted: how
//! long a match takes grows beyond all bounds with few bytes of a pattern, and Lua's own can't be
//! interrupted.
//!
//! Nothing here knows of Lua's stack, and nothing has a destructor: errors of Lua may jump over it.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// How many captures a pattern may have.
const CAPTURES_MAX: usize = 32;

const ESCAPE: u8 = b'%';

/// Why a pattern can't be matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    EndsInEscape,
    NoEndOfSet,
    NoSetOfFrontier,
    Unbalanced,
    NothingToClose,
    NoSuchCapture,
    TooManyCaptures,
    Unclosed,
    /// Nobody waits for it any more.
    Ended,
}

/// How many steps a match may take until it asks whether it is to go on.
pub(super) struct Steps<'s> {
    pub(super) left: &'s AtomicU32,
    /// How many it gets then. Its answer is false if it is to end.
    pub(super) at_once: u32,
    pub(super) go_on: &'s dyn Fn() -> bool,
}

impl Steps<'_> {
    /// Takes some steps.
    #[inline]
    pub(super) fn take(&self, count: usize) -> Result<(), Fault> {
        match usize::try_from(self.left.load(Relaxed)) {
            Ok(left) if left > count => {
                self.left.store((left - count) as u32, Relaxed);
                Ok(())
            }
            _ => self.ask(),
        }
    }

    #[cold]
    fn ask(&self) -> Result<(), Fault> {
        self.left.store(self.at_once, Relaxed);
        match (self.go_on)() {
            true => Ok(()),
            false => Err(Fault::Ended),
        }
    }
}

/// A part of a text that a pattern captures.
#[derive(Clone, Copy)]
enum Capture {
    /// It has begun here.
    Open(usize),
    /// It is the place itself.
    Place(usize),
    Closed {
        start: usize,
        end: usize,
    },
}

/// What a capture is in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Captured<'t> {
    Text(&'t [u8]),
    /// How many bytes stand before it.
    Place(usize),
}

/// A pattern that is matched against a text.
pub(super) struct Matcher<'t, 's> {
    text: &'t [u8],
    /// Without a zero byte in it, at which it would end.
    pattern: &'t [u8],
    captures: [Capture; CAPTURES_MAX],
    count: usize,
    steps: Steps<'s>,
}

impl<'t, 's> Matcher<'t, 's> {
    pub(super) fn new(text: &'t [u8], pattern: &'t [u8], steps: Steps<'s>) -> Matcher<'t, 's> {
        Matcher {
            text,
            pattern: up_to_zero(pattern),
            captures: [Capture::Place(0); CAPTURES_MAX],
            count: 0,
            steps,
        }
    }

    /// Where a match ends that begins at this byte of the text, if there is one.
    pub(super) fn match_at(&mut self, start: usize) -> Result<Option<usize>, Fault> {
        self.count = 0;
        self.matches(start, 0)
    }

    /// How many captures the last match has.
    pub(super) fn captures(&self) -> usize {
        self.count
    }

    /// A capture of the last match, which went over this part of the text: the first is all of it
    /// if there are none.
    pub(super) fn capture(&self, index: usize, matched: &'t [u8]) -> Result<Captured<'t>, Fault> {
        if index >= self.count {
            return match index {
                0 => Ok(Captured::Text(matched)),
                _ => Err(Fault::NoSuchCapture),
            };
        }
        match self.captures[index] {
            Capture::Open(_) => Err(Fault::Unclosed),
            Capture::Place(place) => Ok(Captured::Place(place)),
            Capture::Closed { start, end } => Ok(Captured::Text(&self.text[start..end])),
        }
    }

    /// A byte of the pattern; zero behind its end.
    #[inline]
    fn item(&self, place: usize) -> u8 {
        self.pattern.get(place).copied().unwrap_or(0)
    }

    /// Where the rest of the pattern ends in the text that begins here, if it matches.
    ///
    /// It calls itself for what is captured or repeated alone, of which a pattern has few.
    fn matches(&mut self, mut at: usize, mut place: usize) -> Result<Option<usize>, Fault> {
        loop {
            self.steps.take(1)?;
            match (self.item(place), self.item(place + 1)) {
                (b'(', b')') => return self.begin_capture(Capture::Place(at), at, place + 2),
                (b'(', _) => return self.begin_capture(Capture::Open(at), at, place + 1),
                (b')', _) => return self.end_capture(at, place + 1),
                (0, _) => return Ok(Some(at)),
                (b'$', 0) => return Ok((at == self.text.len()).then_some(at)),
                (ESCAPE, b'b') => match self.balanced(at, place + 2)? {
                    None => return Ok(None),
                    Some(end) => (at, place) = (end, place + 4),
                },
                (ESCAPE, b'f') => match self.frontier(at, place + 2)? {
                    None => return Ok(None),
                    Some(end) => place = end,
                },
                (ESCAPE, digit @ b'0'..=b'9') => match self.again(at, digit)? {
                    None => return Ok(None),
                    Some(end) => (at, place) = (end, place + 2),
                },
                _ => {
                    let end = self.item_end(place)?;
                    let (item, rest) = (place..end, end + 1);
                    let is_one = self.matches_one(at, &item)?;
                    match self.item(end) {
                        b'*' => return self.most(at, &item, rest),
                        b'+' if is_one => return self.most(at + 1, &item, rest),
                        b'-' => return self.least(at, &item, rest),
                        b'?' => {
                            if is_one && let Some(end) = self.matches(at + 1, rest)? {
                                return Ok(Some(end));
                            }
                            place = rest;
                        }
                        _ if is_one => (at, place) = (at + 1, end),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    /// Where the item that begins here ends in the pattern.
    fn item_end(&self, place: usize) -> Result<usize, Fault> {
        match self.item(place) {
            ESCAPE if self.item(place + 1) == 0 => Err(Fault::EndsInEscape),
            ESCAPE => Ok(place + 2),
            b'[' => self.set_end(place),
            _ => Ok(place + 1),
        }
    }

    fn set_end(&self, begin: usize) -> Result<usize, Fault> {
        let mut place = begin + 1;
        if self.item(place) == b'^' {
            place += 1;
        }
        // A bracket that comes first is one of the set.
        loop {
            match (self.item(place), self.item(place + 1)) {
                (0, _) => return Err(Fault::NoEndOfSet),
                (ESCAPE, next) if next != 0 => place += 2,
                _ => place += 1,
            }
            if self.item(place) == b']' {
                self.steps.take((place - begin) / 8)?;
                return Ok(place + 1);
            }
        }
    }

    /// Whether the byte here is one that the item matches.
    #[inline]
    fn matches_one(&self, at: usize, item: &std::ops::Range<usize>) -> Result<bool, Fault> {
        let Some(&byte) = self.text.get(at) else {
            return Ok(false);
        };
        Ok(match self.item(item.start) {
            b'.' => true,
            ESCAPE => is_of_class(byte, self.item(item.start + 1)),
            b'[' => {
                self.steps.take(item.len() / 8)?;
                self.is_in_set(byte, item)
            }
            literal => literal == byte,
        })
    }

    /// Whether a set has this byte.
    fn is_in_set(&self, byte: u8, set: &std::ops::Range<usize>) -> bool {
        let last = set.end - 1;
        let is_negated = self.item(set.start + 1) == b'^';
        let mut place = set.start + 1 + usize::from(is_negated);
        while place < last {
            let item = self.item(place);
            let is_found = if item == ESCAPE {
                place += 1;
                is_of_class(byte, self.item(place))
            } else if self.item(place + 1) == b'-' && place + 2 < last {
                place += 2;
                (item..=self.item(place)).contains(&byte)
            } else {
                item == byte
            };
            if is_found {
                return !is_negated;
            }
            place += 1;
        }
        is_negated
    }

    /// The item as often as it can be, and then the rest.
    fn most(
        &mut self,
        at: usize,
        item: &std::ops::Range<usize>,
        rest: usize,
    ) -> Result<Option<usize>, Fault> {
        let mut end = at;
        while self.matches_one(end, item)? {
            end += 1;
        }
        self.steps.take((end - at) / 4)?;
        for end in (at..=end).rev() {
            if let Some(end) = self.matches(end, rest)? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// The item as seldom as it can be, and then the rest.
    fn least(
        &mut self,
        mut at: usize,
        item: &std::ops::Range<usize>,
        rest: usize,
    ) -> Result<Option<usize>, Fault> {
        loop {
            if let Some(end) = self.matches(at, rest)? {
                return Ok(Some(end));
            }
            if !self.matches_one(at, item)? {
                return Ok(None);
            }
            at += 1;
        }
    }

    fn begin_capture(
        &mut self,
        capture: Capture,
        at: usize,
        rest: usize,
    ) -> Result<Option<usize>, Fault> {
        let place = self.captures.get_mut(self.count);
        *place.ok_or(Fault::TooManyCaptures)? = capture;
        self.count += 1;
        let end = self.matches(at, rest)?;
        if end.is_none() {
            self.count -= 1;
        }
        Ok(end)
    }

    fn end_capture(&mut self, at: usize, rest: usize) -> Result<Option<usize>, Fault> {
        let begun = &self.captures[..self.count];
        let last = begun.iter().rposition(|it| matches!(it, Capture::Open(_)));
        let last = last.ok_or(Fault::NothingToClose)?;
        let open = self.captures[last];
        let Capture::Open(start) = open else {
            return Err(Fault::NothingToClose);
        };
        self.captures[last] = Capture::Closed { start, end: at };
        let end = self.matches(at, rest)?;
        if end.is_none() {
            self.captures[last] = open;
        }
        Ok(end)
    }

    /// `%1`: what was captured, once more.
    fn again(&self, at: usize, digit: u8) -> Result<Option<usize>, Fault> {
        let index = usize::from(digit).checked_sub(usize::from(b'1'));
        let index = index.filter(|&index| index < self.count);
        match self.captures[index.ok_or(Fault::NoSuchCapture)?] {
            Capture::Open(_) => Err(Fault::NoSuchCapture),
            Capture::Place(_) => Ok(None),
            Capture::Closed { start, end } => {
                self.steps.take((end - start) / 16)?;
                let is_there = self.text[at..].starts_with(&self.text[start..end]);
                Ok(is_there.then_some(at + (end - start)))
            }
        }
    }

    /// `%b()`: from an opening byte to the one that closes it.
    fn balanced(&self, at: usize, place: usize) -> Result<Option<usize>, Fault> {
        let (opens, closes) = (self.item(place), self.item(place + 1));
        if opens == 0 || closes == 0 {
            return Err(Fault::Unbalanced);
        }
        if self.text.get(at) != Some(&opens) {
            return Ok(None);
        }
        let mut depth = 1;
        for (end, &byte) in self.text.iter().enumerate().skip(at + 1) {
            if byte == closes {
                depth -= 1;
                if depth == 0 {
                    self.steps.take((end - at) / 4)?;
                    return Ok(Some(end + 1));
                }
            } else if byte == opens {
                depth += 1;
            }
        }
        self.steps.take((self.text.len() - at) / 4)?;
        Ok(None)
    }

    /// `%f[set]`: where a set begins. Answers where it ends in the pattern.
    fn frontier(&self, at: usize, place: usize) -> Result<Option<usize>, Fault> {
        if self.item(place) != b'[' {
            return Err(Fault::NoSetOfFrontier);
        }
        let end = self.set_end(place)?;
        let byte_at = |at: usize| self.text.get(at).copied().unwrap_or(0);
        let before = at.checked_sub(1).map_or(0, byte_at);
        let set = place..end;
        let begins = !self.is_in_set(before, &set) && self.is_in_set(byte_at(at), &set);
        Ok(begins.then_some(end))
    }
}

/// A pattern ends where it has a zero byte, which is written `%z`.
pub(super) fn up_to_zero(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|&byte| byte == 0);
    &pattern[..end.unwrap_or(pattern.len())]
}

/// Whether a byte is of a class, which is named by a letter, or is the byte that is named.
fn is_of_class(byte: u8, class: u8) -> bool {
    let is_one = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return byte == class,
    };
    is_one == class.is_ascii_lowercase()
}
