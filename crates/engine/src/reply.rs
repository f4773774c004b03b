//! Where a command's answer goes.
//!
//! A command answers through a [`Reply`] and never learns which: [`RespReply`] writes into a
//! connection's buffer, [`ValueReply`] builds a [`Value`] for a caller in this process, and the
//! one in `scripting` pushes Lua values. So a `GET` copies its value once, whoever asked.
//!
//! A container is opened with its length and then filled by as many calls: `array(2)`, `int(1)`,
//! `int(2)`. Every command answers exactly one value.

use std::borrow::Cow;

use bytes::Bytes;
use larder_resp::{self as resp, CHUNK, Chunks, Sealed};
use larder_store::{Refusal, Value};

use crate::error::Error;

/// A sink for one answer.
pub trait Reply {
    /// A status, such as `OK`.
    fn status(&mut self, text: &str);
    /// A refusal.
    fn error(&mut self, error: &Error);
    /// A whole number.
    fn int(&mut self, number: i64);
    /// A byte string.
    fn bulk(&mut self, bytes: &[u8]);
    /// A byte string that others may share: where the sink allows it, it is not copied.
    fn bulk_shared(&mut self, bytes: &Bytes) {
        self.bulk(bytes);
    }
    /// Nothing, where a byte string or a number could have been.
    fn null(&mut self);
    /// Nothing, where an array could have been.
    fn null_array(&mut self);
    /// Opens an array of this many values.
    fn array(&mut self, len: usize);
    /// Opens a map of this many pairs.
    fn map(&mut self, pairs: usize);
    /// Opens a set of this many values.
    fn set(&mut self, len: usize);
    /// Opens a message that is no answer, of this many values.
    fn push(&mut self, len: usize);
    /// Opens an attribute of this many pairs, which stands before the value that it is of. Answers
    /// whether the sink has such: where not, the pairs are left out.
    fn attribute(&mut self, _pairs: usize) -> bool {
        false
    }
    /// A floating-point number. It is never NaN.
    fn double(&mut self, number: f64);
    /// A floating-point number that is finite, with up to 17 decimals where numbers are texts.
    fn long_double(&mut self, number: f64) {
        match self.is_resp3() {
            true => self.double(number),
            false => self.bulk(decimals(number).as_bytes()),
        }
    }
    /// A yes or a no; 1 or 0 in RESP2.
    fn bool(&mut self, yes: bool);
    /// An integer of any size, in decimal.
    fn big_number(&mut self, digits: &str);
    /// A text for people.
    fn verbatim(&mut self, text: &str);
    /// Whether the answer has the types of RESP3. Few commands need to ask: those whose nesting
    /// differs between the two protocols.
    fn is_resp3(&self) -> bool;
    /// Goes on in RESP3 or in RESP2, where that can be chosen.
    fn set_resp3(&mut self, _resp3: bool) {}

    /// The status `OK`.
    fn ok(&mut self) {
        self.status("OK");
    }

    /// The status `PONG`.
    fn pong(&mut self) {
        self.status("PONG");
    }

    /// A refusal by its text, code first.
    fn refusal(&mut self, text: &str) {
        self.error(&Error::Text(text.to_owned().into()));
    }

    /// A byte string if there is one.
    fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// A byte string for each of these.
    fn bulks(&mut self, items: &[&[u8]]) {
        self.array(items.len());
        for item in items {
            self.bulk(item);
        }
    }
}

/// A number with 17 decimals, of which zeros at the end are left out.
fn decimals(number: f64) -> String {
    let text = format!("{number:.17}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "-0" => "0".to_owned(),
        text => text.to_owned(),
    }
}

/// Writes a whole value.
pub fn write_value(reply: &mut dyn Reply, value: &Value) {
    match value {
        Value::Null => reply.null(),
        Value::Int(number) => reply.int(*number),
        Value::Double(number) => reply.double(*number),
        Value::Bool(yes) => reply.bool(*yes),
        Value::Bytes(bytes) => reply.bulk_shared(bytes),
        Value::Status(text) => reply.status(text),
        Value::BigNumber(digits) => reply.big_number(digits),
        Value::Verbatim(text) => reply.verbatim(text),
        Value::Error(refusal) => reply.refusal(refusal.text()),
        Value::Array(items) => {
            reply.array(items.len());
            items.iter().for_each(|item| write_value(reply, item));
        }
        Value::Set(items) => {
            reply.set(items.len());
            items.iter().for_each(|item| write_value(reply, item));
        }
        Value::Map(pairs) => {
            reply.map(pairs.len());
            for (name, value) in pairs {
                write_value(reply, name);
                write_value(reply, value);
            }
        }
        _ => reply.null(),
    }
}

/// Writes RESP into a buffer, or into the chunks of a connection.
#[derive(Debug)]
pub struct RespReply<'a> {
    out: &'a mut Vec<u8>,
    /// The chunks in front of `out`, where there are chunks.
    sealed: Option<&'a mut Sealed>,
    resp3: bool,
    /// How many bytes there may be in all.
    len_max: usize,
    /// Up to which length `out` grows without a further look: less than is allowed, and than a
    /// chunk gets.
    look_at: usize,
}

impl<'a> RespReply<'a> {
    /// A sink that appends to `out`, in RESP3 or in RESP2.
    pub fn new(out: &'a mut Vec<u8>, resp3: bool) -> RespReply<'a> {
        RespReply {
            out,
            sealed: None,
            resp3,
            len_max: usize::MAX,
            look_at: usize::MAX,
        }
    }

    /// A sink that appends to `out`, in RESP3 or in RESP2. A long byte string becomes a chunk of its
    /// own: it is copied once, or not at all if it is shared.
    #[inline]
    pub fn chunked(out: &'a mut Chunks, resp3: bool) -> RespReply<'a> {
        let (sealed, open) = out.parts();
        RespReply {
            out: open,
            sealed: Some(sealed),
            resp3,
            len_max: usize::MAX,
            look_at: CHUNK,
        }
    }

    /// The same sink, but values are left out when there are more bytes than this already: what is
    /// there then is no answer any more, and its owner has to see that. A short request can ask for
    /// more than there is memory, such as the same long value a million times.
    #[must_use]
    #[inline]
    pub fn up_to(mut self, len_max: usize) -> RespReply<'a> {
        let sealed = self.sealed.as_ref().map_or(0, |sealed| sealed.len());
        self.look_at = self.look_at.min(len_max.saturating_sub(sealed));
        self.len_max = len_max;
        self
    }

    /// How many bytes there are, those included that were there before.
    #[inline]
    pub fn written(&self) -> usize {
        let sealed = self.sealed.as_ref().map_or(0, |sealed| sealed.len());
        sealed + self.out.len()
    }

    /// Whether there may be one more value, of about this length. A chunk that is full makes room for
    /// it.
    #[inline]
    fn has_room(&mut self, len: usize) -> bool {
        self.out.len() + len <= self.look_at || self.make_room()
    }

    #[cold]
    fn make_room(&mut self) -> bool {
        let sealed = self.sealed.as_ref().map_or(0, |sealed| sealed.len());
        if sealed + self.out.len() > self.len_max {
            return false;
        }
        if let Some(sealed) = &mut self.sealed
            && self.out.len() >= CHUNK
        {
            sealed.seal(self.out);
        }
        true
    }

    /// Appends a byte string where it is not known to be a short one in an open chunk.
    #[cold]
    fn look_and_bulk(&mut self, bytes: &[u8]) {
        if !self.make_room() {
            return;
        }
        match &mut self.sealed {
            Some(sealed) => sealed.bulk(self.out, bytes),
            None => resp::bulk(self.out, bytes),
        }
    }
}

impl Reply for RespReply<'_> {
    fn status(&mut self, text: &str) {
        resp::status(self.out, text);
    }

    fn ok(&mut self) {
        resp::ok(self.out);
    }

    fn pong(&mut self) {
        resp::pong(self.out);
    }

    fn error(&mut self, error: &Error) {
        resp::error(self.out, &error.to_string());
    }

    fn int(&mut self, number: i64) {
        if self.has_room(0) {
            resp::integer(self.out, number);
        }
    }

    fn bulk(&mut self, bytes: &[u8]) {
        if self.out.len() + bytes.len() <= self.look_at {
            return resp::bulk(self.out, bytes);
        }
        self.look_and_bulk(bytes);
    }

    fn bulk_shared(&mut self, bytes: &Bytes) {
        let has_room = self.has_room(bytes.len());
        match &mut self.sealed {
            _ if !has_room => {}
            Some(sealed) => sealed.bulk_shared(self.out, bytes),
            None => resp::bulk(self.out, bytes),
        }
    }

    fn null(&mut self) {
        if !self.has_room(0) {
            return;
        }
        match self.resp3 {
            true => resp::null(self.out),
            false => resp::null_bulk(self.out),
        }
    }

    fn null_array(&mut self) {
        if !self.has_room(0) {
            return;
        }
        match self.resp3 {
            true => resp::null(self.out),
            false => resp::null_array(self.out),
        }
    }

    fn array(&mut self, len: usize) {
        if self.has_room(0) {
            resp::array(self.out, len);
        }
    }

    fn map(&mut self, pairs: usize) {
        if !self.has_room(0) {
            return;
        }
        match self.resp3 {
            true => resp::map(self.out, pairs),
            false => resp::array(self.out, pairs * 2),
        }
    }

    fn set(&mut self, len: usize) {
        if !self.has_room(0) {
            return;
        }
        match self.resp3 {
            true => resp::set(self.out, len),
            false => resp::array(self.out, len),
        }
    }

    fn push(&mut self, len: usize) {
        match self.resp3 {
            true => resp::push(self.out, len),
            false => resp::array(self.out, len),
        }
    }

    fn attribute(&mut self, pairs: usize) -> bool {
        if self.resp3 {
            resp::attribute(self.out, pairs);
        }
        self.resp3
    }

    fn double(&mut self, number: f64) {
        if !self.has_room(0) {
            return;
        }
        match self.resp3 {
            true => resp::double(self.out, number),
            false => resp::double_bulk(self.out, number),
        }
    }

    fn long_double(&mut self, number: f64) {
        let text = decimals(number);
        if !self.resp3 {
            return self.bulk(text.as_bytes());
        }
        if self.has_room(0) {
            self.out.push(b',');
            self.out.extend_from_slice(text.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        }
    }

    fn bool(&mut self, yes: bool) {
        if !self.has_room(0) {
            return;
        }
        match self.resp3 {
            true => resp::boolean(self.out, yes),
            false => resp::integer(self.out, i64::from(yes)),
        }
    }

    fn big_number(&mut self, digits: &str) {
        match self.resp3 {
            true => resp::big_number(self.out, digits),
            false => self.bulk(&resp::bytes_of(digits)),
        }
    }

    fn verbatim(&mut self, text: &str) {
        match self.resp3 {
            true => resp::verbatim(self.out, "txt", text),
            false => self.bulk(&resp::bytes_of(text)),
        }
    }

    fn is_resp3(&self) -> bool {
        self.resp3
    }

    fn set_resp3(&mut self, resp3: bool) {
        self.resp3 = resp3;
    }
}

/// Builds a [`Value`], in the shapes of RESP3.
#[derive(Debug, Default)]
pub struct ValueReply {
    /// Containers that wait for more values, outermost first. None most often.
    open: Option<Vec<Open>>,
    done: Option<Value>,
    /// Whether answers are to have the types of RESP2, and to be nested as there.
    resp2: bool,
}

#[derive(Debug)]
struct Open {
    container: Container,
    items: Vec<Value>,
    /// How many values are still to come.
    missing: usize,
}

#[derive(Clone, Copy, Debug)]
enum Container {
    Array,
    Map,
    Set,
}

impl ValueReply {
    /// An empty sink.
    pub fn new() -> ValueReply {
        ValueReply::default()
    }

    /// An empty sink for answers with the types of this protocol.
    pub(crate) fn for_protocol(resp3: bool) -> ValueReply {
        ValueReply {
            resp2: !resp3,
            ..ValueReply::default()
        }
    }

    /// Takes the value out; null if none has been answered.
    #[inline]
    pub fn take_value(&mut self) -> Value {
        self.done.take().unwrap_or_default()
    }

    #[inline]
    fn value(&mut self, value: Value) {
        match self.open.take() {
            None => self.done = Some(value),
            Some(open) => self.fill(open, value),
        }
    }

    /// Puts a value into the innermost container, and closes the containers that it fills.
    fn fill(&mut self, mut open: Vec<Open>, mut value: Value) {
        while let Some(mut innermost) = open.pop() {
            innermost.items.push(value);
            innermost.missing -= 1;
            if innermost.missing > 0 {
                open.push(innermost);
                self.open = Some(open);
                return;
            }
            value = innermost.close();
        }
        self.done = Some(value);
    }

    fn begin(&mut self, container: Container, missing: usize) {
        let open = Open {
            container,
            items: Vec::with_capacity(missing.min(1024)),
            missing,
        };
        match missing {
            0 => self.value(open.close()),
            _ => self.open.get_or_insert_default().push(open),
        }
    }
}

impl Open {
    fn close(self) -> Value {
        match self.container {
            Container::Array => Value::Array(self.items),
            Container::Set => Value::Set(self.items),
            Container::Map => {
                let mut pairs = Vec::with_capacity(self.items.len() / 2);
                let mut items = self.items.into_iter();
                while let (Some(name), Some(value)) = (items.next(), items.next()) {
                    pairs.push((name, value));
                }
                Value::Map(pairs)
            }
        }
    }
}

impl Reply for ValueReply {
    fn status(&mut self, text: &str) {
        self.value(Value::Status(Cow::Owned(text.to_owned())));
    }

    fn ok(&mut self) {
        self.value(Value::ok());
    }

    fn error(&mut self, error: &Error) {
        self.value(Value::Error(Refusal::new(error.to_string())));
    }

    fn int(&mut self, number: i64) {
        self.value(Value::Int(number));
    }

    #[inline]
    fn bulk(&mut self, bytes: &[u8]) {
        self.value(Value::Bytes(Bytes::copy_from_slice(bytes)));
    }

    fn bulk_shared(&mut self, bytes: &Bytes) {
        self.value(Value::Bytes(bytes.clone()));
    }

    fn null(&mut self) {
        self.value(Value::Null);
    }

    fn null_array(&mut self) {
        self.value(Value::Null);
    }

    fn array(&mut self, len: usize) {
        self.begin(Container::Array, len);
    }

    fn map(&mut self, pairs: usize) {
        match self.resp2 {
            false => self.begin(Container::Map, pairs * 2),
            true => self.array(pairs * 2),
        }
    }

    fn set(&mut self, len: usize) {
        match self.resp2 {
            false => self.begin(Container::Set, len),
            true => self.array(len),
        }
    }

    fn push(&mut self, len: usize) {
        self.begin(Container::Array, len);
    }

    fn double(&mut self, number: f64) {
        match self.resp2 {
            false => self.value(Value::Double(number)),
            true => {
                let mut text = Vec::with_capacity(24);
                larder_resp::write_double(&mut text, number);
                self.value(Value::Bytes(text.into()));
            }
        }
    }

    fn bool(&mut self, yes: bool) {
        self.value(match self.resp2 {
            false => Value::Bool(yes),
            true => Value::Int(i64::from(yes)),
        });
    }

    fn big_number(&mut self, digits: &str) {
        self.value(Value::BigNumber(digits.into()));
    }

    fn verbatim(&mut self, text: &str) {
        self.value(Value::Verbatim(text.into()));
    }

    fn is_resp3(&self) -> bool {
        !self.resp2
    }
}

/// Takes an answer that nobody wants, and keeps none of it but the last status: CLIENT REPLY ON and
/// RESET have their answers wanted after all, and those are statuses. What is pushed is no answer
/// (that one listens to a channel, for one), and is wanted always.
pub(crate) struct Unwanted<'r> {
    status: Option<String>,
    pushes: &'r mut dyn Reply,
    /// How many elements belong to the push that has begun.
    left: usize,
    resp3: bool,
}

impl<'r> Unwanted<'r> {
    /// A sink for answers that would have the types of RESP3, or of RESP2. It gives on pushes.
    pub(crate) fn new(resp3: bool, pushes: &'r mut dyn Reply) -> Unwanted<'r> {
        Unwanted {
            status: None,
            pushes,
            left: 0,
            resp3,
        }
    }

    /// The status that was answered last, if that is the answer.
    pub(crate) fn into_status(self) -> Option<String> {
        self.status
    }

    /// Where the next element of a push goes, if it is one.
    fn pushed(&mut self) -> Option<&mut dyn Reply> {
        self.left = self.left.checked_sub(1)?;
        Some(&mut *self.pushes)
    }
}

impl Reply for Unwanted<'_> {
    fn status(&mut self, text: &str) {
        self.status = Some(text.to_owned());
    }

    fn int(&mut self, number: i64) {
        if let Some(push) = self.pushed() {
            push.int(number);
        }
    }

    fn bulk(&mut self, bytes: &[u8]) {
        if let Some(push) = self.pushed() {
            push.bulk(bytes);
        }
    }

    fn null(&mut self) {
        if let Some(push) = self.pushed() {
            push.null();
        }
    }

    /// Its elements are integers, byte strings and nulls.
    fn push(&mut self, len: usize) {
        self.left = len;
        self.pushes.push(len);
    }

    fn error(&mut self, _: &Error) {}
    fn bulk_shared(&mut self, _: &Bytes) {}
    fn null_array(&mut self) {}
    fn array(&mut self, _: usize) {}
    fn map(&mut self, _: usize) {}
    fn set(&mut self, _: usize) {}
    fn double(&mut self, _: f64) {}
    fn bool(&mut self, _: bool) {}
    fn big_number(&mut self, _: &str) {}
    fn verbatim(&mut self, _: &str) {}

    fn is_resp3(&self) -> bool {
        self.resp3
    }

    fn set_resp3(&mut self, resp3: bool) {
        self.resp3 = resp3;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_grows_beyond_its_bound_by_one_byte_string_at_most() {
        let mut out = Vec::new();
        let mut reply = RespReply::new(&mut out, false).up_to(10);
        reply.array(3);
        (0..3).for_each(|_| reply.bulk(b"0123456789"));
        assert_eq!(out, b"*3\r\n$10\r\n0123456789\r\n");
    }

    /// A short request can ask for any number of scores: `ZRANDMEMBER board -1000000000 WITHSCORES`.
    #[test]
    fn an_answer_of_numbers_is_bounded_as_well() {
        let mut out = Chunks::default();
        let mut reply = RespReply::chunked(&mut out, false).up_to(1000);
        reply.array(100_000);
        (0..100_000).for_each(|_| reply.double(1.5));
        (0..100_000).for_each(|_| reply.null());
        assert!(out.len() < 1020, "{}", out.len());
    }

    #[test]
    fn a_long_answer_is_cut_into_chunks() {
        let mut out = Chunks::default();
        let mut reply = RespReply::chunked(&mut out, false);
        reply.array(100_000);
        (0..100_000).for_each(|_| reply.bulk(b"0123456789"));
        assert_eq!(
            out.len(),
            "*100000\r\n".len() + 100_000 * "$10\r\n0123456789\r\n".len()
        );
        assert!(out.slices().all(|chunk| chunk.len() <= CHUNK + 100));
    }

    #[test]
    fn a_value_is_built_from_nested_containers() {
        let mut reply = ValueReply::new();
        reply.array(3);
        reply.int(1);
        reply.map(1);
        reply.bulk(b"a");
        reply.array(0);
        reply.null();

        let pair = (Value::Bytes("a".into()), Value::Array(vec![]));
        let wanted = Value::Array(vec![Value::Int(1), Value::Map(vec![pair]), Value::Null]);
        assert_eq!(reply.take_value(), wanted);
    }
}
