//! `redis.call` and `redis.pcall`: the commands of a script.

use std::ffi::c_int;

use larder_resp::{ArgumentBuffer, bytes_of};

use super::native::{Context, Raise};
use super::reply::LuaReply;
use super::stack::{Slot, Stack};

/// How many bytes the words of a request may have together, whatever the memory of a script is:
/// they are placed in it by 32-bit numbers.
const WORDS_LEN_MAX: usize = u32::MAX as usize;

/// `redis.call`: a refusal is raised.
pub(super) fn call(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    match run(context)? {
        true => Ok(1),
        false => Err(Raise::Top),
    }
}

/// `redis.pcall`: a refusal is a value.
pub(super) fn pcall(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    match run(context) {
        Ok(_) => Ok(1),
        Err(Raise::Refusal(text)) => {
            context.stack.push_text(&bytes_of(&text));
            context.stack.tag("err");
            Ok(1)
        }
        Err(raise) => Err(raise),
    }
}

/// Runs the command whose words lie on the stack, and pushes what it answers. False if it was
/// refused, with its refusal as a table on top.
fn run(context: &mut Context<'_, '_, '_>) -> Result<bool, Raise> {
    let mut words = ArgumentBuffer::new();
    let len_max = context.memory_max();
    read(context.stack, &mut words, len_max)?;
    // They are in the request now. The answer may need their room.
    context.stack.truncate(0);
    let mut reply = LuaReply::new(context.stack, context.running.work.session.resp3);
    let refusal = match context.running.call(words.as_arguments(), &mut reply) {
        Ok(()) => match reply.finish() {
            Ok(()) => return Ok(true),
            Err(text) => text,
        },
        Err(error) => {
            reply.discard();
            error.to_string()
        }
    };
    context.stack.push_text(&bytes_of(&refusal));
    context.stack.tag("err");
    // It was counted among the server's errors when the command was refused.
    context.stack.push_bool(true);
    context.stack.put_field("ignore_error_stats_update");
    Ok(false)
}

/// Takes the words that lie on the stack.
///
/// # Errors
///
/// If there are none, if one is no text and no number, or if they are longer than `len_max`
/// together.
pub(super) fn read(stack: &Stack, words: &mut ArgumentBuffer, len_max: usize) -> Result<(), Raise> {
    if stack.len() == 0 {
        return refuse("Please specify at least one argument for this redis lib call");
    }
    let mut left = len_max.min(WORDS_LEN_MAX);
    let mut number_text = Vec::new();
    for place in 1..=stack.len() {
        let word = match stack.get(place) {
            Slot::Text(text) => text,
            Slot::Number(number) => {
                number_text.clear();
                write_number(&mut number_text, number);
                &number_text
            }
            _ => return refuse("Lua redis lib command arguments must be strings or integers"),
        };
        let Some(rest) = left.checked_sub(word.len()) else {
            return Err(Raise::MEMORY);
        };
        left = rest;
        words.push(word);
    }
    Ok(())
}

fn refuse<T>(text: &str) -> Result<T, Raise> {
    Err(Raise::Refusal(format!("ERR {text}")))
}

/// Writes a number as a word, as servers do since Redis 7.2: with as many digits as are needed. The zero
/// below zero is zero, and what is no number keeps its sign.
fn write_number(out: &mut Vec<u8>, number: f64) {
    match number {
        _ if number.is_nan() && number.is_sign_negative() => out.extend_from_slice(b"-nan"),
        0.0 => out.push(b'0'),
        _ => larder_resp::write_double(out, number),
    }
}
