//! Answers that are not written yet, in chunks that are never moved again.
//!
//! ```text
//! Sealed   [ chunk | chunk | chunk ]      whole chunks, each its own or shared with other listeners
//!            ^ written up to here
//! open                         [ chunk ]  what is appended to
//! ```
//!
//! A single buffer that grows is copied whenever it grows, and moved whenever a part of it is
//! written. Here a byte is copied once, whether there are a hundred bytes or a hundred megabytes, and
//! a long byte string that somebody shares is not copied at all.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::encode;

/// How long the open chunk gets. Few answers are longer, so most are written from one buffer.
pub const CHUNK: usize = 64 * 1024;

/// From which length on a byte string is worth a chunk of its own. Redis's
/// `PROTO_REPLY_CHUNK_BYTES`.
const LONG: usize = 16 * 1024;

/// An open chunk that is shorter is copied when it is sealed, so that its memory can be used again.
const SHORT: usize = 4 * 1024;

/// What the place of a chunk takes, beside its bytes.
const PLACE: usize = size_of::<Bytes>() + 2 * size_of::<usize>();

/// Answers that are not written yet.
#[derive(Debug, Default)]
pub struct Chunks {
    sealed: Sealed,
    open: Vec<u8>,
}

/// The chunks in front of the open one.
#[derive(Debug, Default)]
pub struct Sealed {
    chunks: VecDeque<Bytes>,
    /// How many bytes of them are not written.
    len: usize,
}

impl Chunks {
    /// How many bytes are not written.
    pub fn len(&self) -> usize {
        self.sealed.len + self.open.len()
    }

    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes of the open chunk are not written.
    pub fn open_len(&self) -> usize {
        self.open.len()
    }

    /// What the open chunk takes.
    pub fn open_capacity(&self) -> usize {
        self.open.capacity()
    }

    /// How many chunks there are in front of the open one.
    pub fn sealed_count(&self) -> usize {
        self.sealed.chunks.len()
    }

    /// What the chunks in front of the open one take.
    pub fn sealed_bytes(&self) -> usize {
        self.sealed.len + self.sealed.chunks.len() * PLACE
    }

    /// The two parts, for whoever appends: short things to the open chunk, and long ones through
    /// [`Sealed`].
    pub fn parts(&mut self) -> (&mut Sealed, &mut Vec<u8>) {
        (&mut self.sealed, &mut self.open)
    }

    /// The open chunk, for short things.
    pub fn open(&mut self) -> &mut Vec<u8> {
        &mut self.open
    }

    /// Appends bytes that others may share. Only short ones are copied.
    pub fn push(&mut self, bytes: &Bytes) {
        self.sealed.push(&mut self.open, bytes);
    }

    /// Appends what others have. Nothing of it is copied that is long.
    pub fn append(&mut self, mut others: Chunks) {
        others.sealed.seal(&mut others.open);
        for chunk in others.sealed.chunks {
            self.push(&chunk);
        }
    }

    /// What is not written, in order.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let sealed = self.sealed.chunks.iter().map(|chunk| &chunk[..]);
        sealed.chain((!self.open.is_empty()).then_some(&self.open[..]))
    }

    /// The first so many bytes have been written.
    pub fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.sealed.chunks.front_mut()
            && written > 0
        {
            let part = written.min(first.len());
            self.sealed.len -= part;
            written -= part;
            if part < first.len() {
                // Keeps the rest where it is.
                drop(first.split_to(part));
                return;
            }
            self.sealed.chunks.pop_front();
        }
        if written < self.open.len() {
            if written > 0 {
                // What is left of it is not moved again: it becomes a chunk, and shrinks as one.
                self.sealed.seal(&mut self.open);
                self.advance(written);
            }
            return;
        }
        self.open.clear();
        self.shrink();
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Chunks::default();
    }

    /// Gives memory back that was needed for once.
    fn shrink(&mut self) {
        if self.open.capacity() > 2 * CHUNK {
            self.open = Vec::new();
        }
        if self.sealed.chunks.is_empty() && self.sealed.chunks.capacity() > LONG / PLACE {
            self.sealed.chunks = VecDeque::new();
        }
    }
}

impl Sealed {
    /// How many bytes of the sealed chunks are not written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether all sealed chunks are written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Seals the open chunk, which is empty then.
    pub fn seal(&mut self, open: &mut Vec<u8>) {
        if open.is_empty() {
            return;
        }
        self.len += open.len();
        let chunk = if open.len() < SHORT {
            let chunk = Bytes::copy_from_slice(open);
            open.clear();
            chunk
        } else {
            Bytes::from(std::mem::take(open))
        };
        self.chunks.push_back(chunk);
    }

    /// Appends bytes that others may share behind the open chunk. Only short ones are copied.
    pub fn push(&mut self, open: &mut Vec<u8>, bytes: &Bytes) {
        if bytes.len() < LONG {
            if open.len() + bytes.len() > CHUNK {
                self.seal(open);
            }
            open.extend_from_slice(bytes);
            return;
        }
        self.seal(open);
        self.len += bytes.len();
        self.chunks.push_back(bytes.clone());
    }

    /// Appends a byte string behind the open chunk. A long one is copied once, into a chunk of just
    /// its length.
    pub fn bulk(&mut self, open: &mut Vec<u8>, bytes: &[u8]) {
        if open.len() > SHORT && open.len() + bytes.len() > CHUNK {
            self.seal(open);
        }
        if bytes.len() < LONG {
            encode::bulk(open, bytes);
            return;
        }
        let mut chunk = Vec::with_capacity(open.len() + bytes.len() + encode::BULK_MAX);
        chunk.append(open);
        encode::bulk(&mut chunk, bytes);
        self.len += chunk.len();
        self.chunks.push_back(Bytes::from(chunk));
    }

    /// Appends a byte string that is shared. A long one is not copied.
    pub fn bulk_shared(&mut self, open: &mut Vec<u8>, bytes: &Bytes) {
        encode::bulk_head(open, bytes.len());
        self.push(open, bytes);
        open.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(chunks: &Chunks) -> Vec<u8> {
        chunks.slices().collect::<Vec<_>>().concat()
    }

    #[derive(Clone, Debug)]
    enum Step {
        Short(usize),
        Bulk(usize),
        Shared(usize),
        Write(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..200_usize).prop_map(Step::Short),
            (0..100_000_usize).prop_map(Step::Bulk),
            (0..100_000_usize).prop_map(Step::Shared),
            (0..200_000_usize).prop_map(Step::Write),
        ]
    }

    proptest! {
        #[test]
        fn bytes_leave_in_the_order_in_which_they_came(
            steps in proptest::collection::vec(step(), 1..60),
        ) {
            let (mut chunks, mut model) = (Chunks::default(), Vec::new());
            for (turn, step) in steps.into_iter().enumerate() {
                let content = |len: usize| vec![turn as u8; len];
                match step {
                    Step::Short(len) => {
                        chunks.open().extend(content(len));
                        model.extend(content(len));
                    }
                    Step::Bulk(len) => {
                        let (sealed, open) = chunks.parts();
                        sealed.bulk(open, &content(len));
                        encode::bulk(&mut model, &content(len));
                    }
                    Step::Shared(len) => {
                        let (sealed, open) = chunks.parts();
                        sealed.bulk_shared(open, &Bytes::from(content(len)));
                        encode::bulk(&mut model, &content(len));
                    }
                    Step::Write(len) => {
                        let len = len.min(model.len());
                        chunks.advance(len);
                        model.drain(..len);
                    }
                }
                prop_assert_eq!(chunks.len(), model.len());
                prop_assert_eq!(bytes_of(&chunks), &model[..]);
            }
        }
    }

    #[test]
    fn a_long_shared_string_is_not_copied() {
        let shared = Bytes::from(vec![b'x'; LONG]);
        let mut chunks = Chunks::default();
        let (sealed, open) = chunks.parts();

        sealed.bulk_shared(open, &shared);

        let found = chunks
            .slices()
            .any(|slice| slice.as_ptr() == shared.as_ptr());
        assert!(found);
    }

    #[test]
    fn a_long_string_takes_no_more_than_its_length() {
        let mut chunks = Chunks::default();
        let (sealed, open) = chunks.parts();
        sealed.bulk(open, &vec![b'x'; 1_000_000]);
        assert_eq!(chunks.open_capacity(), 0);
        assert!(chunks.sealed_bytes() < 1_000_100);
    }
}
