//! Writing RESP2 and RESP3. Nothing here allocates but the buffer that is written to, unless a text holds
//! bytes that are none.

use crate::double::{with_double, write_double};
use crate::text::bytes_of;

/// A status, such as `OK`. Line breaks in it become spaces.
pub fn status(out: &mut Vec<u8>, text: &str) {
    line(out, b'+', text);
}

/// An error; its first word is its code. Line breaks at its end are left out, others become spaces.
pub fn error(out: &mut Vec<u8>, text: &str) {
    line(out, b'-', text.trim_end_matches(['\r', '\n']));
}

/// A whole number.
pub fn integer(out: &mut Vec<u8>, number: i64) {
    header(out, b':', number);
}

/// The most that a byte string takes beside its bytes.
pub(crate) const BULK_MAX: usize = "$18446744073709551615\r\n\r\n".len();

/// A byte string.
#[inline]
pub fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + BULK_MAX);
    bulk_head(out, bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// The head of a byte string; its bytes and the end of a line follow.
#[inline]
pub(crate) fn bulk_head(out: &mut Vec<u8>, len: usize) {
    header(out, b'$', len as i64);
}

/// The status `OK`.
#[inline]
pub fn ok(out: &mut Vec<u8>) {
    out.extend_from_slice(b"+OK\r\n");
}

/// The status `PONG`.
#[inline]
pub fn pong(out: &mut Vec<u8>) {
    out.extend_from_slice(b"+PONG\r\n");
}

/// Nothing, in RESP3.
pub fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"_\r\n");
}

/// Nothing, in RESP2, where a byte string could have been.
pub fn null_bulk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"$-1\r\n");
}

/// Nothing, in RESP2, where an array could have been.
pub fn null_array(out: &mut Vec<u8>) {
    out.extend_from_slice(b"*-1\r\n");
}

/// The head of an array; its values follow.
pub fn array(out: &mut Vec<u8>, len: usize) {
    header(out, b'*', len as i64);
}

/// The head of a map; its names and values follow. RESP3.
pub fn map(out: &mut Vec<u8>, pairs: usize) {
    header(out, b'%', pairs as i64);
}

/// The head of an attribute; its names and values follow, and then the value that it is of. RESP3.
pub fn attribute(out: &mut Vec<u8>, pairs: usize) {
    header(out, b'|', pairs as i64);
}

/// The head of a set; its values follow. RESP3.
pub fn set(out: &mut Vec<u8>, len: usize) {
    header(out, b'~', len as i64);
}

/// The head of a message that is no answer; its values follow. RESP3.
pub fn push(out: &mut Vec<u8>, len: usize) {
    header(out, b'>', len as i64);
}

/// A floating-point number. RESP3.
pub fn double(out: &mut Vec<u8>, number: f64) {
    out.push(b',');
    write_double(out, number);
    out.extend_from_slice(b"\r\n");
}

/// A floating-point number as a byte string, for RESP2.
pub fn double_bulk(out: &mut Vec<u8>, number: f64) {
    with_double(number, |text| bulk(out, text));
}

/// Yes or no. RESP3.
pub fn boolean(out: &mut Vec<u8>, yes: bool) {
    out.extend_from_slice(if yes { b"#t\r\n" } else { b"#f\r\n" });
}

/// An integer of any size, in decimal. RESP3.
pub fn big_number(out: &mut Vec<u8>, digits: &str) {
    line(out, b'(', digits);
}

/// A text with its format, which has three letters: `txt` or `mkd`. RESP3.
pub fn verbatim(out: &mut Vec<u8>, format: &str, text: &str) {
    let text = bytes_of(text);
    header(out, b'=', (text.len() + 4) as i64);
    out.extend_from_slice(format.as_bytes());
    out.push(b':');
    out.extend_from_slice(&text);
    out.extend_from_slice(b"\r\n");
}

fn line(out: &mut Vec<u8>, kind: u8, text: &str) {
    let text = bytes_of(text);
    out.reserve(text.len() + 3);
    out.push(kind);
    let start = out.len();
    out.extend_from_slice(&text);
    let is_break = |byte: u8| matches!(byte, b'\r' | b'\n');
    if text.iter().copied().any(is_break) {
        let breaks = out[start..].iter_mut().filter(|byte| is_break(**byte));
        breaks.for_each(|byte| *byte = b' ');
    }
    out.extend_from_slice(b"\r\n");
}

/// Most numbers here are lengths of a few digits: those are one store of a known length.
#[inline]
fn header(out: &mut Vec<u8>, kind: u8, number: i64) {
    let digit = |number: i64| b'0' + number as u8;
    match number {
        0..10 => out.extend_from_slice(&[kind, digit(number), b'\r', b'\n']),
        10..100 => {
            let (tens, ones) = (digit(number / 10), digit(number % 10));
            out.extend_from_slice(&[kind, tens, ones, b'\r', b'\n']);
        }
        100..1000 => {
            let (hundreds, tens) = (digit(number / 100), digit(number / 10 % 10));
            let ones = digit(number % 10);
            out.extend_from_slice(&[kind, hundreds, tens, ones, b'\r', b'\n']);
        }
        _ => long_header(out, kind, number),
    }
}

fn long_header(out: &mut Vec<u8>, kind: u8, number: i64) {
    let mut text = itoa::Buffer::new();
    let digits = text.format(number).as_bytes();
    // In one piece: three appends would each look whether there is room.
    let mut line = [kind; BULK_MAX];
    let end = 1 + digits.len();
    line[1..end].copy_from_slice(digits);
    line[end..end + 2].copy_from_slice(b"\r\n");
    out.extend_from_slice(&line[..end + 2]);
}
