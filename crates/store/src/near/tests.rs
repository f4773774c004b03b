use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::{Answer, Backend, Channels, Command, Error, Store, Subscription, Value};

/// Far more than anything here takes, and the bytes of a page.
const ROOM: usize = 1 << 20;

fn words(line: &str) -> Command {
    let mut words = line.split(' ');
    Command::new(words.next().unwrap()).args(words)
}

fn text(len: usize) -> Value {
    Value::Bytes(vec![b'x'; len].into())
}

/// Reads a key whose answer is this, and keeps it.
fn read(places: &Arc<Places>, source: &Arc<Source>, line: &str, value: &Value) -> Freshness {
    let command = words(line);
    let key = command.arguments().get(1).unwrap();
    match places.reserve(key, source) {
        Some(place) => place.answered(&command, value, Keep::Answer, None),
        None => Freshness::NEVER,
    }
}

fn kept(places: &Places, line: &str) -> Option<Value> {
    places.kept(&words(line)).map(|(value, _)| value)
}

#[test]
fn what_was_read_is_kept_until_its_key_changes() {
    let (places, source) = (Places::new(ROOM), Arc::default());
    let freshness = read(&places, &source, "GET a", &Value::Int(1));
    read(&places, &source, "STRLEN a", &Value::Int(2));
    read(&places, &source, "GET b", &Value::Int(3));
    assert_eq!(kept(&places, "GET a"), Some(Value::Int(1)));
    assert_eq!(kept(&places, "STRLEN a"), Some(Value::Int(2)));
    assert!(freshness.is_fresh());

    places.changed(b"a");
    assert!(!freshness.is_fresh());
    assert_eq!(kept(&places, "GET a"), None);
    assert_eq!(kept(&places, "STRLEN a"), None);
    assert_eq!(kept(&places, "GET b"), Some(Value::Int(3)));
    assert_eq!(
        (places.stats().invalidations, places.stats().entries),
        (1, 1)
    );
    places.check_invariants();
}

#[test]
fn requests_of_the_same_key_are_told_apart_by_every_word() {
    let (places, source) = (Places::new(ROOM), Arc::default());
    let lines = [
        "GETRANGE a 1 11",
        "GETRANGE a 11 1",
        "GETRANGE a 1 1",
        "HGET a 11",
        "HMGET a 1 1",
    ];
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(kept(&places, line), None, "{line}");
        read(&places, &source, line, &Value::Int(number as i64));
    }
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(
            kept(&places, line),
            Some(Value::Int(number as i64)),
            "{line}"
        );
    }
    let joined = Command::new("GETRANGE").arg("a").arg("1 11");
    assert!(places.kept(&joined).is_none());
}

#[test]
fn an_answer_that_is_overtaken_by_a_change_is_not_kept() {
    let (places, source) = (Places::new(ROOM), Arc::<Source>::default());
    type Change = fn(&Places, &Source);
    let changes: [Change; 4] = [
        |places, _| places.changed(b"a"),
        |places, _| places.all_changed(),
        |_, source| source.flush(),
        |_, source| source.end(),
    ];
    for change in changes {
        let source = Arc::<Source>::default();
        let place = places.reserve(b"a", &source).unwrap();
        change(&places, &source);
        // Another read has begun since, and its place is not that of the first.
        let other = places.reserve(b"a", &Arc::default());
        let freshness = place.answered(&words("GET a"), &Value::Int(1), Keep::Answer, None);
        assert!(!freshness.is_fresh());
        assert_eq!(kept(&places, "GET a"), None);
        drop(other);
    }
    assert_eq!(places.stats().entries, 0);
    read(&places, &source, "GET a", &Value::Int(2));
    assert_eq!(kept(&places, "GET a"), Some(Value::Int(2)));
}

#[test]
fn a_read_that_comes_to_nothing_leaves_nothing() {
    let (places, source) = (Places::new(ROOM), Arc::default());
    let (first, second) = (places.reserve(b"a", &source), places.reserve(b"a", &source));
    assert_eq!((places.readers(), places.stats().entries), (2, 1));
    drop(first);
    assert_eq!((places.readers(), places.stats().entries), (1, 1));
    drop(second);
    assert_eq!((places.stats().entries, places.stats().bytes), (0, 0));

    // What others have kept stays.
    read(&places, &source, "GET a", &Value::Int(1));
    drop(places.reserve(b"a", &source));
    assert_eq!(kept(&places, "GET a"), Some(Value::Int(1)));
}

#[test]
fn a_place_lasts_as_long_as_somebody_looks_at_its_freshness() {
    let (places, source) = (Places::new(ROOM), Arc::default());
    let place = places.reserve(b"a", &source).unwrap();
    let freshness = place.answered(&words("GET a"), &Value::Int(1), Keep::Freshness, None);
    assert!(freshness.is_fresh());
    assert_eq!((places.stats().entries, kept(&places, "GET a")), (1, None));
    places.changed(b"a");
    assert!(!freshness.is_fresh());
}

#[test]
fn when_the_places_go_nothing_is_fresh_any_more() {
    let (places, source) = (Places::new(ROOM), Arc::default());
    let freshness = read(&places, &source, "GET a", &Value::Int(1));
    drop(places);
    assert!(!freshness.is_fresh());
}

#[test]
fn when_a_source_flushes_or_ends_all_of_it_is_stale_and_nothing_else() {
    for end in [Source::flush, Source::end] {
        let places = Places::new(ROOM);
        let (one, other) = (Arc::<Source>::default(), Arc::<Source>::default());
        let (a, b) = (
            read(&places, &one, "GET a", &Value::Int(1)),
            read(&places, &other, "GET b", &Value::Int(2)),
        );
        end(&one);
        assert_eq!((a.is_fresh(), b.is_fresh()), (false, true));
        assert_eq!(kept(&places, "GET a"), None);
        read(&places, &other, "GET a", &Value::Int(3));
        end(&other);
        places.dusty();
        assert_eq!(places.stats().entries, 0);
    }
}

#[test]
fn what_has_ended_never_becomes_fresh_again() {
    let (places, source) = (Places::new(ROOM), Arc::<Source>::default());
    source.end();
    assert!(!read(&places, &source, "GET a", &Value::Int(1)).is_fresh());
    source.flush();
    assert!(!read(&places, &source, "GET a", &Value::Int(1)).is_fresh());
    assert!(source.has_ended());
}

#[test]
fn nothing_is_kept_longer_than_its_key_lives() {
    let (places, source) = (Places::new(ROOM), Arc::default());
    let read_until = |until| {
        let place = places.reserve(b"a", &source).unwrap();
        place.answered(
            &words("GET a"),
            &Value::Int(1),
            Keep::Answer,
            Some(Life::Until(until)),
        )
    };
    assert!(!read_until(Instant::now()).is_fresh());
    assert_eq!(kept(&places, "GET a"), None);
    assert!(read_until(Instant::now() + Duration::from_secs(60)).is_fresh());
    assert_eq!(kept(&places, "GET a"), Some(Value::Int(1)));
}

#[test]
fn what_was_stale_once_stays_so_though_the_clock_is_set_back() {
    let (places, source) = (Places::new(ROOM), Arc::default());
    let lives = Arc::new(AtomicBool::new(true));
    let life = Life::While(Box::new({
        let lives = Arc::clone(&lives);
        move || lives.load(Ordering::SeqCst)
    }));
    let place = places.reserve(b"a", &source).unwrap();
    let freshness = place.answered(&words("GET a"), &Value::Int(1), Keep::Answer, Some(life));
    assert!(freshness.is_fresh());
    lives.store(false, Ordering::SeqCst);
    assert!(!freshness.is_fresh());
    lives.store(true, Ordering::SeqCst);
    assert!(!freshness.is_fresh());
    assert_eq!(kept(&places, "GET a"), None);
}

#[test]
fn what_is_looked_at_stays_when_others_make_room() {
    let (places, source) = (Places::new(ROOM), Arc::default());
    let place = places.reserve(b"hot", &source).unwrap();
    let hot = place.answered(&words("GET hot"), &Value::Int(1), Keep::Freshness, None);
    for number in 0..100_000 {
        read(&places, &source, &format!("GET cold:{number}"), &text(10));
        assert!(hot.is_fresh(), "{number}");
    }
}

#[test]
fn a_million_keys_take_no_more_room_than_there_is() {
    let (places, source) = (Places::new(ROOM), Arc::default());
    for number in 0..1_000_000 {
        read(&places, &source, &format!("GET key:{number}"), &text(10));
        assert!(number % 1_000 > 0 || places.stats().bytes <= ROOM);
    }
    places.check_invariants();
    let stats = places.stats();
    assert!(stats.entries > 1_000, "{stats:?}");
    assert_eq!(stats.evictions as usize + stats.entries, 1_000_000);
}

#[test]
fn what_is_used_stays_when_others_make_room() {
    let (places, source) = (Places::new(ROOM), Arc::default());
    let freshness = read(&places, &source, "GET hot", &Value::Int(1));
    for number in 0..100_000 {
        read(&places, &source, &format!("GET cold:{number}"), &text(10));
        assert_eq!(kept(&places, "GET hot"), Some(Value::Int(1)), "{number}");
    }
    assert!(freshness.is_fresh());
}

#[test]
fn what_makes_room_is_not_fresh_any_more() {
    let (places, source) = (Places::new(ROOM), Arc::default());
    let first = read(&places, &source, "GET first", &Value::Int(1));
    for number in 0..100_000 {
        read(&places, &source, &format!("GET {number}"), &text(10));
    }
    assert!(!first.is_fresh());
}

#[test]
fn an_answer_that_would_take_more_than_an_eighth_is_not_kept() {
    let (places, source) = (Places::new(ROOM), Arc::default());
    assert!(read(&places, &source, "GET a", &text(ROOM / 8)).is_fresh());
    assert_eq!(kept(&places, "GET a"), None);
    let list = Value::Array(vec![Value::Int(0); ROOM / 8 / 16]);
    read(&places, &source, "LRANGE b 0 -1", &list);
    assert_eq!(kept(&places, "LRANGE b 0 -1"), None);
    read(&places, &source, "GET c", &text(ROOM / 9));
    assert_eq!(kept(&places, "GET c"), Some(text(ROOM / 9)));
}

#[test]
fn without_room_nothing_is_fresh() {
    let source = Arc::default();
    for bytes in [0, 1, PLACE_AND_MORE] {
        let places = Places::new(bytes);
        let long = format!("GET {}", "k".repeat(PLACE_AND_MORE));
        assert!(!read(&places, &source, &long, &Value::Int(1)).is_fresh());
        assert_eq!((places.stats().bytes, places.stats().entries), (0, 0));
    }
}

const PLACE_AND_MORE: usize = 1_000;

/// The same steps by chance, on places and on a model that forgets nothing but what has changed: what is
/// kept is what the model has.
#[test]
fn what_is_kept_is_what_a_model_has_that_forgets_nothing_too_soon() {
    let mut seed = 7_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    let (places, source) = (Places::new(20_000), Arc::default());
    let mut model = std::collections::HashMap::new();
    for step in 0..50_000 {
        let key = format!("k{}", random(100));
        let line = format!("GETRANGE {key} 0 {}", random(3));
        match random(10) {
            0 => {
                places.changed(key.as_bytes());
                model.retain(|known: &String, _| !known.starts_with(&format!("GETRANGE {key} ")));
            }
            1 if step % 50 == 0 => {
                places.all_changed();
                model.clear();
            }
            2 => drop(places.reserve(key.as_bytes(), &source)),
            3..6 => {
                let value = model
                    .entry(line.clone())
                    .or_insert_with(|| text(step % 2_000));
                read(&places, &source, &line, value);
            }
            _ => {
                let found = kept(&places, &line);
                assert!(
                    found.is_none() || found.as_ref() == model.get(&line),
                    "{step}"
                );
            }
        }
        places.check_invariants();
    }
    assert!(places.stats().hits > 1_000);
}

/// A store that answers everything and tells of nothing.
struct Deaf;

impl Backend for Deaf {
    fn call(&self, _: Command) -> Answer<'_, Value> {
        Answer::ready(Ok(Value::Int(1)))
    }

    fn call_all(&self, _: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        Answer::ready(Ok(Vec::new()))
    }

    fn subscribe(&self, _: Channels) -> Answer<'_, Subscription> {
        Answer::ready(Err(Error::Closed))
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(answered) = future.as_mut().poll(&mut context) {
            return answered;
        }
    }
}

#[test]
fn a_store_that_tells_of_nothing_is_asked_each_time_and_is_never_fresh() {
    let near = Store::new(Deaf).within(Duration::from_secs(1)).near(ROOM);
    assert!(!near.is_told());
    assert_eq!(now(near.call(words("GET a"))), Ok(Value::Int(1)));
    let (value, freshness) = now(near.fresh(words("GET a"))).unwrap();
    assert_eq!((value, freshness.is_fresh()), (Value::Int(1), false));
    assert_eq!(near.stats(), NearStats::default());
}

#[test]
fn what_is_no_function_of_one_value_is_refused() {
    let near = Store::new(Deaf).near(ROOM);
    for line in [
        "TTL a",
        "MGET a b",
        "SET a 1",
        "SRANDMEMBER a",
        "PING",
        "GET",
        "FT.SEARCH a",
    ] {
        let errors = [
            now(near.call(words(line))).unwrap_err(),
            now(near.fresh(words(line))).map(|_| ()).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, Error::Invalid { .. }), "{error}");
            assert!(
                error.to_string().contains("a function of the value"),
                "{error}"
            );
        }
    }
}
