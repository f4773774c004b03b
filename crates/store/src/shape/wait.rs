//! How long commands wait.

use std::time::Duration;

use larder_resp::Arguments;

use super::{Flags, Shape};
use crate::Command;

/// How long a command waits in the store by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until something comes.
    Forever,
    /// At most so long.
    For(Duration),
}

impl Wait {
    /// How long commands wait that are sent together: one after the other.
    pub fn of_all<'c>(commands: impl IntoIterator<Item = &'c Command>) -> Option<Wait> {
        commands
            .into_iter()
            .filter_map(Command::waits)
            .reduce(|one, other| match (one, other) {
                (Wait::For(one), Wait::For(other)) => Wait::For(one.saturating_add(other)),
                _ => Wait::Forever,
            })
    }
}

impl Shape {
    /// How long a request of this command waits, if it is one that waits. What is no number is refused
    /// by the store, at once; until then it counts as a second.
    pub fn waits(&self, request: Arguments<'_>) -> Option<Wait> {
        if !self.flags.has(Flags::BLOCKING) {
            return None;
        }
        let last = request.len().checked_sub(1)?;
        let (at, unit_s) = match self.name {
            "BLMPOP" | "BZMPOP" => (1, 1.0),
            "WAIT" | "WAITAOF" => (last, 0.001),
            "XREAD" | "XREADGROUP" => (place_of_block(request)? + 1, 0.001),
            _ => (last, 1.0),
        };
        let number = |word| std::str::from_utf8(word).ok()?.parse::<f64>().ok();
        let seconds = request.get(at).and_then(number);
        Some(wait_of(seconds.map_or(1.0, |number| number * unit_s)))
    }
}

fn wait_of(seconds: f64) -> Wait {
    match Duration::try_from_secs_f64(seconds) {
        Ok(_) if seconds == 0.0 => Wait::Forever,
        // Stores count in milliseconds, a part of one as a whole one.
        Ok(wait) => Wait::For(wait.max(Duration::from_millis(1))),
        Err(_) => Wait::For(Duration::from_secs(1)),
    }
}

/// The place of the option `BLOCK`, which a group, a consumer or a stream may have for its name too.
fn place_of_block(request: Arguments<'_>) -> Option<usize> {
    let mut at = 1;
    loop {
        let word = request.get(at)?;
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        at += match () {
            () if is("BLOCK") => return Some(at),
            () if is("STREAMS") => return None,
            () if is("GROUP") => 3,
            () if is("COUNT") => 2,
            () => 1,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(line: &str) -> Option<Wait> {
        let mut words = line.split(' ');
        Command::new(words.next().unwrap()).args(words).waits()
    }

    fn seconds(seconds: f64) -> Option<Wait> {
        Some(Wait::For(Duration::from_secs_f64(seconds)))
    }

    #[test]
    fn commands_that_wait_are_known() {
        assert_eq!(wait("blpop a b 1.5"), seconds(1.5));
        assert_eq!(wait("BRPOP a 0"), Some(Wait::Forever));
        assert_eq!(wait("BLMOVE a b LEFT RIGHT 2"), seconds(2.0));
        assert_eq!(wait("BRPOPLPUSH a b 2"), seconds(2.0));
        assert_eq!(wait("BZPOPMIN a 2"), seconds(2.0));
        assert_eq!(wait("BLMPOP 2 1 a LEFT"), seconds(2.0));
        assert_eq!(wait("BZMPOP 0 1 a MIN"), Some(Wait::Forever));
        assert_eq!(wait("WAIT 1 100"), seconds(0.1));
        assert_eq!(wait("WAITAOF 1 1 0"), Some(Wait::Forever));
        assert_eq!(wait("XREAD COUNT 1 BLOCK 250 STREAMS a $"), seconds(0.25));
        assert_eq!(
            wait("XREADGROUP GROUP g c BLOCK 0 STREAMS a >"),
            Some(Wait::Forever)
        );
        assert_eq!(wait("BLPOP a 1e-12"), seconds(0.001));
        assert_eq!(wait("XREAD COUNT 1 STREAMS a $"), None);
        assert_eq!(wait("GET a"), None);
    }

    #[test]
    fn every_command_that_may_wait_has_its_time_somewhere() {
        let blocking = crate::shape::all().filter(|shape| shape.flags.has(Flags::BLOCKING));
        let names: Vec<&str> = blocking.map(|shape| shape.name).collect();
        assert!(names.len() >= 12, "{names:?}");
        for name in names {
            let line = format!("{name} BLOCK 2 2 2 2");
            assert!(wait(&line).is_some(), "{line}");
        }
    }

    #[test]
    fn a_stream_or_a_consumer_may_be_called_block() {
        assert_eq!(wait("XREAD STREAMS BLOCK 5"), None);
        assert_eq!(wait("XREADGROUP GROUP BLOCK BLOCK STREAMS a >"), None);
    }

    #[test]
    fn a_time_that_is_none_is_refused_at_once_and_is_not_waited_for() {
        assert_eq!(wait("BLPOP a never"), seconds(1.0));
        assert_eq!(wait("BLPOP a -1"), seconds(1.0));
        assert_eq!(wait("BLPOP a 1e300"), seconds(1.0));
        assert_eq!(wait("BLPOP a nan"), seconds(1.0));
        assert_eq!(wait("XREAD BLOCK"), seconds(1.0));
    }

    #[test]
    fn commands_that_are_sent_together_wait_one_after_the_other() {
        let pop = |seconds: u32| Command::new("BLPOP").arg("a").arg(seconds);
        let both = [pop(1), Command::new("GET").arg("a"), pop(2)];
        assert_eq!(Wait::of_all(&both), seconds(3.0));
        assert_eq!(Wait::of_all(&[pop(1), pop(0)]), Some(Wait::Forever));
        assert_eq!(Wait::of_all(&both[1..2]), None);
    }
}
