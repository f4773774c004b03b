//! Random and hostile bytes for both decoders of RESP: that of requests, and that of answers.

#![allow(clippy::print_stdout, reason = "it is a program for a terminal")]

use larder_resp::{Arguments, Decoded, Decoder, Frame, Limits, ProtocolError, write_request};
use larder_testkit::fuzz::Fuzz;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

fn main() -> Result<(), String> {
    let count = Fuzz::from_arguments()?.run(|mut random, note| {
        let requests = requests(&mut random);
        note(&requests);
        check_requests(&mut random, &requests)?;
        let answers = answers(&mut random);
        note(&answers);
        check_answers(&answers)
    })?;
    println!("{count} cases");
    Ok(())
}

/// What was found in some bytes: the words of each request, and what ended it.
type Found = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// However bytes are cut, the same requests are in them.
fn check_requests(random: &mut StdRng, bytes: &[u8]) -> Result<(), String> {
    let whole = decode(bytes, || bytes.len())?;
    let pieces = decode(bytes, || random.random_range(1..20))?;
    match whole == pieces {
        true => Ok(()),
        false => Err(format!("whole {whole:?}\nin pieces {pieces:?}")),
    }
}

/// Decodes bytes that come in pieces.
fn decode(bytes: &[u8], mut piece: impl FnMut() -> usize) -> Result<Found, String> {
    let limits = Limits {
        words_max: 1 << 20,
        word_max: 1 << 20,
        is_unauthenticated: false,
    };
    let (mut decoder, mut spans) = (Decoder::new(limits), Vec::new());
    let (mut input, mut come, mut found) = (Vec::new(), 0, Vec::new());
    loop {
        match decoder.decode(&mut input, &mut spans) {
            Err(error) => return Ok((found, Some(error))),
            Ok(Decoded::Complete { consumed }) => {
                let words = Arguments::new(&input, &spans).iter();
                found.push(words.map(<[u8]>::to_vec).collect());
                spans.clear();
                if consumed == 0 || consumed > input.len() {
                    return Err(format!("{consumed} of {} bytes are a request", input.len()));
                }
                input.drain(..consumed);
            }
            Ok(Decoded::Incomplete { missing: 0 }) => return Err("nothing is missing".to_owned()),
            Ok(Decoded::Incomplete { .. }) if come == bytes.len() => return Ok((found, None)),
            Ok(Decoded::Incomplete { .. }) => {
                let end = (come + piece()).min(bytes.len());
                input.extend_from_slice(&bytes[come..end]);
                come = end;
            }
        }
    }
}

/// What is read can be written and read again, and no part of it is a whole value.
fn check_answers(bytes: &[u8]) -> Result<(), String> {
    let Ok(Some((frame, len))) = Frame::read(bytes) else {
        return Ok(());
    };
    if let Ok(Some((part, _))) = Frame::read(&bytes[..len - 1]) {
        return Err(format!(
            "{part:?} is read where a byte of {frame:?} is missing"
        ));
    }
    // The ends of lines in a text become spaces, so it is the second time that shows no change.
    let written = write(&frame);
    match Frame::read(&written) {
        Ok(Some((again, len))) if len == written.len() && write(&again) == written => Ok(()),
        other => Err(format!("{frame:?} is read as {other:?}")),
    }
}

fn write(frame: &Frame) -> Vec<u8> {
    let mut written = Vec::new();
    frame.write(&mut written);
    written
}

/// Requests, some of them spoilt.
fn requests(random: &mut StdRng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.random_range(1..6) {
        match random.random_range(0..4) {
            0 => {
                let words = some(random, LINES);
                bytes.extend_from_slice(words);
                bytes.extend_from_slice(some(random, &[b"\r\n", b"\n", b"\r", b""]));
            }
            _ => {
                let words: Vec<Vec<u8>> = (0..random.random_range(0..5))
                    .map(|_| vec![b'x'; random.random_range(0..40)])
                    .collect();
                write_request(&mut bytes, &words);
            }
        }
    }
    spoil(random, &mut bytes);
    bytes
}

const LINES: &[&[u8]] = &[
    b"PING",
    b"SET a \"b c\\x00\\n\"",
    b"SET 'a b' \"c",
    b"  GET   a  ",
    b"\"\" ''",
    b"a\"b\" c",
    b"'\\'' x",
    b"\"\\xzz\\x4\"",
];

fn answers(random: &mut StdRng) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(random, 3).write(&mut bytes);
    if random.random_bool(0.8) {
        spoil(random, &mut bytes);
    }
    bytes
}

fn frame(random: &mut StdRng, depth: usize) -> Frame {
    let text = || "text".to_owned();
    let many = |random: &mut StdRng| -> Vec<Frame> {
        let count = random.random_range(0..4);
        (0..count).map(|_| frame(random, depth - 1)).collect()
    };
    match random.random_range(0..if depth == 0 { 10 } else { 15 }) {
        0 => Frame::Status(text()),
        1 => Frame::Error("ERR text".to_owned()),
        2 => Frame::Integer(random.random()),
        3 | 4 => Frame::Bulk(vec![b'x'; random.random_range(0..40)]),
        5 => Frame::Null,
        6 => Frame::NullArray,
        7 => Frame::Double(random.random()),
        8 => Frame::Boolean(random.random()),
        9 => Frame::Verbatim("txt".to_owned(), text()),
        10 => Frame::BigNumber("12345678901234567890".to_owned()),
        11 => Frame::Set(many(random)),
        12 => Frame::Push(many(random)),
        13 => Frame::Map(
            many(random)
                .into_iter()
                .map(|one| (one, Frame::Null))
                .collect(),
        ),
        _ => Frame::Array(many(random)),
    }
}

/// Changes a few bytes, and lengths above all.
fn spoil(random: &mut StdRng, bytes: &mut Vec<u8>) {
    for _ in 0..random.random_range(0..4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..6) {
            0 => bytes[at] = random.random(),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, *b"*$+-:,(_#=%~>\r\n019".choose(random).unwrap_or(&b'*')),
            3 => bytes.truncate(at),
            _ => {
                let number = some(random, NUMBERS);
                bytes.splice(at..at, number.iter().copied());
            }
        }
    }
}

const NUMBERS: &[&[u8]] = &[
    b"0",
    b"-1",
    b"-2",
    b"00",
    b"+1",
    b"1048577",
    b"536870912",
    b"2147483647",
    b"2147483648",
    b"4294967296",
    b"9223372036854775807",
    b"9223372036854775808",
    b"18446744073709551615",
    b"99999999999999999999",
    b"*2147483647\r\n$1\r\n",
    b"%9223372036854775807\r\n",
    b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
];

fn some<'a>(random: &mut StdRng, all: &[&'a [u8]]) -> &'a [u8] {
    all.choose(random).copied().unwrap_or_default()
}
