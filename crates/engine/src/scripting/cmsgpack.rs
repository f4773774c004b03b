//! `cmsgpack`: MessagePack for scripts, as the lua-cmsgpack 0.4.0 that Redis ships writes and reads
//! it.

use std::ffi::c_int;

use mlua::Table;

use super::native::{Context, Functions, Maker, Raise, expect_name};
use super::stack::{Slot, Stack, TABLE_MAX};

const FUNCTIONS: Functions = &[
    ("pack", pack),
    ("unpack", unpack),
    ("unpack_one", unpack_one),
    ("unpack_limit", unpack_limit),
];

/// Tables in tables, deeper than which nil is written.
const DEPTH_MAX: usize = 16;

/// For how many values a table needs room: a pair, and a name once more.
const ROOM: c_int = 4;

/// The table `cmsgpack`.
pub(super) fn library(maker: &Maker<'_>) -> mlua::Result<Table> {
    let cmsgpack = maker.library(FUNCTIONS)?;
    cmsgpack.set("_NAME", "cmsgpack")?;
    cmsgpack.set("_VERSION", "lua-cmsgpack 0.4.0")?;
    cmsgpack.set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    cmsgpack.set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(cmsgpack)
}

/// `cmsgpack.pack(...)`: the values, one behind the other.
fn pack(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    let count = context.stack.len();
    if count == 0 {
        let text = "MessagePack pack needs input.".to_owned();
        return Err(Raise::Argument(0, text));
    }
    let len_max = context.memory_max();
    let mut packer = Packer {
        stack: context.stack,
        out: Vec::new(),
        len_max,
    };
    for place in 1..=count {
        packer.value(place, 0)?;
    }
    let out = packer.out;
    context.stack.push_text(&out);
    Ok(1)
}

/// Writes values that lie on a stack.
struct Packer<'p> {
    stack: &'p mut Stack,
    out: Vec<u8>,
    len_max: usize,
}

impl Packer<'_> {
    fn value(&mut self, place: c_int, depth: usize) -> Result<(), Raise> {
        match self.stack.get(place) {
            Slot::Text(text) => pack_text(&mut self.out, text),
            Slot::Boolean(yes) => self.out.push(if yes { 0xC3 } else { 0xC2 }),
            Slot::Number(number) => pack_number(&mut self.out, number),
            Slot::Table if depth < DEPTH_MAX => return self.table(place, depth),
            _ => self.out.push(0xC0),
        }
        match self.out.len() > self.len_max {
            true => Err(Raise::MEMORY),
            false => Ok(()),
        }
    }

    fn table(&mut self, table: c_int, depth: usize) -> Result<(), Raise> {
        if !self.stack.has_room(ROOM) {
            let what = "in function mp_encode_lua_table_as_map";
            return Err(Raise::stack_overflow(what));
        }
        let (count, is_array) = self.shape(table);
        let (small, large) = if is_array { (0x90, 0xDC) } else { (0x80, 0xDE) };
        match count {
            0..=15 => self.out.push(small | count as u8),
            16..=0xFFFF => put(&mut self.out, large, &(count as u16).to_be_bytes()),
            _ => put(&mut self.out, large + 1, &(count as u32).to_be_bytes()),
        }
        let value = self.stack.len() + 1;
        if is_array {
            for place in 1..=count {
                self.stack.push_place(table, place as c_int);
                self.value(value, depth + 1)?;
                self.stack.pop();
            }
            return Ok(());
        }
        self.stack.push_nil();
        while self.stack.next(table) {
            self.value(value, depth + 1)?;
            self.value(value + 1, depth + 1)?;
            self.stack.pop();
        }
        Ok(())
    }

    /// How many pairs a table has, and whether they are an array without holes.
    fn shape(&mut self, table: c_int) -> (usize, bool) {
        let (mut count, mut last, mut is_array) = (0, 0, true);
        self.stack.push_nil();
        while self.stack.next(table) {
            count += 1;
            is_array &= match self.stack.get(-2) {
                Slot::Number(place) if place > 0.0 && f64::from(place as i32) == place => {
                    last = last.max(place as usize);
                    true
                }
                _ => false,
            };
            self.stack.pop();
        }
        (count, is_array && last == count)
    }
}

/// Writes a byte that says what follows, and that.
fn put(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    out.extend_from_slice(bytes);
}

fn pack_text(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        len @ 0..=31 => out.push(0xA0 | len as u8),
        len @ 32..=0xFF => put(out, 0xD9, &[len as u8]),
        len @ 0x100..=0xFFFF => put(out, 0xDA, &(len as u16).to_be_bytes()),
        len => put(out, 0xDB, &(len as u32).to_be_bytes()),
    }
    out.extend_from_slice(text);
}

fn pack_number(out: &mut Vec<u8>, number: f64) {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if number.fract() == 0.0 && (-BEYOND..BEYOND).contains(&number) {
        return pack_integer(out, number as i64);
    }
    let single = number as f32;
    match f64::from(single) == number {
        true => put(out, 0xCA, &single.to_be_bytes()),
        false => put(out, 0xCB, &number.to_be_bytes()),
    }
}

fn pack_integer(out: &mut Vec<u8>, number: i64) {
    match number {
        -32..=127 => out.push(number as u8),
        128..=0xFF => put(out, 0xCC, &[number as u8]),
        0x100..=0xFFFF => put(out, 0xCD, &(number as u16).to_be_bytes()),
        0x1_0000..=0xFFFF_FFFF => put(out, 0xCE, &(number as u32).to_be_bytes()),
        0x1_0000_0000.. => put(out, 0xCF, &number.to_be_bytes()),
        -0x80..=-33 => put(out, 0xD0, &[number as u8]),
        -0x8000..=-0x81 => put(out, 0xD1, &(number as i16).to_be_bytes()),
        -0x8000_0000..=-0x8001 => put(out, 0xD2, &(number as i32).to_be_bytes()),
        _ => put(out, 0xD3, &number.to_be_bytes()),
    }
}

/// `cmsgpack.unpack(text)`: all values of a text.
fn unpack(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    unpack_some(context, 0, 0)
}

/// `cmsgpack.unpack_one(text, offset)`: where to go on, or -1, and one value.
fn unpack_one(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    let offset = context.optional_integer(2, 0)?;
    unpack_some(context, 1, offset)
}

/// `cmsgpack.unpack_limit(text, limit, offset)`: where to go on, or -1, and so many values.
fn unpack_limit(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    let limit = context.integer(2)?;
    let offset = context.optional_integer(3, 0)?;
    unpack_some(context, limit, offset)
}

fn unpack_some(context: &mut Context<'_, '_, '_>, limit: i64, offset: i64) -> Result<c_int, Raise> {
    let text = context.text(1)?.to_vec();
    let (len, shown) = (text.len(), offset as i32);
    if offset < 0 || limit < 0 {
        let text = format!("Invalid request to unpack with offset of {shown} and limit of {len}.");
        return Err(Raise::Error(text));
    }
    let Some(left) = text.get(offset as usize..) else {
        let text = format!("Start offset {shown} greater than input length {len}.");
        return Err(Raise::Error(text));
    };
    context.stack.truncate(1);
    let is_whole = limit == 0 && offset == 0;
    let limit = if is_whole { i64::from(i32::MAX) } else { limit };
    let mut unpacker = Unpacker {
        context,
        left,
        open: Vec::new(),
    };
    let mut count = 0;
    while !unpacker.left.is_empty() && i64::from(count) < limit {
        unpacker.whole()?;
        count += 1;
    }
    if is_whole {
        return Ok(count);
    }
    let left = unpacker.left.len();
    if !context.stack.has_room(1) {
        return Err(Raise::stack_overflow("in function mp_unpack_full"));
    }
    let next = if left == 0 { -1.0 } else { (len - left) as f64 };
    context.stack.push_number(next);
    context.stack.insert(2);
    Ok(count + 1)
}

/// Reads values. The containers that are not whole yet lie on the stack, the innermost on top.
struct Unpacker<'u, 'c, 'r, 'e> {
    context: &'u mut Context<'c, 'r, 'e>,
    left: &'u [u8],
    open: Vec<Open>,
}

/// A container that waits for more values.
struct Open {
    is_array: bool,
    /// How many values it has. Names of a map are counted as well.
    len: usize,
    len_max: usize,
}

impl Unpacker<'_, '_, '_, '_> {
    /// Reads one value with all that is in it, and pushes it.
    fn whole(&mut self) -> Result<(), Raise> {
        loop {
            self.value()?;
            // What is full by now is a value of what it lies in.
            while let Some(open) = self.open.last() {
                if open.len < open.len_max {
                    break;
                }
                self.open.pop();
                self.settle()?;
            }
            if self.open.is_empty() {
                return Ok(());
            }
        }
    }

    /// Reads a value that is no container, or the beginning of one.
    fn value(&mut self) -> Result<(), Raise> {
        let [kind] = self.take()?;
        if !self.context.stack.has_room(2) {
            let what = "too many return values at once; use unpack_one or unpack_limit instead.";
            return Err(Raise::stack_overflow(what));
        }
        let number = match kind {
            0x00..=0x7F => f64::from(kind),
            0xE0..=0xFF => f64::from(kind as i8),
            0xCC => f64::from(u8::from_be_bytes(self.take()?)),
            0xCD => f64::from(u16::from_be_bytes(self.take()?)),
            0xCE => f64::from(u32::from_be_bytes(self.take()?)),
            // Redis takes the largest of these for negative ones.
            0xCF | 0xD3 => i64::from_be_bytes(self.take()?) as f64,
            0xD0 => f64::from(i8::from_be_bytes(self.take()?)),
            0xD1 => f64::from(i16::from_be_bytes(self.take()?)),
            0xD2 => f64::from(i32::from_be_bytes(self.take()?)),
            0xCA => f64::from(f32::from_be_bytes(self.take()?)),
            0xCB => f64::from_be_bytes(self.take()?),
            kind => return self.other(kind),
        };
        self.context.stack.push_number(number);
        self.settle()
    }

    /// Reads what is no number.
    fn other(&mut self, kind: u8) -> Result<(), Raise> {
        match kind {
            0xC0 => self.context.stack.push_nil(),
            0xC2 | 0xC3 => self.context.stack.push_bool(kind == 0xC3),
            0xA0..=0xBF => return self.text(usize::from(kind & 31)),
            0xD9..=0xDB => {
                let len = self.count(kind - 0xD9)?;
                return self.text(len);
            }
            0x90..=0x9F => return self.begin(true, usize::from(kind & 15)),
            0xDC | 0xDD => {
                let len = self.count(kind - 0xDC + 1)?;
                return self.begin(true, len);
            }
            0x80..=0x8F => return self.begin(false, usize::from(kind & 15)),
            0xDE | 0xDF => {
                let len = self.count(kind - 0xDE + 1)?;
                return self.begin(false, len);
            }
            _ => return Err(Raise::Error("Bad data format in input.".to_owned())),
        }
        self.settle()
    }

    /// A count of one, two or four bytes.
    fn count(&mut self, size: u8) -> Result<usize, Raise> {
        Ok(match size {
            0 => u8::from_be_bytes(self.take()?).into(),
            1 => u16::from_be_bytes(self.take()?).into(),
            _ => u32::from_be_bytes(self.take()?) as usize,
        })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Raise> {
        let (bytes, left) = self.left.split_first_chunk().ok_or_else(missing)?;
        self.left = left;
        Ok(*bytes)
    }

    fn text(&mut self, len: usize) -> Result<(), Raise> {
        let (text, left) = self.left.split_at_checked(len).ok_or_else(missing)?;
        self.context.expect_room(len)?;
        self.left = left;
        self.context.stack.push_text(text);
        self.settle()
    }

    fn begin(&mut self, is_array: bool, len: usize) -> Result<(), Raise> {
        self.context.stack.push_table(0, 0);
        let len_max = if is_array { len } else { len.saturating_mul(2) };
        self.open.push(Open {
            is_array,
            len: 0,
            len_max,
        });
        Ok(())
    }

    /// The value on top is whole: it goes into the innermost container, or stays as a name of one.
    fn settle(&mut self) -> Result<(), Raise> {
        self.context.expect_room(0)?;
        let stack = &mut *self.context.stack;
        let Some(open) = self.open.last_mut() else {
            return Ok(());
        };
        open.len += 1;
        if open.len > TABLE_MAX / 2 {
            return Err(Raise::MEMORY);
        }
        if open.is_array {
            stack.put(open.len);
        } else if open.len.is_multiple_of(2) {
            expect_name(stack.get(-2))?;
            stack.put_named();
        }
        Ok(())
    }
}

fn missing() -> Raise {
    Raise::Error("Missing bytes in input.".to_owned())
}
