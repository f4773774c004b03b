//! `struct`: C's structures for scripts, as the library that Redis ships packs them.
//!
//! A format is a row of letters:
//!
//! | letters | what it says |
//! |---|---|
//! | `>`, `<` | the most, the least significant byte comes first from here on |
//! | `!`*n* | values stand at multiples of their size, of *n* at most |
//! | `b`, `h`, `l`, `i`*n* and `B`, `H`, `L`, `T`, `I`*n* | signed and unsigned integers |
//! | `f`, `d` | a float, a double |
//! | `s`, `c`*n* | a text up to its NUL, a text of *n* bytes |
//! | `x`, space | a byte that is left out, nothing |

use std::ffi::c_int;

use mlua::Table;

use super::native::{Context, Functions, Maker, Raise, c_integer};

const FUNCTIONS: Functions = &[("pack", pack), ("unpack", unpack), ("size", size)];

/// How many bytes an integer may have.
const INTEGER_LEN_MAX: usize = 32;

/// To multiples of what `!` alone aligns.
const ALIGN_DEFAULT: usize = 8;

/// The table `struct`.
pub(super) fn library(maker: &Maker<'_>) -> mlua::Result<Table> {
    maker.library(FUNCTIONS)
}

/// Reads a format, letter by letter.
struct Format {
    left: std::vec::IntoIter<u8>,
    is_big_endian: bool,
    align: usize,
}

/// A letter of a format.
struct Field {
    letter: u8,
    /// How many bytes it takes; 0 for what has no size of its own.
    size: usize,
    /// How many bytes are left out before it.
    padding: usize,
}

impl Format {
    /// The format that is the first argument. It ends at a NUL.
    fn of(context: &mut Context<'_, '_, '_>) -> Result<Format, Raise> {
        let text = context.text(1)?;
        let len = text.iter().position(|&byte| byte == 0);
        let text = text[..len.unwrap_or(text.len())].to_vec();
        Ok(Format {
            left: text.into_iter(),
            is_big_endian: cfg!(target_endian = "big"),
            align: 1,
        })
    }

    /// The next letter, at this distance from the beginning.
    fn next(&mut self, at: usize) -> Result<Option<Field>, Raise> {
        let Some(letter) = self.left.next() else {
            return Ok(None);
        };
        let size = match letter {
            b'B' | b'b' | b'x' => 1,
            b'H' | b'h' => 2,
            b'L' | b'l' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(1)?,
            b'i' | b'I' => self.integer_len()?,
            _ => 0,
        };
        let padding = match size {
            0 => 0,
            _ if letter == b'c' => 0,
            size => {
                let unit = size.min(self.align);
                unit.wrapping_sub(at & (unit - 1)) & (unit - 1)
            }
        };
        Ok(Some(Field {
            letter,
            size,
            padding,
        }))
    }

    fn integer_len(&mut self) -> Result<usize, Raise> {
        let len = self.number(4)?;
        if len > INTEGER_LEN_MAX {
            return Err(Raise::Error(format!(
                "integral size {len} is larger than limit of {INTEGER_LEN_MAX}"
            )));
        }
        Ok(len)
    }

    /// The number that stands next, or `default`.
    fn number(&mut self, default: usize) -> Result<usize, Raise> {
        if !self.left.as_slice().first().is_some_and(u8::is_ascii_digit) {
            return Ok(default);
        }
        let mut number: i32 = 0;
        while let Some(digit @ b'0'..=b'9') = self.left.as_slice().first() {
            let digit = i32::from(digit - b'0');
            let longer = number.checked_mul(10);
            let longer = longer.and_then(|number| number.checked_add(digit));
            number = longer.ok_or_else(|| Raise::Error("integral size overflow".to_owned()))?;
            self.left.next();
        }
        Ok(number as usize)
    }

    /// Takes a letter that says how the others are read.
    fn control(&mut self, letter: u8) -> Result<(), Raise> {
        match letter {
            b' ' => {}
            b'>' => self.is_big_endian = true,
            b'<' => self.is_big_endian = false,
            b'!' => {
                self.align = self.number(ALIGN_DEFAULT)?;
                if !self.align.is_power_of_two() {
                    let text = format!("alignment {} is not a power of 2", self.align);
                    return Err(Raise::Error(text));
                }
            }
            letter => {
                let letter = larder_resp::text_of(&[letter]).into_owned();
                return Err(Raise::Argument(
                    1,
                    format!("invalid format option '{letter}'"),
                ));
            }
        }
        Ok(())
    }

    /// Bytes in their order, from the order in which the most significant comes first.
    fn ordered<const N: usize>(&self, mut bytes: [u8; N]) -> [u8; N] {
        if !self.is_big_endian {
            bytes.reverse();
        }
        bytes
    }
}

fn is_integer(letter: u8) -> bool {
    matches!(letter.to_ascii_lowercase(), b'b' | b'h' | b'l' | b'i') || letter == b'T'
}

/// `struct.pack(format, ...)`.
fn pack(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    let mut format = Format::of(context)?;
    let len_max = context.memory_max();
    let mut out = Vec::new();
    let mut place = 1;
    // An argument that is missing is nil, as those who read the refusal see.
    context.stack.push_nil();
    while let Some(Field {
        letter,
        size,
        padding,
    }) = format.next(out.len())?
    {
        out.resize(out.len() + padding, 0);
        match letter {
            b'x' => out.push(0),
            b'f' => {
                place += 1;
                let number = context.number(place)? as f32;
                out.extend_from_slice(&format.ordered(number.to_be_bytes()));
            }
            b'd' => {
                place += 1;
                let number = context.number(place)?;
                out.extend_from_slice(&format.ordered(number.to_be_bytes()));
            }
            b's' | b'c' => {
                place += 1;
                pack_text(context, place, letter, size, &mut out)?;
            }
            letter if is_integer(letter) => {
                place += 1;
                pack_integer(context.number(place)?, size, format.is_big_endian, &mut out);
            }
            letter => format.control(letter)?,
        }
        if out.len() > len_max {
            return Err(Raise::MEMORY);
        }
    }
    context.stack.push_text(&out);
    Ok(1)
}

fn pack_text(
    context: &mut Context<'_, '_, '_>,
    place: c_int,
    letter: u8,
    size: usize,
    out: &mut Vec<u8>,
) -> Result<(), Raise> {
    let text = context.text(place)?;
    let size = if size == 0 { text.len() } else { size };
    let Some(text) = text.get(..size) else {
        return Err(Raise::Argument(place + 1, "string too short".to_owned()));
    };
    out.extend_from_slice(text);
    if letter == b's' {
        out.push(0);
    }
    Ok(())
}

fn pack_integer(number: f64, size: usize, is_big_endian: bool, out: &mut Vec<u8>) {
    let value = unsigned(number);
    let start = out.len();
    let byte = |place: usize| value.checked_shr(place as u32 * 8).unwrap_or(0) as u8;
    out.extend((0..size).map(byte));
    if is_big_endian {
        out[start..].reverse();
    }
}

/// A number as C makes it an unsigned integer, also where that is not defined.
fn unsigned(number: f64) -> u64 {
    const BEYOND_SIGNED: f64 = 9_223_372_036_854_775_808.0;
    const BEYOND: f64 = 2.0 * BEYOND_SIGNED;
    match number {
        _ if number < BEYOND_SIGNED || number.is_nan() => c_integer(number) as u64,
        _ if number < BEYOND => number as u64,
        _ => 0,
    }
}

/// `struct.unpack(format, text, from)`: the values, and the place behind them.
fn unpack(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    let mut format = Format::of(context)?;
    let data = context.text(2)?.to_vec();
    let from = context.optional_integer(3, 1)?;
    if from == 0 {
        let text = "offset must be 1 or greater".to_owned();
        return Err(Raise::Argument(3, text));
    }
    // One below zero lies behind every text.
    let mut at = (from as u64 as usize).wrapping_sub(1);
    let mut count = 0;
    while let Some(Field {
        letter,
        size,
        padding,
    }) = format.next(at)?
    {
        at = at.wrapping_add(padding);
        let rest = data.get(at..).filter(|rest| size <= rest.len());
        let rest = rest.ok_or_else(too_short)?;
        if !context.stack.has_room(2) {
            return Err(Raise::stack_overflow("too many results"));
        }
        let mut taken = size;
        match letter {
            b'x' => {}
            b'c' if size == 0 => {
                taken = counted(context, count)?;
                let text = rest.get(..taken).ok_or_else(too_short)?;
                context.stack.pop();
                context.stack.push_text(text);
            }
            b's' => {
                let len = rest.iter().position(|&byte| byte == 0);
                let text = "unfinished string in data";
                let len = len.ok_or_else(|| Raise::Error(text.to_owned()))?;
                context.stack.push_text(&rest[..len]);
                count += 1;
                taken = len + 1;
            }
            b'c' => {
                context.stack.push_text(&rest[..size]);
                count += 1;
            }
            letter if is_integer(letter) || matches!(letter, b'f' | b'd') => {
                let number = unpack_number(&format, letter, &rest[..size]);
                context.stack.push_number(number);
                count += 1;
            }
            letter => format.control(letter)?,
        }
        context.expect_room(0)?;
        at = at.wrapping_add(taken);
    }
    context.stack.push_number(at.wrapping_add(1) as i64 as f64);
    Ok(count + 1)
}

fn too_short() -> Raise {
    Raise::Argument(2, "data string too short".to_owned())
}

/// The number that was unpacked last, as the length of a text.
fn counted(context: &Context<'_, '_, '_>, count: c_int) -> Result<usize, Raise> {
    let number = context.stack.read_number(-1).filter(|_| count > 0);
    let text = "format 'c0' needs a previous size";
    let number = number.ok_or_else(|| Raise::Error(text.to_owned()))?;
    usize::try_from(unsigned(number)).map_err(|_| too_short())
}

fn unpack_number(format: &Format, letter: u8, bytes: &[u8]) -> f64 {
    match letter {
        b'f' => {
            let bytes = bytes.try_into().unwrap_or_default();
            f64::from(f32::from_be_bytes(format.ordered(bytes)))
        }
        b'd' => {
            let bytes = bytes.try_into().unwrap_or_default();
            f64::from_be_bytes(format.ordered(bytes))
        }
        _ => unpack_integer(bytes, format.is_big_endian, letter.is_ascii_lowercase()),
    }
}

fn unpack_integer(bytes: &[u8], is_big_endian: bool, is_signed: bool) -> f64 {
    let shift = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value = match is_big_endian {
        true => bytes.iter().fold(0, shift),
        false => bytes.iter().rev().fold(0, shift),
    };
    if !is_signed {
        return value as f64;
    }
    let sign = u64::MAX.wrapping_shl((bytes.len() as u32 * 8).wrapping_sub(1));
    match value & sign {
        0 => value as i64 as f64,
        _ => (value | sign) as i64 as f64,
    }
}

/// `struct.size(format)`: how many bytes it takes.
fn size(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    let mut format = Format::of(context)?;
    let mut at: usize = 0;
    while let Some(field) = format.next(at)? {
        let unsized_text = match (field.letter, field.size) {
            (b's', _) => Some("option 's' has no fixed size"),
            (b'c', 0) => Some("option 'c0' has no fixed size"),
            _ => None,
        };
        if let Some(text) = unsized_text {
            return Err(Raise::Argument(1, text.to_owned()));
        }
        if !field.letter.is_ascii_alphanumeric() {
            format.control(field.letter)?;
        }
        at = at.wrapping_add(field.padding).wrapping_add(field.size);
    }
    context.stack.push_number(at as i64 as f64);
    Ok(1)
}
