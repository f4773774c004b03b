//! Writing lengths, strings and numbers.

use super::{COMPRESSED, ENCODED, INT_8, INT_16, INT_32, LENGTH_14, LENGTH_32, LENGTH_64, lzf};
use crate::args::parse_int;

/// Strings up to this length may be integers.
const INT_LEN_MAX: usize = 11;

/// Strings up to this length are not compressed, as in Redis.
const PLAIN_LEN_MAX: usize = 20;

/// How many bytes compression has to save.
const SAVED_MIN: usize = 4;

/// What is written, byte for byte.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
    /// Whether strings are not compressed.
    is_plain: bool,
}

impl Writer {
    /// A writer that leaves strings as they are, or compresses them where that pays.
    pub(crate) fn new(is_plain: bool) -> Writer {
        Writer {
            is_plain,
            ..Writer::default()
        }
    }

    /// How many bytes have been written.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// What has been written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A length, or another number that is most often small.
    pub(crate) fn length(&mut self, length: u64) {
        match length {
            0..0x40 => self.byte(length as u8),
            0x40..0x4000 => {
                self.raw(&[LENGTH_14 << 6 | (length >> 8) as u8, length as u8]);
            }
            0x4000..=0xffff_ffff => {
                self.byte(LENGTH_32);
                self.raw(&(length as u32).to_be_bytes());
            }
            _ => {
                self.byte(LENGTH_64);
                self.raw(&length.to_be_bytes());
            }
        }
    }

    /// A string: as an integer if it is a small one, compressed if that pays, else as it is.
    pub(crate) fn string(&mut self, text: &[u8]) {
        if text.len() <= INT_LEN_MAX
            && let Some(number) = parse_int(text)
            && self.small_int(number)
        {
            return;
        }
        if !self.is_plain
            && text.len() > PLAIN_LEN_MAX
            && let Some(bytes) = lzf::compress(text, text.len() - SAVED_MIN)
        {
            self.byte(ENCODED << 6 | COMPRESSED);
            self.length(bytes.len() as u64);
            self.length(text.len() as u64);
            self.raw(&bytes);
            return;
        }
        self.length(text.len() as u64);
        self.raw(text);
    }

    /// An integer as a string.
    pub(crate) fn int(&mut self, number: i64) {
        if !self.small_int(number) {
            let mut text = itoa::Buffer::new();
            let text = text.format(number);
            self.length(text.len() as u64);
            self.raw(text.as_bytes());
        }
    }

    /// An integer of up to 32 bits as a string. False if it has more.
    fn small_int(&mut self, number: i64) -> bool {
        if let Ok(number) = i8::try_from(number) {
            self.byte(ENCODED << 6 | INT_8);
            self.raw(&number.to_le_bytes());
        } else if let Ok(number) = i16::try_from(number) {
            self.byte(ENCODED << 6 | INT_16);
            self.raw(&number.to_le_bytes());
        } else if let Ok(number) = i32::try_from(number) {
            self.byte(ENCODED << 6 | INT_32);
            self.raw(&number.to_le_bytes());
        } else {
            return false;
        }
        true
    }

    /// A number of 64 bits in binary.
    pub(crate) fn double(&mut self, number: f64) {
        self.raw(&number.to_le_bytes());
    }

    /// A point in time, in milliseconds.
    pub(crate) fn time_ms(&mut self, time: i64) {
        self.raw(&time.to_le_bytes());
    }
}
