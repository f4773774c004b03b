//! Reading lengths, strings and numbers.

use std::borrow::Cow;

use super::{
    COMPRESSED, ENCODED, INT_8, INT_16, INT_32, LENGTH_6, LENGTH_14, LENGTH_32, LENGTH_64,
    Malformed, lzf,
};

/// Bytes that are read from the front.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    /// How many bytes what is compressed may still become.
    room: usize,
}

/// What may stand where a length is expected.
enum Length {
    Plain(u64),
    /// A string that is encoded in this way.
    Encoded(u8),
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader {
            bytes,
            room: usize::MAX,
        }
    }

    /// The same, for bytes of which what is compressed may become so many bytes in all.
    pub(crate) fn with_room(self, room: usize) -> Reader<'a> {
        Reader { room, ..self }
    }

    /// How many bytes have not been read.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether everything has been read.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// So many bytes as they are.
    pub(crate) fn raw(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(Malformed)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(Malformed)?;
        self.bytes = rest;
        Ok(*taken)
    }

    /// A length, or another number that is most often small.
    pub(crate) fn length(&mut self) -> Result<u64, Malformed> {
        match self.length_or_encoding()? {
            Length::Plain(length) => Ok(length),
            Length::Encoded(_) => Err(Malformed),
        }
    }

    /// How many things follow that take at least so many bytes each.
    pub(crate) fn count(&mut self, len_min: usize) -> Result<usize, Malformed> {
        let count = usize::try_from(self.length()?).map_err(|_| Malformed)?;
        match count <= self.bytes.len() / len_min {
            true => Ok(count),
            false => Err(Malformed),
        }
    }

    fn length_or_encoding(&mut self) -> Result<Length, Malformed> {
        let first = self.byte()?;
        let low = first & 0x3f;
        Ok(match (first >> 6, first) {
            (LENGTH_6, _) => Length::Plain(low.into()),
            (LENGTH_14, _) => Length::Plain(u64::from(low) << 8 | u64::from(self.byte()?)),
            (ENCODED, _) => Length::Encoded(low),
            (_, LENGTH_32) => Length::Plain(u32::from_be_bytes(self.array()?).into()),
            (_, LENGTH_64) => Length::Plain(u64::from_be_bytes(self.array()?)),
            _ => return Err(Malformed),
        })
    }

    /// A string.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        let number = match self.length_or_encoding()? {
            Length::Plain(len) => {
                let len = usize::try_from(len).map_err(|_| Malformed)?;
                return self.raw(len).map(Cow::Borrowed);
            }
            Length::Encoded(COMPRESSED) => {
                let compressed = usize::try_from(self.length()?).map_err(|_| Malformed)?;
                let len = usize::try_from(self.length()?).map_err(|_| Malformed)?;
                let bytes = self.raw(compressed)?;
                self.room = self.room.checked_sub(len).ok_or(Malformed)?;
                return lzf::decompress(bytes, len).map(Cow::Owned);
            }
            Length::Encoded(INT_8) => i8::from_le_bytes(self.array()?).into(),
            Length::Encoded(INT_16) => i16::from_le_bytes(self.array()?).into(),
            Length::Encoded(INT_32) => i64::from(i32::from_le_bytes(self.array()?)),
            Length::Encoded(_) => return Err(Malformed),
        };
        let mut text = itoa::Buffer::new();
        Ok(Cow::Owned(text.format(number).as_bytes().to_vec()))
    }

    /// A number of 64 bits in binary.
    pub(crate) fn double(&mut self) -> Result<f64, Malformed> {
        self.array().map(f64::from_le_bytes)
    }

    /// A point in time, in milliseconds.
    pub(crate) fn time_ms(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_le_bytes)
    }
}
