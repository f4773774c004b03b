//! How an element of a listpack is written.
//!
//! ```text
//! 0nnnnnnn                              an integer from 0 to 127
//! 10llllll  bytes                       a string of up to 63 bytes
//! 110nnnnn  nnnnnnnn                    an integer of 13 bits, highest byte first
//! 1110llll  llllllll  bytes             a string of up to 4095 bytes
//! 11110000  length, 4 bytes  bytes      a longer string
//! 111100ww  integer                     w = 1, 2, 3: of 2, 3 or 4 bytes, lowest byte first
//! 11110100  integer                     of 8 bytes
//! 11111111                              the end of the listpack
//! ```
//!
//! Every string has one encoding only: whatever is the shortest text of an integer of 64 bits is
//! written as that integer, in as few bytes as there are for it. So two elements are equal exactly
//! when their encodings are.
//!
//! Behind its encoding stands how long that is, seven bits a byte, highest first; every byte but
//! the first has its top bit set, so that the number is read from its end.

use crate::args::parse_int;
use crate::keyspace::entry::Str;

/// The byte that ends a listpack.
pub(super) const END: u8 = 0xff;

/// The longest encoding of anything but a string's bytes: that of an integer of 64 bits.
const HEAD_MAX: usize = 9;

/// An element as it is written, without the length behind it.
#[derive(Clone, Copy)]
pub(super) struct Encoded<'a> {
    head: [u8; HEAD_MAX],
    head_len: u8,
    /// The bytes of a string.
    body: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// The encoding of an element.
    #[inline]
    pub(super) fn new(element: Str<'a>) -> Encoded<'a> {
        match element {
            Str::Int(number) => Encoded::int(number),
            Str::Bytes(bytes) => match parse_int(bytes) {
                Some(number) => Encoded::int(number),
                None => Encoded::string(bytes),
            },
        }
    }

    fn int(number: i64) -> Encoded<'a> {
        let bytes = number.to_le_bytes();
        match number {
            0..=0x7f => Encoded::head(&[bytes[0]]),
            -0x1000..=0xfff => Encoded::head(&[0xc0 | (bytes[1] & 0x1f), bytes[0]]),
            -0x8000..=0x7fff => Encoded::head(&[0xf1, bytes[0], bytes[1]]),
            -0x80_0000..=0x7f_ffff => Encoded::head(&[0xf2, bytes[0], bytes[1], bytes[2]]),
            -0x8000_0000..=0x7fff_ffff => {
                Encoded::head(&[0xf3, bytes[0], bytes[1], bytes[2], bytes[3]])
            }
            _ => {
                let mut head = [0xf4; HEAD_MAX];
                head[1..].copy_from_slice(&bytes);
                Encoded::head(&head)
            }
        }
    }

    fn string(body: &'a [u8]) -> Encoded<'a> {
        let len = body.len() as u32;
        let head = match len {
            0..=0x3f => Encoded::head(&[0x80 | len as u8]),
            0x40..=0xfff => Encoded::head(&[0xe0 | (len >> 8) as u8, len as u8]),
            _ => {
                let [a, b, c, d] = len.to_le_bytes();
                Encoded::head(&[0xf0, a, b, c, d])
            }
        };
        Encoded { body, ..head }
    }

    #[inline]
    fn head(bytes: &[u8]) -> Encoded<'a> {
        let mut head = [0; HEAD_MAX];
        head[..bytes.len()].copy_from_slice(bytes);
        Encoded {
            head,
            head_len: bytes.len() as u8,
            body: &[],
        }
    }

    /// How many bytes it takes, with the length behind it.
    #[inline]
    pub(super) fn space(&self) -> usize {
        self.len() + backlen_space(self.len())
    }

    fn len(&self) -> usize {
        usize::from(self.head_len) + self.body.len()
    }

    /// Whether this element stands at the start of `bytes`.
    #[inline]
    pub(super) fn is_at(&self, bytes: &[u8]) -> bool {
        // Most others differ in their first byte, which has their length.
        if bytes.first() != Some(&self.head[0]) {
            return false;
        }
        let head_len = usize::from(self.head_len);
        let (head, rest) = bytes.split_at(head_len.min(bytes.len()));
        head == &self.head[..head_len] && rest.starts_with(self.body)
    }

    /// Writes it and the length behind it, which fill the start of `out`. Answers what is left.
    #[inline]
    pub(super) fn write<'o>(&self, out: &'o mut [u8]) -> &'o mut [u8] {
        let len = self.len();
        let (head, out) = out.split_at_mut(usize::from(self.head_len));
        match head {
            [first] => *first = self.head[0],
            [first, second] => [*first, *second] = [self.head[0], self.head[1]],
            head => head.copy_from_slice(&self.head[..head.len()]),
        }
        let (body, out) = out.split_at_mut(self.body.len());
        body.copy_from_slice(self.body);
        let (backlen, out) = out.split_at_mut(backlen_space(len));
        match backlen {
            [only] => *only = len as u8,
            several => write_backlen(several, len),
        }
        out
    }
}

/// Writes the length `len` into all of these bytes.
fn write_backlen(bytes: &mut [u8], len: usize) {
    let mut left = len;
    for byte in bytes.iter_mut().rev() {
        *byte = left as u8 | 0x80;
        left >>= 7;
    }
    bytes[0] &= 0x7f;
}

/// The element at the start of `bytes`, and how many bytes its encoding takes.
#[inline]
pub(super) fn read(bytes: &[u8]) -> (Str<'_>, usize) {
    let len = encoded_len(bytes);
    let element = match bytes[0] {
        small @ 0..0x80 => Str::Int(i64::from(small)),
        0x80..0xc0 => Str::Bytes(&bytes[1..len]),
        high @ 0xc0..0xe0 => {
            // The five bits and the eight behind them, the highest of which is the sign.
            let bits = i16::from_be_bytes([high << 3, bytes[1]]);
            let (high, low) = (bits & !0xff, bits & 0xff);
            Str::Int(i64::from((high >> 3) | low))
        }
        0xe0..0xf0 => Str::Bytes(&bytes[2..len]),
        0xf0 => Str::Bytes(&bytes[5..len]),
        _ => Str::Int(read_int(&bytes[1..len])),
    };
    (element, len)
}

/// An integer of 2, 3, 4 or 8 bytes.
fn read_int(bytes: &[u8]) -> i64 {
    let mut whole = [0; 8];
    let unused = whole.len() - bytes.len();
    whole[unused..].copy_from_slice(bytes);
    i64::from_le_bytes(whole) >> (8 * unused)
}

/// How many bytes the entry at the start of `bytes` takes, with the length at its end.
#[inline]
pub(super) fn entry_len(bytes: &[u8]) -> usize {
    match bytes[0] {
        0..0x80 => 2,
        short @ 0x80..0xc0 => 2 + usize::from(short & 0x3f),
        _ => {
            let len = encoded_len(bytes);
            len + backlen_space(len)
        }
    }
}

/// How many bytes the encoding at the start of `bytes` takes.
fn encoded_len(bytes: &[u8]) -> usize {
    match bytes[0] {
        0..0x80 => 1,
        short @ 0x80..0xc0 => 1 + usize::from(short & 0x3f),
        0xc0..0xe0 => 2,
        high @ 0xe0..0xf0 => 2 + usize::from(u16::from_be_bytes([high & 0x0f, bytes[1]])),
        0xf0 => {
            let len = [bytes[1], bytes[2], bytes[3], bytes[4]];
            5 + u32::from_le_bytes(len) as usize
        }
        0xf1 => 3,
        0xf2 => 4,
        0xf3 => 5,
        _ => 9,
    }
}

/// How many bytes the length `len` takes behind an encoding.
#[inline]
pub(super) fn backlen_space(len: usize) -> usize {
    // Redis gives the last number that would fit into two, three or four bytes one byte more.
    match len {
        0..=0x7f => 1,
        0x80..0x3fff => 2,
        0x3fff..0x1f_ffff => 3,
        0x1f_ffff..0xfff_ffff => 4,
        _ => 5,
    }
}

/// The length that ends `bytes`.
#[inline]
pub(super) fn read_backlen(bytes: &[u8]) -> usize {
    let (mut len, mut shift) = (0, 0);
    for byte in bytes.iter().rev() {
        len |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    len
}
