//! What a connection has sent: bytes, and the requests found in them.
//!
//! ```text
//! bytes     [ answered | request | request | request | a part of one | free ]
//!                      ^ requests, with their words as spans          ^ read from the socket
//! ```

use larder_engine::{Engine, Foreseen};
use larder_resp::{Arguments, Decoded, Decoder, Limits, ProtocolError, Span};

/// How many bytes are read at once: Redis's `PROTO_IOBUF_LEN`.
const READ: usize = 16 * 1024;

/// How many bytes of a long word are read at once.
const READ_MAX: usize = 1024 * 1024;

/// How much room is kept while there is nothing in it.
const KEPT: usize = 64 * 1024;

/// How many requests are found before the first of them is run, so that the engine can look ahead
/// over their keys: as many as Valkey takes (`prefetch-batch-max-size`).
pub(crate) const AHEAD: usize = 16;

/// What a connection has sent, and what of it is not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    /// Where the bytes begin in which no request has been found.
    found: usize,
    decoder: Decoder,
    /// The words of all requests, and of the part of one behind them.
    words: Vec<Span>,
    /// Those that have been found. It is emptied when the last of them has been run.
    requests: Vec<Request>,
    /// How many of them have been run.
    run: usize,
    /// What is wrong behind the requests.
    error: Option<ProtocolError>,
    /// How many bytes the part of a request behind the requests lacks at least.
    missing: usize,
}

/// Where a request stands.
#[derive(Clone, Copy, Debug)]
struct Request {
    /// Its first byte.
    start: usize,
    /// Its first word and the one behind its last, among all words.
    words: (usize, usize),
    /// What the engine knows of it.
    foreseen: Foreseen,
}

impl Request {
    fn arguments<'a>(&self, bytes: &'a [u8], words: &'a [Span]) -> Arguments<'a> {
        let (start, end) = self.words;
        Arguments::new(
            bytes.get(self.start..).unwrap_or_default(),
            words.get(start..end).unwrap_or_default(),
        )
    }
}

impl Input {
    /// How many bytes of what is held have not been answered.
    pub(crate) fn unanswered(&self) -> usize {
        let first = self.requests.get(self.run);
        self.bytes.len() - first.map_or(self.found, |request| request.start)
    }

    /// How many bytes there is memory for.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity() + self.words.capacity() * size_of::<Span>()
    }

    /// Frees the memory, if nothing is in it.
    pub(crate) fn shrink(&mut self) {
        if self.unanswered() == 0 {
            *self = Input::default();
        }
    }

    /// Room to read into behind what is there: what is put there has been received.
    ///
    /// While a long word comes in, the room ends where the word does, and grows with what is there:
    /// so its bytes are not moved, and who announces a gigabyte and sends nothing takes no memory.
    pub(crate) fn room(&mut self) -> &mut Vec<u8> {
        self.forget_answered();
        let (len, free) = (self.bytes.len(), self.bytes.capacity() - self.bytes.len());
        let ends_a_long_word = len >= KEPT && free > 0 && free >= self.missing;
        if free < READ && !ends_a_long_word {
            let wanted = self.missing.clamp(READ, len.max(READ_MAX));
            match wanted >= len / 2 {
                true => self.bytes.reserve_exact(wanted),
                false => self.bytes.reserve(wanted),
            }
        }
        &mut self.bytes
    }

    /// Moves the part of a request to the front, where it may grow. It is moved only if it is not
    /// longer than what goes: so it does not matter how much waits behind it.
    fn forget_answered(&mut self) {
        let rest = self.bytes.len() - self.found;
        if !self.requests.is_empty() || rest > self.found {
            return;
        }
        if self.bytes.capacity() > KEPT && rest < KEPT {
            self.bytes = self.bytes[self.found..].to_vec();
        } else {
            self.bytes.drain(..self.found);
        }
        self.found = 0;
    }

    /// Finds requests, up to [`AHEAD`], in bytes that have been read; one at a time for a stranger,
    /// since it may change what he is. A request of more than so many bytes is not found, and neither
    /// is what comes behind it. Answers whether there are any.
    ///
    /// To be called when [`Input::next`] has answered that there is none.
    ///
    /// # Errors
    ///
    /// When what was sent is no request. Those before it are found first.
    #[inline]
    pub(crate) fn find(&mut self, limits: Limits, len_max: usize) -> Result<bool, ProtocolError> {
        self.decoder.set_limits(limits);
        let ahead = if limits.is_unauthenticated { 1 } else { AHEAD };
        while self.requests.len() < ahead && self.error.is_none() && self.found < self.bytes.len() {
            let first = self.requests.last().map_or(0, |last| last.words.1);
            let unread = &mut self.bytes[self.found..];
            match self.decoder.decode(unread, &mut self.words) {
                Ok(Decoded::Incomplete { missing }) => {
                    self.missing = missing;
                    break;
                }
                Ok(Decoded::Complete { consumed }) if consumed > len_max => {
                    self.missing = 0;
                    self.words.truncate(first);
                    break;
                }
                Ok(Decoded::Complete { consumed }) => {
                    let (start, words) = (self.found, (first, self.words.len()));
                    self.found += consumed;
                    self.missing = 0;
                    // A request without words asks for nothing.
                    if words.0 < words.1 {
                        let foreseen = Foreseen::default();
                        self.requests.push(Request {
                            start,
                            words,
                            foreseen,
                        });
                    }
                }
                Err(error) => self.error = Some(error),
            }
        }
        match self.error.filter(|_| self.requests.is_empty()) {
            Some(error) => Err(error),
            None => Ok(!self.requests.is_empty()),
        }
    }

    /// Has the engine foresee the requests that have been found.
    pub(crate) fn foresee(&mut self, engine: &Engine) {
        let (bytes, words) = (&self.bytes, &self.words);
        engine.foresee_all(self.requests.iter_mut().map(|request| {
            let arguments = request.arguments(bytes, words);
            (arguments, &mut request.foreseen)
        }));
    }

    /// The requests that have been found, in order, and what is known of them.
    pub(crate) fn foreseen(
        &self,
    ) -> impl ExactSizeIterator<Item = (Arguments<'_>, Foreseen)> + Clone {
        let requests = self.requests.iter();
        requests.map(|request| {
            (
                request.arguments(&self.bytes, &self.words),
                request.foreseen,
            )
        })
    }

    /// Whether there is a request to be run.
    #[inline]
    pub(crate) fn has_next(&self) -> bool {
        !self.requests.is_empty()
    }

    /// The request that is to be run now, and what is known of it.
    #[inline]
    pub(crate) fn next(&self) -> Option<(Arguments<'_>, Foreseen)> {
        let request = self.requests.get(self.run)?;
        let arguments = request.arguments(&self.bytes, &self.words);
        Some((arguments, request.foreseen))
    }

    /// The request that [`Input::next`] gave has been run.
    #[inline]
    pub(crate) fn pop(&mut self) {
        self.run += 1;
        if let Some(last) = self.requests.last()
            && self.run >= self.requests.len()
        {
            self.words.drain(..last.words.1);
            self.requests.clear();
            self.run = 0;
            if self.words.capacity() > KEPT && self.words.is_empty() {
                self.words = Vec::new();
            }
        }
    }
}
