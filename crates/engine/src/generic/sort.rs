//! SORT: the elements of a list, a set or a sorted set in another order.
//!
//! ```text
//! read the elements ── weigh each (BY) ── sort ── cut (LIMIT) ── look up (GET) ── answer or STORE
//! ```
//!
//! A pattern of BY or GET names a key for each element, so the command holds every shard.

use std::borrow::Cow;
use std::cmp::Ordering;

use larder_resp::Arguments;

use crate::args::Args;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};
use crate::float::parse_float;
use crate::keyspace::entry::{Collection, Entry, Object, Str};
use crate::keyspace::{Expiry, Keyspace};
use crate::text::c_text;
use crate::types::hash::{FieldMap, Hash, TimedHash};
use crate::types::list::{List, Side};

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "SORT",
        run: sort,
        arity: Arity::AtLeast(2),
        keys: KeySpec::FirstAndStore(2),
        flags: Flags::WRITE.and(Flags::DENY_OOM).and(Flags::WHOLE),
        syntax: "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] \
                 [ASC | DESC] [ALPHA] [STORE destination]",
        summary: "Sorts the elements of a list, a set or a sorted set, and gives or stores them.",
        complexity: "O(n log n), n the number of elements.",
        since: "1.0.0",
    },
    Row {
        name: "SORT_RO",
        run: sort_ro,
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: Flags::READONLY.and(Flags::WHOLE),
        syntax: "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] \
                 [ASC | DESC] [ALPHA]",
        summary: "Sorts the elements of a list, a set or a sorted set, and gives them.",
        complexity: "O(n log n), n the number of elements.",
        since: "7.0.0",
    },
];

/// Whether a command needs every key, as far as its words tell: one that works on all, and a SORT that
/// looks at keys by a pattern.
pub(crate) fn looks_elsewhere(command: &Row, arguments: Arguments<'_>) -> bool {
    let mut words = arguments.iter();
    let is_pattern =
        |word: &[u8]| word.eq_ignore_ascii_case(b"BY") || word.eq_ignore_ascii_case(b"GET");
    !command.name.starts_with("SORT") || words.any(is_pattern)
}

fn sort(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let reads_all = call.session.may_read_all(call.command, call.request());
    let request = Request::read(&mut call.args, true, reads_all)?;
    run(call, key, &request)
}

fn sort_ro(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let reads_all = call.session.may_read_all(call.command, call.request());
    let request = Request::read(&mut call.args, false, reads_all)?;
    run(call, key, &request)
}

// --- what is asked for ------------------------------------------------------------------------

/// The arguments behind the key.
#[derive(Clone)]
struct Request<'a> {
    order: Order<'a>,
    descending: bool,
    offset: usize,
    /// `None` is all.
    count: Option<usize>,
    /// What is given of each element: the element itself if this is empty.
    get: Vec<Pattern<'a>>,
    store: Option<&'a [u8]>,
}

/// By what the elements are sorted.
#[derive(Clone, Copy)]
enum Order<'a> {
    /// Not at all.
    Unchanged,
    /// As numbers: the elements, or what a pattern finds for them.
    Number(Option<Pattern<'a>>),
    /// As bytes.
    Alpha(Option<Pattern<'a>>),
}

impl<'a> Request<'a> {
    fn read(args: &mut Args<'a>, may_store: bool, reads_all: bool) -> Result<Request<'a>> {
        let denied = |option| {
            Error::text(format!(
                "ERR {option} option of SORT denied due to insufficient ACL permissions."
            ))
        };
        let (mut by, mut alpha) = (None, false);
        let mut request = Request {
            order: Order::Unchanged,
            descending: false,
            offset: 0,
            count: None,
            get: Vec::new(),
            store: None,
        };
        while !args.is_empty() {
            if args.option("ASC") {
                request.descending = false;
            } else if args.option("DESC") {
                request.descending = true;
            } else if args.option("ALPHA") {
                alpha = true;
            } else if args.len() > 2 && args.option("LIMIT") {
                request.offset = usize::try_from(args.int()?).unwrap_or(0);
                request.count = usize::try_from(args.int()?).ok();
            } else if may_store && args.len() > 1 && args.option("STORE") {
                request.store = Some(args.key()?);
            } else if args.len() > 1 && args.option("BY") {
                let pattern = args.bytes()?;
                if !reads_all && pattern.contains(&b'*') {
                    return Err(denied("BY"));
                }
                by = Some(pattern);
            } else if args.len() > 1 && args.option("GET") {
                if !reads_all {
                    return Err(denied("GET"));
                }
                request.get.push(Pattern::new(args.bytes()?));
            } else {
                return Err(Error::Syntax);
            }
        }
        request.order = match by.map(Pattern::new) {
            Some(Pattern::Nothing | Pattern::Element) => Order::Unchanged,
            by if alpha => Order::Alpha(by),
            by => Order::Number(by),
        };
        Ok(request)
    }
}

impl Request<'_> {
    /// Sorts in the direction that is asked for. What is equal stays as it is.
    fn sort(&self, elements: &mut [Element], compare: fn(&Element, &Element) -> Ordering) {
        match self.descending {
            false => elements.sort_by(compare),
            true => elements.sort_by(|one, other| compare(other, one)),
        }
    }
}

/// Where something is found for an element.
#[derive(Clone, Copy)]
enum Pattern<'a> {
    /// `#`: it is the element itself.
    Element,
    /// The key with the element between these two, or a field of its hash.
    Key {
        before: &'a [u8],
        after: &'a [u8],
        field: Option<&'a [u8]>,
    },
    /// There is no `*` in it, so nothing is ever found.
    Nothing,
}

impl<'a> Pattern<'a> {
    fn new(text: &'a [u8]) -> Pattern<'a> {
        if text == b"#" {
            return Pattern::Element;
        }
        let Some(star) = text.iter().position(|&byte| byte == b'*') else {
            return Pattern::Nothing;
        };
        let (before, after) = (&text[..star], &text[star + 1..]);
        match after.windows(2).position(|pair| pair == b"->") {
            // An arrow with nothing behind it is a part of the key.
            Some(arrow) if arrow + 2 < after.len() => Pattern::Key {
                before,
                after: &after[..arrow],
                field: Some(&after[arrow + 2..]),
            },
            _ => Pattern::Key {
                before,
                after,
                field: None,
            },
        }
    }

    /// What is found for an element.
    fn find<'v>(&self, keyspace: &'v Keyspace<'_>, element: &'v [u8]) -> Option<Cow<'v, [u8]>> {
        let (before, after, field) = match *self {
            Pattern::Element => return Some(Cow::Borrowed(element)),
            Pattern::Nothing => return None,
            Pattern::Key {
                before,
                after,
                field,
            } => (before, after, field),
        };
        let key = [before, element, after].concat();
        // A key that holds another type is as good as none.
        match field {
            None => Some(keyspace.read_string(&key).ok()??.into_bytes()),
            Some(field) => field_of(keyspace, &key, field).map(Str::into_bytes),
        }
    }
}

/// The value of a field of a hash, whether or not fields of it may expire.
fn field_of<'v>(keyspace: &'v Keyspace<'_>, key: &[u8], field: &[u8]) -> Option<Str<'v>> {
    match keyspace.read::<Hash>(key) {
        Ok(hash) => hash?.get(field),
        Err(_) => {
            let hash = keyspace.entry(key)?.object::<TimedHash>()?;
            hash.get_at(field, keyspace.now_ms())
        }
    }
}

// --- doing it ---------------------------------------------------------------------------------

fn run(call: &mut Call<'_, '_>, key: &[u8], request: &Request<'_>) -> Result<()> {
    let value = call.keyspace.entry(key).and_then(Entry::collection);
    let has_order = value.is_some_and(Collection::is_ordered);
    let mut elements = elements(call.keyspace, key)?;
    let order = match request.order {
        // A set has no order of its own, and what is stored or scripted must not depend on one.
        Order::Unchanged if !has_order && (request.store.is_some() || !call.may_wait()) => {
            Order::Alpha(None)
        }
        order => order,
    };
    match order {
        Order::Unchanged if has_order && request.descending => elements.reverse(),
        Order::Unchanged => {}
        Order::Alpha(None) => request.sort(&mut elements, Element::compare_bytes),
        Order::Alpha(Some(by)) => {
            for element in &mut elements {
                element.found = by.find(call.keyspace, &element.bytes).map(Cow::into_owned);
            }
            request.sort(&mut elements, Element::compare_found);
        }
        Order::Number(by) => {
            for element in &mut elements {
                element.weigh(by, call.keyspace)?;
            }
            request.sort(&mut elements, Element::compare_weights);
        }
    }

    let wanted = elements.into_iter().skip(request.offset);
    let wanted: Vec<Element> = wanted.take(request.count.unwrap_or(usize::MAX)).collect();
    match request.store {
        None => answer(call, &wanted, &request.get),
        Some(destination) => store(call, destination, &wanted, &request.get),
    }
    Ok(())
}

fn answer(call: &mut Call<'_, '_>, elements: &[Element], get: &[Pattern<'_>]) {
    call.reply.array(elements.len() * get.len().max(1));
    for Element { bytes, .. } in elements {
        if get.is_empty() {
            call.reply.bulk(bytes);
        }
        for pattern in get {
            call.reply
                .bulk_or_null(pattern.find(call.keyspace, bytes).as_deref());
        }
    }
}

fn store(call: &mut Call<'_, '_>, destination: &[u8], elements: &[Element], get: &[Pattern<'_>]) {
    let limits = call.keyspace.limits();
    let mut list = List::default();
    for Element { bytes, .. } in elements {
        if get.is_empty() {
            list.push(Side::Right, bytes, limits);
        }
        for pattern in get {
            let found = pattern.find(call.keyspace, bytes);
            list.push(Side::Right, found.as_deref().unwrap_or_default(), limits);
        }
    }
    let len = list.len();
    call.keyspace.put(destination, list, Expiry::Clear);
    call.reply.int(len as i64);
}

const NO_DOUBLE: &str = "ERR One or more scores can't be converted into double";

/// The number that an element is sorted by. Here alone spaces may stand before it, a zero byte ends
/// it, and nothing is 0.
fn weight(text: &[u8]) -> Option<f64> {
    let text = c_text(text);
    match text.trim_ascii_start() {
        [] => Some(0.0),
        number => parse_float(number),
    }
}

/// An element, and by what it is sorted.
struct Element {
    bytes: Vec<u8>,
    weight: f64,
    /// What the pattern of BY found, where that is compared as bytes.
    found: Option<Vec<u8>>,
}

impl Element {
    fn new(bytes: Vec<u8>) -> Element {
        Element {
            bytes,
            weight: 0.0,
            found: None,
        }
    }

    /// Weighs the element, or what the pattern finds for it; nothing weighs 0.
    fn weigh(&mut self, by: Option<Pattern<'_>>, keyspace: &Keyspace<'_>) -> Result<()> {
        let weight = match by {
            None => weight(&self.bytes),
            Some(by) => match by.find(keyspace, &self.bytes) {
                None => Some(0.0),
                Some(found) => weight(&found),
            },
        };
        self.weight = weight.ok_or(Error::text(NO_DOUBLE))?;
        Ok(())
    }

    fn compare_bytes(&self, other: &Element) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }

    /// What was not found comes first.
    fn compare_found(&self, other: &Element) -> Ordering {
        self.found.cmp(&other.found)
    }

    /// Equal weights are ordered by the elements, so that there is one answer only.
    fn compare_weights(&self, other: &Element) -> Ordering {
        let by_weight = self
            .weight
            .partial_cmp(&other.weight)
            .unwrap_or(Ordering::Equal);
        by_weight.then_with(|| self.compare_bytes(other))
    }
}

/// The elements of a value that can be sorted; none if there is no such key.
fn elements(keyspace: &Keyspace<'_>, key: &[u8]) -> Result<Vec<Element>> {
    let Some(entry) = keyspace.ask(key) else {
        return Ok(Vec::new());
    };
    let elements = entry.collection().and_then(Collection::elements);
    let elements = elements.ok_or(Error::WrongType)?;
    Ok(elements.into_iter().map(Element::new).collect())
}
