use proptest::prelude::*;

use super::super::payload::Sums;
use super::super::{Malformed, Reader, Writer, payload};
use super::*;
use crate::hash::Seed;
use crate::keyspace::entry::{Collection, Object, Str};
use crate::random::Random;
use crate::types::Limits;
use crate::types::hash::{FieldMap, TimedHash, Written};
use crate::types::list::Side;
use crate::types::sorted_set::Score;
use crate::types::stream::{Group, Id};

fn limits() -> Limits {
    Limits::new(Seed::new(1, 2))
}

fn written(entry: &Entry) -> Vec<u8> {
    let mut writer = Writer::default();
    write(entry, &mut writer);
    writer.into_bytes()
}

fn read_again(bytes: &[u8]) -> Result<Entry, Malformed> {
    let value = read(&mut Reader::new(bytes), &limits())?;
    Ok(value.into_entry(b"key"))
}

/// All that can be seen of a value.
fn seen(entry: &Entry) -> Vec<Vec<u8>> {
    if let Some(string) = entry.str() {
        return vec![string.to_vec()];
    }
    if let Some(hash) = entry.object::<Hash>() {
        let mut pairs: Vec<_> = hash.iter().map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
        pairs.sort();
        return pairs.into_iter().flat_map(|(f, v)| [f, v]).collect();
    }
    if let Some(set) = entry.object::<SortedSet>() {
        let pairs = set.iter();
        return pairs
            .flat_map(|(member, score)| [member.to_vec(), score.get().to_string().into_bytes()])
            .collect();
    }
    if let Some(stream) = entry.object::<Stream>() {
        return seen_of_stream(stream);
    }
    let mut elements = entry
        .collection()
        .and_then(Collection::elements)
        .unwrap_or_default();
    if entry.object::<Set>().is_some() {
        elements.sort();
    }
    elements
}

fn seen_of_stream(stream: &Stream) -> Vec<Vec<u8>> {
    let log = &stream.log;
    let mut seen: Vec<String> = log
        .range(Id::MIN, Id::MAX)
        .map(|entry| format!("{} {:?}", entry.id, entry.fields.collect::<Vec<_>>()))
        .collect();
    let ids = [log.first_id(), log.last_id(), log.max_removed_id()];
    seen.push(format!("{} {ids:?} {}", log.len(), log.entries_added()));
    for (name, group) in &stream.groups {
        seen.push(format!(
            "{name:?} {:?} {:?}",
            group.last_delivered_id(),
            group.entries_read()
        ));
        seen.extend(
            group
                .pending_range(Id::MIN, Id::MAX)
                .map(|pending| format!("{pending:?}")),
        );
        for (name, consumer) in group.consumers() {
            let len = consumer.pending_len();
            seen.push(format!("{name:?} {} {len}", consumer.seen_ms()));
        }
    }
    seen.into_iter().map(String::into_bytes).collect()
}

fn there_and_back(entry: &Entry) {
    let bytes = written(entry);
    let again = read_again(&bytes).expect("what was written is read");
    assert_eq!(seen(&again), seen(entry));
    let encoding = |entry: &Entry| entry.collection().map(Collection::encoding);
    assert_eq!(encoding(&again), encoding(entry));
}

fn list_of(elements: &[Vec<u8>], limits: &Limits) -> Entry {
    let mut list = List::default();
    for element in elements {
        list.push(Side::Right, element, limits);
    }
    Entry::with_object(b"key", list)
}

fn set_of(members: &[Vec<u8>], limits: &Limits) -> Entry {
    let mut set = Set::default();
    for member in members {
        set.insert(member, limits);
    }
    Entry::with_object(b"key", set)
}

fn hash_of(members: &[Vec<u8>], limits: &Limits) -> Entry {
    let mut hash = Hash::default();
    for (place, member) in members.iter().enumerate() {
        hash.set(member, place.to_string().as_bytes(), limits);
    }
    Entry::with_object(b"key", hash)
}

fn sorted_set_of(members: &[Vec<u8>], limits: &Limits) -> Entry {
    let mut set = SortedSet::default();
    for (place, member) in members.iter().enumerate() {
        let score = Score::new(place as f64 / 3.0 - 5.0).expect("a number");
        set.insert(member, score, limits);
    }
    Entry::with_object(b"key", set)
}

fn stream_of(values: &[Vec<u8>], limits: &Limits) -> Entry {
    let mut stream = Stream::default();
    let mut group = Group::new(Id { ms: 1, seq: 0 }, None);
    group.add_consumer(b"ann", 5);
    group.add_consumer(b"bob", 7);
    for (place, value) in values.iter().enumerate() {
        let id = Id {
            ms: 1 + place as u64 / 3,
            seq: place as u64,
        };
        let name: &[u8] = if place % 7 == 3 { b"other" } else { b"name" };
        let fields = [name, value, b"n", b"17"];
        let fields = &fields[..if place % 5 == 4 { 2 } else { 4 }];
        stream.log.append(id, fields.iter().copied(), limits);
        if place % 4 == 1 {
            group.assign(id, if place % 8 == 1 { b"ann" } else { b"bob" }, 9, 2);
        }
        if place % 6 == 5 {
            stream.log.remove(id);
        }
    }
    stream.groups.insert((*b"readers").into(), group);
    stream
        .groups
        .insert((*b"late").into(), Group::new(Id::MAX, Some(3)));
    Entry::with_object(b"key", stream)
}

/// Values of all kinds, small and large, that are made of these texts.
fn entries_of(texts: &[Vec<u8>]) -> Vec<Entry> {
    let limits = &limits();
    let mut entries = vec![
        Entry::string(b"key", &texts.concat()),
        Entry::int(b"key", texts.len() as i64 * 1_000_003),
        stream_of(texts, limits),
    ];
    if !texts.is_empty() {
        let of = [list_of, set_of, hash_of, sorted_set_of];
        entries.extend(of.map(|of| of(texts, limits)));
    }
    entries
}

proptest! {
    #[test]
    fn values_of_every_kind_come_back(
        texts in proptest::collection::vec(proptest::collection::vec(0u8..80, 0..100), 0..200),
    ) {
        entries_of(&texts).iter().for_each(there_and_back);
    }

    #[test]
    fn integers_come_back(numbers: Vec<i64>) {
        let texts: Vec<_> = numbers.iter().map(|n| n.to_string().into_bytes()).collect();
        entries_of(&texts).iter().for_each(there_and_back);
        numbers.iter().for_each(|number| there_and_back(&Entry::int(b"key", *number)));
    }
}

/// Valid bytes of every form, newer and older.
fn samples() -> Vec<Vec<u8>> {
    let texts: Vec<Vec<u8>> = (0..40)
        .map(|n: i64| match n % 3 {
            0 => (n * n * n * 1000).to_string().into_bytes(),
            1 => format!("text {n}").into_bytes(),
            _ => vec![b'x'; n as usize * 4],
        })
        .collect();
    let integers: Vec<Vec<u8>> = (-5..5i64)
        .map(|n| (n * 7000).to_string().into_bytes())
        .collect();
    let some = |texts: &[Vec<u8>]| entries_of(texts).iter().map(written).collect::<Vec<_>>();
    let mut samples = [some(&texts), some(&texts[..4]), some(&integers)].concat();
    samples.extend(OLDER.iter().map(|bytes| bytes.to_vec()));
    samples
}

/// Older forms, and those that only newer versions write.
const OLDER: &[&[u8]] = &[
    b"\x01\x02\x01a\xc0\x07",
    b"\x03\x03\x01a\x031.5\x01b\xfe\x01c\xff",
    b"\x09\x0e\x02\x01a\x02\x01xy?\x01b\x01\x00z\xff",
    b"\x0e\x02\x10\x10\x00\x00\x00\x0d\x00\x00\x00\x02\x00\x00\x01a\x03\xf6\xff\x0e\x0e\x00\x00\x00\n\x00\x00\x00\x01\x00\x00\x01b\xff",
    b"\x0d\x16\x16\x00\x00\x00\x12\x00\x00\x00\x04\x00\x00\x01f\x03\xf2\x02\x01g\x03\x01x\xff",
    b"\x0c\x19\x19\x00\x00\x00\x16\x00\x00\x00\x04\x00\x00\x01a\x03\x04-1.5\x06\x01b\x03\xf4\xff",
    b"\x14\x0c\x0c\x00\x00\x00\x02\x00\x81a\x02\x07\x01\xff",
];

#[test]
fn the_samples_are_valid() {
    for sample in samples() {
        assert!(read_again(&sample).is_ok(), "{sample:?}");
    }
}

/// Whoever has a checksum program can make any bytes a payload, so reading them must be safe: they are
/// refused, or are a value whose structure holds, which is what it is when it is written and read again.
#[test]
fn bytes_that_are_nearly_a_value_are_refused_or_are_one() {
    let random = Random::new(17);
    for sample in samples() {
        for _ in 0..2000 {
            let mut bytes = sample.clone();
            for _ in 0..=random.next() % 3 {
                mutate(&mut bytes, &random);
            }
            if let Ok(entry) = read_again(&bytes) {
                let again = read_again(&written(&entry)).expect("a value is written as one");
                assert_eq!(seen(&again), seen(&entry), "{bytes:?}");
            }
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &Random) {
    let place = random.next() as usize % (bytes.len() + 1);
    let byte = match random.next() % 3 {
        0 => random.next() as u8,
        1 => [0, 1, 0x7f, 0x80, 0xc3, 0xfe, 0xff][random.next() as usize % 7],
        _ => bytes
            .get(place)
            .map_or(0, |byte| byte ^ 1 << (random.next() % 8)),
    };
    match random.next() % 8 {
        0 => bytes.insert(place, byte),
        1 => bytes.truncate(place),
        2 if place < bytes.len() => drop(bytes.remove(place)),
        3 => bytes.extend_from_within(place..),
        _ if place < bytes.len() => bytes[place] = byte,
        _ => {}
    }
}

#[test]
fn a_value_that_lies_is_refused() {
    let listpack = |elements: &[Str<'_>]| {
        use crate::types::listpack::{Gapped, ListpackMut, Room};
        let mut packed = Gapped::default();
        let mut listpack = ListpackMut::new(&mut packed);
        elements
            .iter()
            .for_each(|element| listpack.push([*element]));
        packed.bytes().to_vec()
    };
    let with = |form: u8, bytes: &[u8]| {
        let mut writer = Writer::default();
        writer.byte(form);
        writer.string(bytes);
        writer.into_bytes()
    };
    let (a, b, one) = (Str::Bytes(b"a"), Str::Bytes(b"b"), Str::Int(1));
    for (lie, bytes) in [
        ("a form that there is none of", vec![200]),
        (
            "more elements than bytes",
            b"\x02\x80\x7f\xff\xff\xff\x01a".to_vec(),
        ),
        (
            "more bytes than there are",
            b"\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a".to_vec(),
        ),
        ("a field twice", b"\x04\x02\x01a\x011\x01a\x012".to_vec()),
        ("a member twice", b"\x02\x02\x01a\x01a".to_vec()),
        (
            "a packed member twice",
            with(SET_LISTPACK, &listpack(&[a, a])),
        ),
        (
            "a packed field twice",
            with(HASH_LISTPACK, &listpack(&[a, one, a, b])),
        ),
        (
            "a field without a value",
            with(HASH_LISTPACK, &listpack(&[a, one, b])),
        ),
        (
            "a score that is no number",
            with(ZSET_LISTPACK, &listpack(&[a, b])),
        ),
        (
            "a score that is NaN",
            with(ZSET_LISTPACK, &listpack(&[a, Str::Bytes(b"nan")])),
        ),
        (
            "integers out of order",
            with(SET_INTSET, b"\x02\0\0\0\x02\0\0\0\x02\0\x01\0"),
        ),
        (
            "an integer twice",
            with(SET_INTSET, b"\x02\0\0\0\x02\0\0\0\x01\0\x01\0"),
        ),
        ("an empty hash", with(HASH_LISTPACK, &listpack(&[]))),
        ("something behind the value", b"\x00\x01ab".to_vec()),
    ] {
        assert!(read_again(&bytes).is_err(), "{lie}");
    }
}

#[test]
fn a_payload_is_known_by_its_checksum_and_its_version() {
    let sealed = payload::seal(b"body".to_vec());
    assert_eq!(payload::open(&sealed, Sums::Checked), Ok(&b"body"[..]));
    for place in 0..sealed.len() {
        let mut broken = sealed.clone();
        broken[place] ^= 1;
        assert_eq!(
            payload::open(&broken, Sums::Checked),
            Err(Malformed),
            "{place}"
        );
    }
    assert_eq!(payload::open(b"", Sums::Checked), Err(Malformed));
}

#[test]
fn a_hash_may_be_filled_by_what_was_read() {
    let hash = hash_of(&[b"a".to_vec()], &limits());
    let mut again = read_again(&written(&hash)).expect("a hash");
    let hash = again.object_mut::<Hash>().expect("a hash");
    assert_eq!(hash.set(b"b", b"2", &limits()), Written::Added);
    assert_eq!(hash.len(), 2);
}

#[test]
fn what_is_compressed_becomes_no_longer_than_there_is_room() {
    let list = list_of(&vec![vec![b'x'; 5000]; 100], &limits());
    let bytes = written(&list);
    assert!(bytes.len() < 50_000, "{}", bytes.len());
    let read = |room| read(&mut Reader::new(&bytes).with_room(room), &limits()).is_ok();
    assert!(read(1_000_000));
    assert!(!read(400_000));
}

/// A hash of which two of three fields expire.
fn timed() -> TimedHash {
    let mut hash = TimedHash::default();
    for (field, at_ms) in [("a", Some(2000)), ("b", None), ("c", Some(1000))] {
        hash.set(field.as_bytes(), b"value", &limits());
        hash.set_deadline(field.as_bytes(), at_ms, &limits());
    }
    hash
}

fn deadlines(entry: &Entry) -> Vec<Option<u64>> {
    let hash = entry.object::<TimedHash>().expect("fields of it expire");
    let deadline = |field: &str| hash.deadline(field.as_bytes()).expect("it is there");
    ["a", "b", "c"].map(deadline).into()
}

#[test]
fn fields_of_a_hash_expire_where_it_is_restored_as_where_it_was_dumped() {
    let mut writer = Writer::default();
    write(&Entry::with_object(b"key", timed()), &mut writer);
    let read = read_again(&writer.into_bytes()).expect("it was written so");
    assert_eq!(deadlines(&read), [Some(2000), None, Some(1000)]);
}

#[test]
fn a_small_hash_of_redis_8_of_which_fields_expire_is_read() {
    // Fields, values and times in turn, in the order of the times.
    let listpack = b"\x26\0\0\0\x09\0\x81c\x02\x81v\x02\xc3\xe8\x02\x81a\x02\x81v\x02\xc7\xd0\x02\x81b\x02\x81v\x02\0\x01\xff";
    let mut writer = Writer::default();
    writer.byte(HASH_LISTPACK_EX);
    writer.time_ms(1000);
    writer.string(&[&(listpack.len() as u32).to_le_bytes(), &listpack[4..]].concat());
    let read = read_again(&writer.into_bytes()).expect("it is whole");
    assert_eq!(deadlines(&read), [Some(2000), None, Some(1000)]);
}

#[test]
fn a_hash_of_which_no_field_expires_any_more_is_written_as_one_that_older_servers_read() {
    let mut hash = timed();
    for field in ["a", "c"] {
        hash.set_deadline(field.as_bytes(), None, &limits());
    }
    let mut writer = Writer::default();
    write(&Entry::with_object(b"key", hash), &mut writer);
    assert_eq!(writer.into_bytes()[0], HASH);
}
