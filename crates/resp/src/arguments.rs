//! The words of a request, as spans of one buffer.

use std::fmt;
use std::ops::RangeFrom;

use arrayvec::ArrayVec;

/// Where a word stands in a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The bytes from `start` up to `end`, or `None` if they are out of order or lie beyond 4 GiB.
    pub fn new(start: usize, end: usize) -> Option<Span> {
        let span = Span {
            start: start.try_into().ok()?,
            end: end.try_into().ok()?,
        };
        (start <= end).then_some(span)
    }

    /// Where the word ends.
    #[inline]
    pub(crate) fn end(self) -> usize {
        self.end as usize
    }

    #[inline]
    fn of(self, bytes: &[u8]) -> &[u8] {
        // A span that lies outside of its buffer is an empty word, never a panic.
        bytes
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

/// The words of a request, the name first. Copying it copies no word.
#[derive(Clone, Copy)]
pub struct Arguments<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Arguments<'a> {
    /// The words of `bytes` that stand at `spans`.
    pub fn new(bytes: &'a [u8], spans: &'a [Span]) -> Arguments<'a> {
        Arguments { bytes, spans }
    }

    /// How many words there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// How many bytes lie from the beginning of the first word to the end of the last. O(1).
    #[inline]
    pub fn extent(&self) -> usize {
        match (self.spans.first(), self.spans.last()) {
            (Some(first), Some(last)) => last.end().saturating_sub(first.start as usize),
            _ => 0,
        }
    }

    /// Whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The word at this place; the name is at place 0.
    #[inline]
    pub fn get(&self, place: usize) -> Option<&'a [u8]> {
        self.spans.get(place).map(|span| span.of(self.bytes))
    }

    /// The words at these places. Places beyond the end are left out.
    pub fn slice(&self, places: impl Into<Places>) -> Arguments<'a> {
        let Places { start, end } = places.into();
        let end = end.min(self.spans.len());
        Arguments {
            bytes: self.bytes,
            spans: self.spans.get(start..end).unwrap_or_default(),
        }
    }

    /// The words in order.
    pub fn iter(
        &self,
    ) -> impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator + Clone + use<'a> {
        let bytes = self.bytes;
        self.spans.iter().map(move |span| span.of(bytes))
    }
}

impl fmt::Debug for Arguments<'_> {
    /// Shows the name and how many words there are: values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = String::from_utf8_lossy(self.get(0).unwrap_or_default()).into_owned();
        f.debug_struct("Arguments")
            .field("name", &name)
            .field("len", &self.len())
            .finish()
    }
}

/// A range of places in a request.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    start: usize,
    end: usize,
}

impl From<std::ops::Range<usize>> for Places {
    fn from(range: std::ops::Range<usize>) -> Places {
        Places {
            start: range.start,
            end: range.end,
        }
    }
}

impl From<RangeFrom<usize>> for Places {
    fn from(range: RangeFrom<usize>) -> Places {
        Places {
            start: range.start,
            end: usize::MAX,
        }
    }
}

/// A request that is put together word by word. A small one takes no allocation.
#[derive(Clone)]
pub struct ArgumentBuffer {
    words: Words,
}

#[derive(Clone)]
enum Words {
    Few {
        bytes: ArrayVec<u8, 128>,
        spans: ArrayVec<Span, 8>,
    },
    Many {
        bytes: Vec<u8>,
        spans: Vec<Span>,
    },
}

impl Default for ArgumentBuffer {
    fn default() -> ArgumentBuffer {
        ArgumentBuffer::new()
    }
}

impl ArgumentBuffer {
    /// A request without words.
    #[inline]
    pub fn new() -> ArgumentBuffer {
        ArgumentBuffer {
            words: Words::Few {
                bytes: ArrayVec::new(),
                spans: ArrayVec::new(),
            },
        }
    }

    /// A request without words, with room for so many words and bytes.
    pub fn with_capacity(words: usize, bytes: usize) -> ArgumentBuffer {
        let mut buffer = ArgumentBuffer::new();
        if let Words::Few {
            bytes: few_bytes,
            spans,
        } = &buffer.words
            && (words > spans.capacity() || bytes > few_bytes.capacity())
        {
            buffer.words = Words::Many {
                bytes: Vec::with_capacity(bytes),
                spans: Vec::with_capacity(words),
            };
        }
        buffer
    }

    /// Adds a word.
    ///
    /// # Panics
    ///
    /// When the words together are longer than 4 GiB.
    #[inline]
    pub fn push(&mut self, word: &[u8]) {
        if let Words::Few { bytes, spans } = &mut self.words
            && !spans.is_full()
            && bytes.try_extend_from_slice(word).is_ok()
        {
            let end = bytes.len() as u32;
            let start = end - word.len() as u32;
            spans.push(Span { start, end });
            return;
        }
        self.push_among_many(word);
    }

    #[inline(never)]
    fn push_among_many(&mut self, word: &[u8]) {
        if let Words::Few { bytes, spans } = &self.words {
            // As a vector would grow, and with the word that comes.
            let (words, len) = (2 * spans.len(), 2 * bytes.len() + word.len());
            let mut many = (Vec::with_capacity(len), Vec::with_capacity(words));
            many.0.extend_from_slice(bytes);
            many.1.extend_from_slice(spans);
            self.words = Words::Many {
                bytes: many.0,
                spans: many.1,
            };
        }
        if let Words::Many { bytes, spans } = &mut self.words {
            let start = bytes.len();
            bytes.extend_from_slice(word);
            let span = Span::new(start, bytes.len());
            spans.push(span.expect("a request is shorter than 4 GiB"));
        }
    }

    /// Takes all words out.
    pub fn clear(&mut self) {
        match &mut self.words {
            Words::Few { bytes, spans } => {
                bytes.clear();
                spans.clear();
            }
            Words::Many { bytes, spans } => {
                bytes.clear();
                spans.clear();
            }
        }
    }

    /// The words.
    #[inline]
    pub fn as_arguments(&self) -> Arguments<'_> {
        match &self.words {
            Words::Few { bytes, spans } => Arguments::new(bytes, spans),
            Words::Many { bytes, spans } => Arguments::new(bytes, spans),
        }
    }
}

impl fmt::Debug for ArgumentBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_arguments().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_were_pushed() {
        let mut buffer = ArgumentBuffer::new();
        for word in [
            "SET",
            "",
            "long enough to leave the place that needs no allocation"
                .repeat(4)
                .as_str(),
        ] {
            buffer.push(word.as_bytes());
        }
        let words = buffer.as_arguments();
        assert_eq!(
            (words.len(), words.get(0), words.get(1)),
            (3, Some(&b"SET"[..]), Some(&b""[..]))
        );
        assert_eq!(words.slice(1..).iter().next(), Some(&b""[..]));
        assert_eq!(words.slice(5..9).len(), 0);
        assert_eq!(words.get(3), None);
    }
}
