//! Sequences of commands of every row of the table, with wild numbers and long texts in them.

#![allow(clippy::print_stdout, reason = "it is a program for a terminal")]

use larder_testkit::Wild;
use larder_testkit::fuzz::{Caller, Fuzz, words};

/// How many connections a sequence has.
const CALLERS: usize = 3;

fn main() -> Result<(), String> {
    let wild = Wild::new();
    let count = Fuzz::from_arguments()?.run(|mut random, note| {
        let program = wild.program(&mut random);
        note(shown(&program).as_bytes());
        let first = Caller::new();
        let mut callers = vec![first.another(), first.another(), first];
        for (place, request) in program.iter().enumerate() {
            callers[place % 7 % CALLERS].call(request);
        }
        // A new connection has seen no MULTI and no SUBSCRIBE.
        let mut last = callers[0].another();
        drop(callers);
        last.tick();
        last.call(&words("FLUSHALL"));
        let size = last.call(&words("DBSIZE"));
        match &size[..] {
            b":0\r\n" => Ok(()),
            other => Err(format!("after FLUSHALL: {}", other.escape_ascii())),
        }
    })?;
    println!("{count} cases");
    Ok(())
}

/// A sequence as lines.
fn shown(program: &[Vec<Vec<u8>>]) -> String {
    let line = |request: &Vec<Vec<u8>>| {
        let words = request.iter().map(|word| word.escape_ascii().to_string());
        words.collect::<Vec<_>>().join(" ") + "\n"
    };
    program.iter().map(line).collect()
}
