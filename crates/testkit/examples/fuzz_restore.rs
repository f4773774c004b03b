//! Payloads for RESTORE: values of every kind, with some bytes changed and the checksum made right
//! again. What is taken is read, changed and dumped.

#![allow(clippy::print_stdout, reason = "it is a program for a terminal")]

use larder_resp::Frame;
use larder_testkit::fuzz::{Caller, Fuzz, words};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

fn main() -> Result<(), String> {
    let mut caller = Caller::new();
    let payloads = payloads(&mut caller);
    let mut taken = 0u64;
    let count = Fuzz::from_arguments()?.run(|mut random, note| {
        let payload = payloads.choose(&mut random).cloned().unwrap_or_default();
        let payload = spoilt(&mut random, payload);
        note(&payload);
        taken += u64::from(restore(&mut caller, &payload)?);
        Ok(())
    })?;
    println!("{count} cases, of which {taken} were taken");
    Ok(())
}

/// Requests that make values, each in the smallest and in the largest way to hold it.
const VALUES: &[&str] = &[
    "SET key text",
    "SET key 12345",
    "SET key -9000000000",
    "RPUSH key a 1 -5 70000 9000000000 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    "SADD key 1 2 3",
    "SADD key 1 70000 9000000000",
    "SADD key a b 3",
    "HSET key a 1 b two",
    "ZADD key 1 a 2.5 b -inf c 7 d",
    "XADD key 1-1 a 1 b 2",
    "PFADD key a b c d e",
    "GEOADD key 13.361389 38.115556 a",
];

fn payloads(caller: &mut Caller) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let mut keep = |caller: &mut Caller| {
        if let Some(payload) = dump(caller) {
            payloads.push(payload);
        }
        caller.call(&words("DEL key"));
    };
    for line in VALUES {
        caller.call(&words(line));
        keep(caller);
    }
    for name in ["RPUSH", "SADD", "HSET", "ZADD"] {
        let mut request = words(&format!("{name} key"));
        // Pairs as they are, for hashes, and scores with members.
        (0..1200).for_each(|number: u32| request.push(number.to_string().into_bytes()));
        caller.call(&request);
        keep(caller);
    }
    caller.call(&[b"SET".to_vec(), b"key".to_vec(), vec![b'a'; 3000]]);
    keep(caller);
    for number in 1..150 {
        caller.call(&words(&format!("XADD key {number}-1 a {number}")));
    }
    for line in [
        "XGROUP CREATE key group 0",
        "XREADGROUP GROUP group one COUNT 5 STREAMS key >",
        "XREADGROUP GROUP group two COUNT 3 STREAMS key >",
        "XDEL key 3-1 7-1",
    ] {
        caller.call(&words(line));
    }
    keep(caller);
    caller.call(&words("HSET key a 1 b 2"));
    caller.call(&words("HEXPIRE key 1000 FIELDS 1 a"));
    keep(caller);
    payloads
}

fn dump(caller: &mut Caller) -> Option<Vec<u8>> {
    match Frame::read(&caller.call(&words("DUMP key"))) {
        Ok(Some((Frame::Bulk(payload), _))) => Some(payload),
        _ => None,
    }
}

/// A payload with a few bytes changed, behind which stand the right version and checksum.
fn spoilt(random: &mut StdRng, mut payload: Vec<u8>) -> Vec<u8> {
    const FOOTER: usize = 10;
    payload.truncate(payload.len() - FOOTER);
    for _ in 0..random.random_range(0..5) {
        if payload.is_empty() {
            break;
        }
        let at = random.random_range(0..payload.len());
        match random.random_range(0..8) {
            0 => payload[at] = random.random(),
            1 => payload[at] ^= 1 << random.random_range(0..8),
            2 => drop(payload.remove(at)),
            3 => payload.insert(at, random.random()),
            4 => payload.truncate(at),
            5 => payload[0] = random.random_range(0..30),
            6 => {
                let part = payload[at..].to_vec();
                payload.extend(part);
            }
            _ => {
                let length = some_length(random);
                payload.splice(at..at, length);
            }
        }
    }
    payload.extend([11, 0]);
    let checksum = crc64(&payload);
    payload.extend(checksum.to_le_bytes());
    payload
}

/// A length as Redis's format writes it, and one that asks for more than there is.
fn some_length(random: &mut StdRng) -> Vec<u8> {
    let lengths: &[&[u8]] = &[
        &[0x3f],
        &[0x7f, 0xff],
        &[0x80, 0xff, 0xff, 0xff, 0xff],
        &[0x80, 0x00, 0xff, 0xff, 0xff],
        &[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x81, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xc3, 0x05, 0x80, 0x20, 0x00, 0x00, 0x00],
        &[0xc3, 0x02, 0x50, 0x00],
        &[0xff, 0xff, 0xff, 0xff],
    ];
    lengths
        .choose(random)
        .map_or(Vec::new(), |bytes| bytes.to_vec())
}

/// The checksum of Redis: CRC-64 of Jones, bit by bit.
fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| match crc & 1 {
            1 => (crc >> 1) ^ 0x95AC_9329_AC4B_C9B5,
            _ => crc >> 1,
        })
    })
}

/// What is asked of a value that was taken.
const USES: &[&str] = &[
    "TYPE key",
    "OBJECT ENCODING key",
    "MEMORY USAGE key",
    "GET key",
    "LRANGE key 0 -1",
    "LPOS key a",
    "SMEMBERS key",
    "HGETALL key",
    "HTTL key FIELDS 1 a",
    "ZRANGE key 0 -1 WITHSCORES",
    "ZRANGEBYSCORE key -inf +inf",
    "ZRANK key a",
    "XRANGE key - +",
    "XINFO STREAM key FULL",
    "XPENDING key group",
    "PFCOUNT key",
    "SORT key ALPHA",
    "COPY key other REPLACE",
];

/// What changes a value that was taken.
const CHANGES: &[&str] = &[
    "APPEND key x",
    "SETBIT key 7 1",
    "RPUSH key x",
    "LPOP key",
    "LREM key 0 a",
    "LINSERT key BEFORE a b",
    "SADD key x 5",
    "SPOP key",
    "HSET key x 1 a 5",
    "HDEL key a",
    "ZADD key 1 x 9 a",
    "ZPOPMIN key",
    "ZREM key a",
    "XADD key * a 1",
    "XDEL key 1-1",
    "XTRIM key MAXLEN 2",
    "XREADGROUP GROUP group one STREAMS key >",
    "XACK key group 1-1",
    "PFADD key x",
    "PERSIST key",
    "DEL key",
];

/// Restores a payload, and answers whether it was taken.
fn restore(caller: &mut Caller, payload: &[u8]) -> Result<bool, String> {
    let mut request = words("RESTORE key 0");
    request.extend([payload.to_vec(), b"REPLACE".to_vec()]);
    if caller.call(&request) != b"+OK\r\n" {
        return Ok(false);
    }
    for line in USES {
        caller.call(&words(line));
    }
    // A hash whose fields are all over is gone when somebody looks for them.
    if caller.call(&words("EXISTS key")) == b":0\r\n" {
        return Ok(true);
    }
    let again = dump(caller).ok_or("what was taken can not be dumped")?;
    let mut request = words("RESTORE other 0");
    request.extend([again, b"REPLACE".to_vec()]);
    let answer = caller.call(&request);
    if answer != b"+OK\r\n" {
        return Err(format!(
            "what was dumped is not taken: {}",
            answer.escape_ascii()
        ));
    }
    for line in CHANGES {
        caller.call(&words(line));
    }
    caller.call(&words("FLUSHALL"));
    Ok(true)
}
