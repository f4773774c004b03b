use proptest::prelude::*;

use super::*;
use crate::{Arguments, write_request};

/// What a decoder makes of bytes: requests, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Understood {
    requests: Vec<Vec<Vec<u8>>>,
    error: Option<ProtocolError>,
}

/// Decodes bytes that arrive in these pieces.
fn decode_in_pieces<'a>(limits: Limits, pieces: impl Iterator<Item = &'a [u8]>) -> Understood {
    let (mut decoder, mut buffer, mut words) = (Decoder::new(limits), Vec::new(), Vec::new());
    let mut requests = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer, &mut words) {
                Ok(Decoded::Incomplete { missing }) => {
                    assert!(missing > 0);
                    break;
                }
                Ok(Decoded::Complete { consumed }) => {
                    let request = Arguments::new(&buffer, &words);
                    requests.push(request.iter().map(<[u8]>::to_vec).collect());
                    buffer.drain(..consumed);
                    words.clear();
                }
                Err(error) => {
                    let error = Some(error);
                    return Understood { requests, error };
                }
            }
        }
    }
    Understood {
        requests,
        error: None,
    }
}

fn decode(bytes: &[u8]) -> Understood {
    decode_in_pieces(Limits::default(), std::iter::once(bytes))
}

fn refusal(bytes: &[u8]) -> String {
    let error = decode(bytes).error.expect("a protocol error");
    error.to_string()
}

#[test]
fn arrays_and_lines_are_requests() {
    let understood =
        decode(b"*2\r\n$3\r\nGET\r\n$0\r\n\r\nSET  k\t\"a b\"\r\n*0\r\n\r\n*-1\r\nPING\n");
    let wanted: Vec<Vec<&[u8]>> = vec![
        vec![b"GET", b""],
        vec![b"SET", b"k", b"a b"],
        vec![],
        vec![],
        vec![],
        vec![b"PING"],
    ];
    assert_eq!(understood.requests, wanted);
    assert_eq!(understood.error, None);
}

/// Each line and its second word were taken from redis-server 7.0.
#[test]
fn quoted_words_are_read_as_redis_reads_them() {
    let second_word = |line: &[u8]| decode(line).requests[0][1].clone();
    assert_eq!(second_word(b"PING 'a\\'b\\n'\r\n"), b"a'b\\n");
    assert_eq!(second_word(b"PING \"\\x41\\n\\q\"\n"), b"A\nq");
    assert_eq!(second_word(b"PING fo\"o b\"\r\n"), b"foo b");
    assert_eq!(second_word(b"PING \"\\\"x\"\r\n"), b"\"x");
    assert_eq!(second_word(b"PING a\x0bb\r\n"), b"a\x0bb");
    assert_eq!(second_word(b"PING\rX\r\n"), b"X");
    assert_eq!(second_word(b"PING \"\"\r\n"), b"");
}

/// Each text was taken from redis-server 7.0.
#[test]
fn broken_requests_are_refused_with_the_texts_of_redis() {
    for (bytes, text) in [
        (&b"*abc\r\n"[..], "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*99999999999999999999\r\n", "invalid multibulk length"),
        (b"*1\r\n%4\r\n", "expected '$', got '%'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"PING \"a\r\n", "unbalanced quotes in request"),
        (b"PING \"a\"b\r\n", "unbalanced quotes in request"),
    ] {
        assert_eq!(refusal(bytes), text);
    }
    let endless = |start: &[u8], byte: u8| refusal(&[start, &vec![byte; 70_000]].concat());
    assert_eq!(endless(b"", b'A'), "too big inline request");
    assert_eq!(endless(b"*", b'1'), "too big mbulk count string");
    assert_eq!(endless(b"*1\r\n$", b'1'), "too big bulk count string");
}

#[test]
fn what_a_browser_was_made_to_send_is_no_request() {
    let understood = decode(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nFLUSHALL\r\n");
    assert_eq!(understood.requests, [[&b"GET"[..], b"/", b"HTTP/1.1"]]);
    assert_eq!(understood.error, Some(ProtocolError::Http));
    let understood = decode(b"POST / HTTP/1.1\r\n\r\nFLUSHALL\r\n");
    assert_eq!(understood.error, Some(ProtocolError::Http));
}

#[test]
fn a_stranger_gets_ten_words_of_sixteen_kibibytes() {
    let limits = Limits {
        is_unauthenticated: true,
        ..Limits::default()
    };
    let decode = |bytes: &[u8]| decode_in_pieces(limits, std::iter::once(bytes));

    let understood = decode(b"*1\r\n$4\r\nPING\r\n*11\r\n");
    assert_eq!(understood.requests, [[b"PING"]]);
    assert_eq!(understood.error, Some(ProtocolError::StrangerCount));
    let understood = decode(b"*1\r\n$16385\r\n");
    assert_eq!(understood.error, Some(ProtocolError::StrangerLength));
}

/// A word of many megabytes arrives in thousands of reads. Were each to begin at the start, a
/// sender could keep the server busy with a request of a million words.
#[test]
fn a_request_in_progress_is_not_read_again() {
    let mut bytes = Vec::new();
    write_request(&mut bytes, &vec!["word"; 200_000]);
    let one_by_one = bytes.chunks(16);
    let understood = decode_in_pieces_kept(one_by_one);
    assert_eq!(understood, Some(200_000));
}

/// Decodes one request, without taking bytes out of the buffer, and answers its length in words.
fn decode_in_pieces_kept<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<usize> {
    let (mut decoder, mut buffer, mut words) = (Decoder::default(), Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        if let Ok(Decoded::Complete { .. }) = decoder.decode(&mut buffer, &mut words) {
            return Some(words.len());
        }
    }
    None
}

/// Bytes that look like requests more often than noise does.
fn nearly_requests() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::collection::vec(any::<u8>(), 0..40);
    let request = prop::collection::vec(word, 0..5).prop_map(|words| {
        let mut bytes = Vec::new();
        write_request(&mut bytes, &words);
        bytes
    });
    let line = "[a-z '\"\\\\x4\t]{0,20}\r?\n".prop_map(String::into_bytes);
    let noise = prop::collection::vec(prop::sample::select(b"*$-019\r\nab\" ".to_vec()), 0..12);
    let part = prop_oneof![6 => request, 2 => line, 1 => noise];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn a_request_reads_back_as_itself(
        words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..12),
    ) {
        let mut bytes = Vec::new();
        write_request(&mut bytes, &words);
        prop_assert_eq!(decode(&bytes).requests, [words]);
    }

    #[test]
    fn it_does_not_matter_where_the_bytes_are_split(bytes in nearly_requests()) {
        let whole = decode(&bytes);
        for split in 0..bytes.len() {
            let (first, second) = bytes.split_at(split);
            let pieces = [first, second].into_iter();
            prop_assert_eq!(&decode_in_pieces(Limits::default(), pieces), &whole);
        }
        let one_by_one = bytes.chunks(1);
        prop_assert_eq!(&decode_in_pieces(Limits::default(), one_by_one), &whole);
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        decode(&bytes);
    }
}

/// A request that arrives whole is read by a shorter way than one that comes in pieces.
#[test]
fn a_request_has_no_more_words_than_allowed_however_it_arrives() {
    let limits = Limits {
        words_max: 2,
        ..Limits::default()
    };
    let bytes = b"*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n";
    for len in [1, bytes.len()] {
        let understood = decode_in_pieces(limits, bytes.chunks(len));
        assert_eq!(understood.error, Some(ProtocolError::Count));
    }
}
