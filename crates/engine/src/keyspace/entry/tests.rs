//! Entries against a model of plain vectors.

use std::alloc::{GlobalAlloc, System};
use std::cell::Cell;

use proptest::prelude::*;

use super::*;
use crate::hash::Seed;
use crate::types;
use crate::types::Limits;
use crate::types::hash::FieldMap;
use crate::types::list::Side;
use crate::types::sorted_set::Score;

/// From this time on, an entry has no slot.
const FAR_MS: u64 = 1 << 52;

/// The system's allocator, which counts the bytes that this thread holds: a value that is leaked,
/// freed twice or freed with another layout than its own leaves the count wrong.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: the system's allocator does all; counting touches no memory but a thread's own cell,
// which needs no initialisation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get() + layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }
}

/// What an entry should say.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    key: Vec<u8>,
    value: Value,
    expires_at: Option<u64>,
    filed: Option<Slot>,
    clock: u32,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Inline(Vec<u8>),
    Edited(Vec<u8>),
    Int(i64),
    Raw(Vec<u8>),
    List,
}

impl Model {
    fn string(&mut self, value: &[u8]) {
        self.value = match value.len() {
            0..=INLINE_MAX => Value::Inline(value.to_vec()),
            _ => Value::Raw(value.to_vec()),
        };
    }

    fn expiry(&mut self, expires_at: Option<u64>) {
        self.expires_at = expires_at;
        let is_near = expires_at.is_some_and(|at| at < FAR_MS);
        self.filed = self.filed.filter(|_| is_near);
    }

    fn raw(&mut self) {
        self.value = match std::mem::replace(&mut self.value, Value::List) {
            Value::Inline(bytes) | Value::Edited(bytes) | Value::Raw(bytes) => Value::Raw(bytes),
            Value::Int(int) => Value::Raw(int.to_string().into_bytes()),
            Value::List => Value::List,
        };
    }

    fn edit(&mut self, len_min: usize, first: u8) {
        let is_raw = matches!(self.value, Value::Raw(_));
        self.raw();
        if let Value::Raw(bytes) = &mut self.value {
            bytes.resize(bytes.len().max(len_min), 0);
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            if bytes.len() <= INLINE_MAX && !is_raw {
                self.value = Value::Edited(std::mem::take(bytes));
            }
        }
    }
}

fn seen(entry: &Entry) -> Model {
    let value = match (entry.kind(), entry.str()) {
        (Kind::Inline, Some(Str::Bytes(bytes))) => Value::Inline(bytes.to_vec()),
        (Kind::Edited, Some(Str::Bytes(bytes))) => Value::Edited(bytes.to_vec()),
        (Kind::Int, Some(Str::Int(int))) => Value::Int(int),
        (Kind::Raw, Some(Str::Bytes(bytes))) => Value::Raw(bytes.to_vec()),
        (Kind::List, None) => Value::List,
        (kind, string) => panic!("{kind:?} says {string:?}"),
    };
    assert_eq!(
        entry.object::<types::list::List>().is_some(),
        value == Value::List
    );
    assert!(entry.object::<types::hash::Hash>().is_none());
    Model {
        key: entry.key().to_vec(),
        value,
        expires_at: entry.expires_at(),
        filed: entry.filed(),
        clock: entry.clock(),
    }
}

#[derive(Clone, Debug)]
enum Step {
    SetString(Vec<u8>),
    SetStringUntil(Vec<u8>, Option<u64>),
    SetInt(i64),
    SetRaw(Vec<u8>),
    SetList,
    SetExpiry(Option<u64>),
    SetFiled(Slot),
    SetClock(u32),
    Append(Vec<u8>),
    Edit(usize, u8),
    Copy,
    Rename(Vec<u8>),
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let any_bytes = |len| prop::collection::vec(any::<u8>(), len);
    prop_oneof![
        8 => any_bytes(0..40),
        2 => any_bytes(1_000..1_050),
        1 => (65_530..65_540usize).prop_map(|len| vec![b'x'; len]),
    ]
}

/// Times of 63 bits, of which those beyond 52 have no slot.
fn time() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(prop_oneof![0..FAR_MS, FAR_MS..1 << 63])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => bytes().prop_map(Step::SetString),
        3 => (bytes(), time()).prop_map(|(b, at)| Step::SetStringUntil(b, at)),
        1 => any::<i64>().prop_map(Step::SetInt),
        1 => bytes().prop_map(Step::SetRaw),
        1 => Just(Step::SetList),
        3 => time().prop_map(Step::SetExpiry),
        1 => (0..2_047u16).prop_map(|bits| Step::SetFiled(Slot::from_bits(bits))),
        1 => any::<u32>().prop_map(Step::SetClock),
        1 => bytes().prop_map(Step::Append),
        4 => (0..1_100usize, any::<u8>()).prop_map(|(len, first)| Step::Edit(len, first)),
        1 => (0..60usize, any::<u8>()).prop_map(|(len, first)| Step::Edit(len, first)),
        1 => Just(Step::Copy),
        2 => bytes().prop_map(Step::Rename),
    ]
}

fn run(mut entry: Entry, model: &mut Model, step: Step) -> Entry {
    match step {
        Step::SetString(value) => {
            set_string(&mut entry, &value);
            model.string(&value);
        }
        Step::SetStringUntil(value, at) => {
            entry.set_string_until(&value, at);
            model.string(&value);
            model.expiry(at);
        }
        Step::SetInt(value) => {
            entry.set_int(value);
            model.value = Value::Int(value);
        }
        Step::SetRaw(value) => {
            model.value = Value::Raw(value.clone());
            entry.set_raw(value);
        }
        Step::SetList => {
            entry.set_object::<types::list::List>(Default::default());
            model.value = Value::List;
        }
        Step::SetExpiry(at) => {
            entry.set_expiry(at);
            model.expiry(at);
        }
        Step::SetFiled(slot) => {
            entry.set_filed(slot);
            model.filed = model.expires_at.filter(|at| *at < FAR_MS).map(|_| slot);
        }
        Step::SetClock(clock) => {
            entry.set_clock(clock);
            model.clock = clock & CLOCK_MASK;
        }
        Step::Append(tail) => {
            if let Some(bytes) = entry.make_raw() {
                bytes.extend_from_slice(&tail);
            }
            model.raw();
            if let Value::Raw(bytes) = &mut model.value {
                bytes.extend_from_slice(&tail);
            }
        }
        Step::Edit(len_min, first) => {
            if let Some(byte) = entry.edit(len_min).and_then(<[u8]>::first_mut) {
                *byte = first;
            }
            model.edit(len_min, first);
        }
        Step::Copy => {
            let (slot, clock) = (entry.filed(), entry.clock());
            entry = entry.copy(&model.key, &limits());
            entry.set_clock(clock);
            if let Some(slot) = slot {
                entry.set_filed(slot);
            }
        }
        Step::Rename(key) => {
            entry = entry.with_key(&key);
            model.key = key;
        }
    }
    entry
}

/// Makes the value a string; the expiry stays.
fn set_string(entry: &mut Entry, value: &[u8]) {
    entry.set_string_until(value, entry.expires_at());
}

proptest! {
    #[test]
    fn an_entry_does_what_its_model_does(
        key in bytes(),
        value in bytes(),
        steps in prop::collection::vec(step(), 0..40),
    ) {
        let mut entry = Entry::string(&key, &value);
        let mut model =
            Model { key, value: Value::List, expires_at: None, filed: None, clock: 0 };
        model.string(&value);
        for step in steps {
            entry = run(entry, &mut model, step);
            prop_assert_eq!(&seen(&entry), &model);
        }
    }
}

#[test]
fn a_short_string_takes_56_bytes() {
    let entry = Entry::string(&[b'k'; 16], &[b'v'; 32]);

    assert_eq!(entry.bytes(), 56);
    assert_eq!(size_of::<Option<Entry>>(), 8);
}

#[test]
fn a_string_is_overwritten_in_place_if_its_allocation_stays_as_large() {
    let mut entry = Entry::string(b"0123456789abcdef", b"12345");
    let address = entry.key().as_ptr();

    assert!(entry.overwrite_inline(b"12345678"));
    assert!(entry.overwrite_inline(b"1"));
    assert!(!entry.overwrite_inline(b"123456789"));
    assert!(!entry.overwrite_inline(b""));

    assert_eq!(entry.key().as_ptr(), address);
    assert_eq!(entry.str(), Some(Str::Bytes(b"1")));
    assert!(!Entry::int(b"key", 5).overwrite_inline(b"1"));
}

#[test]
fn an_edited_string_takes_the_bytes_that_it_says_and_moves_seldom() {
    let held = HELD.get();
    let mut entry = Entry::int(b"key", 7);
    let (mut places, mut wanted) = (std::collections::BTreeSet::new(), b"7".to_vec());
    for len in 2..=2 * INLINE_MAX {
        let bytes = entry.edit(len).expect("a string");
        bytes[len - 1] = len as u8;
        wanted.push(len as u8);
        places.insert(entry.key().as_ptr());
        assert_eq!(entry.str(), Some(Str::Bytes(&wanted)));
    }
    assert!(places.len() < 80, "{} places", places.len());
    let others = wanted.capacity() as isize;
    drop(places);
    assert_eq!(entry.bytes() as isize + others, HELD.get() - held);
    drop(entry);
    assert_eq!(HELD.get() - held, others);
}

#[test]
fn a_value_of_another_type_is_not_given_out() {
    let mut string = Entry::string(b"key", b"value");
    assert!(string.object_mut::<types::set::Set>().is_none());
    assert!(string.int_mut().is_none());
    assert!(string.raw_mut().is_none());

    let mut set = Entry::with_object::<types::set::Set>(b"key", Default::default());
    assert!(set.make_raw().is_none());
    assert!(set.edit(10).is_none());
    assert!(set.str().is_none());
    assert!(
        set.object_mut::<types::set::Set>()
            .is_some_and(|set| Object::is_empty(set))
    );
}

#[test]
fn a_string_can_be_made_with_its_expiry() {
    let entry = Entry::string_until(b"key", b"value", Some(5_000));

    assert_eq!((entry.expires_at(), entry.filed()), (Some(5_000), None));
    assert_eq!(entry.bytes(), 8 + 8 + 8);
}

#[test]
fn the_clock_is_set_by_readers() {
    let entry = Entry::int(b"key", -1);

    std::thread::scope(|scope| {
        for clock in [0x12_3456, 0xfe12_3456] {
            let entry = &entry;
            scope.spawn(move || entry.set_clock(clock));
        }
    });

    assert_eq!(entry.clock(), 0x12_3456);
    assert_eq!(entry.str(), Some(Str::Int(-1)));
}

/// Every way by which a value leaves an entry, for a value with memory of its own.
#[test]
fn nothing_is_leaked_or_freed_twice() {
    let value = || vec![7u8; 5_000];
    let held = HELD.get();

    drop(Entry::with_raw(b"key", value()));
    drop(Entry::with_raw(b"key", value()).with_key(&[b'k'; 70_000]));
    let mut entry = Entry::with_raw(b"key", value());
    entry.set_expiry(Some(5));
    entry.set_raw(value());
    entry.set_expiry(None);
    entry.set_int(5);
    entry.edit(700).expect("a string")[0] = 1;
    entry.edit(1_500).expect("a string")[1_499] = 1;
    entry.set_raw(value());
    set_string(&mut entry, b"short");
    entry.edit(9).expect("a string").fill(3);
    entry.make_raw().expect("a string").extend(value());
    entry.set_object::<types::list::List>(Default::default());
    entry.set_string_until(&value(), Some(7));
    drop(entry);

    assert_eq!(HELD.get(), held);
}

// --- what collections have allocated ------------------------------------------------------------

/// Limits that a few steps go beyond.
fn limits() -> Limits {
    let limits = Limits::new(Seed::new(1, 2));
    limits.hash_max_listpack_entries.set(6);
    limits.zset_max_listpack_entries.set(6);
    limits.set_max_listpack_entries.set(6);
    limits.set_max_intset_entries.set(6);
    limits
}

#[derive(Clone, Debug)]
enum Change {
    Add(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    Expire(Option<u64>),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let member = || {
        prop_oneof![
            (0u16..300).prop_map(|number| number.to_string().into_bytes()),
            prop::collection::vec(b'a'..b'c', 0..9),
        ]
    };
    let bytes = |len| prop::collection::vec(any::<u8>(), len);
    let value = || prop_oneof![bytes(0..20usize), bytes(60..300usize)];
    let change = prop_oneof![
        8 => (member(), value()).prop_map(|(member, value)| Change::Add(member, value)),
        3 => member().prop_map(Change::Remove),
        1 => prop::option::of(any::<u64>()).prop_map(Change::Expire),
    ];
    prop::collection::vec(change, 0..300)
}

/// Makes changes to an entry, and asserts after each that it takes as many bytes as it says.
fn count_bytes<T: Object>(changes: &[Change], change: impl Fn(&mut T, &Change)) {
    let before = HELD.get();
    let mut entry = Entry::with_empty::<T>(b"a key");
    for step in changes {
        match step {
            Change::Expire(at_ms) => entry.set_expiry(*at_ms),
            step => change(entry.object_mut().expect("it stays what it is"), step),
        }
        assert_eq!(entry.bytes() as isize, HELD.get() - before);
        assert_eq!(entry.key(), b"a key");
    }
    let copied_before = HELD.get();
    let copy = entry.copy(b"another key", &limits());
    assert_eq!(copy.bytes() as isize, HELD.get() - copied_before);
    assert_eq!(
        entry.object::<T>().map(T::encoding),
        copy.object::<T>().map(T::encoding)
    );
    assert_eq!(
        entry.object::<T>().map(T::len),
        copy.object::<T>().map(T::len)
    );
    drop((entry, copy));
    assert_eq!(HELD.get(), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_hash_takes_the_bytes_that_it_says(changes in changes()) {
        let limits = limits();
        count_bytes::<types::hash::Hash>(&changes, |hash, change| match change {
            Change::Add(field, value) => {
                let _ = hash.set(field, value, &limits);
            }
            Change::Remove(field) => {
                let _ = hash.remove(field);
            }
            Change::Expire(_) => {}
        });
    }

    #[test]
    fn a_hash_whose_fields_expire_takes_the_bytes_that_it_says(changes in changes()) {
        let limits = limits();
        count_bytes::<types::hash::TimedHash>(&changes, |hash, change| match change {
            Change::Add(field, value) => {
                let _ = hash.update(field, value, &limits);
                let at_ms = value.first().map(|byte| u64::from(byte % 8));
                hash.set_deadline(field, at_ms, &limits);
            }
            Change::Remove(field) if field.len() == 1 => {
                hash.expire(4, 2);
            }
            Change::Remove(field) => {
                let _ = hash.remove(field);
            }
            Change::Expire(_) => {}
        });
    }

    #[test]
    fn a_set_takes_the_bytes_that_it_says(changes in changes()) {
        let limits = limits();
        count_bytes::<types::set::Set>(&changes, |set, change| match change {
            Change::Add(member, _) => {
                let _ = set.insert(member, &limits);
            }
            Change::Remove(member) => {
                let _ = set.remove(member);
            }
            Change::Expire(_) => {}
        });
    }

    #[test]
    fn a_sorted_set_takes_the_bytes_that_it_says(changes in changes()) {
        let limits = limits();
        count_bytes::<types::sorted_set::SortedSet>(&changes, |set, change| match change {
            Change::Add(member, value) => {
                let score = Score::new(value.len() as f64 / 2.0).unwrap();
                let _ = set.insert(member, score, &limits);
            }
            Change::Remove(member) => {
                let _ = set.remove(member);
            }
            Change::Expire(_) => {}
        });
    }

    #[test]
    fn a_list_takes_the_bytes_that_it_says(changes in changes(), size in prop_oneof![Just(5i64), Just(-1)]) {
        let limits = limits();
        limits.list_max_listpack_size.set(size);
        count_bytes::<types::list::List>(&changes, |list, change| match change {
            Change::Add(element, place) if place.len() < 20 => {
                list.insert(place.len(), element, &limits);
            }
            Change::Add(_, element) if element.len() % 2 == 0 => {
                list.push(Side::Left, element, &limits);
            }
            Change::Add(_, element) => list.push(Side::Right, element, &limits),
            Change::Remove(element) if element.len() > 2 => {
                list.discard(Side::Right, element.len(), &limits);
            }
            Change::Remove(element) => {
                let _ = list.remove(element, 3, Side::Left, &limits);
            }
            Change::Expire(_) => {}
        });
    }
}
