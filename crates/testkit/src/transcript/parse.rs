//! The text of a transcript: cases, steps, words.

use std::ops::Range;
use std::time::Duration;

use super::value::{Complaint, Expected, Order};
use super::words::split;
use crate::server::ServerKind;

/// A conversation that begins with nothing stored.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(super) title: String,
    /// From which versions on real servers answer so.
    pub(super) since: Since,
    /// Who answers otherwise, and is not asked.
    pub(super) not_of: Vec<ServerKind>,
    pub(super) steps: Vec<Step>,
}

/// From which versions on real servers answer as a case says.
#[derive(Clone, Debug, Default)]
pub(super) struct Since {
    /// The version of Redis, with which others say that they are compatible.
    pub(super) redis: Option<Vec<u32>>,
    /// The version of Valkey. Where there is one and none of Redis, Redis is not asked.
    pub(super) valkey: Option<Vec<u32>>,
}

/// One step of a case.
#[derive(Debug)]
pub(super) struct Step {
    /// The line that it stands on, from 1.
    pub(super) line: usize,
    pub(super) action: Action,
}

/// What a step does.
#[derive(Debug)]
pub(super) enum Action {
    /// `> COMMAND`: sends a command, and reads what comes.
    Send(Vec<Vec<u8>>, Answers),
    /// `<`: reads what has come without having been asked for.
    Read(Answers),
    /// `@client NAME`: goes on with another connection.
    Client(String),
    /// `@resp3`: speaks RESP3 on this connection from here on.
    Resp3,
    /// `@pass DURATION`: lets time pass.
    Pass(Duration),
}

/// What is to come.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) expected: Vec<Expected>,
    pub(super) order: Order,
    /// The lines on which they stand, from 0.
    pub(super) place: Range<usize>,
}

/// Reads a transcript.
///
/// # Errors
///
/// The first line that is none of a transcript.
pub(super) fn cases(text: &str) -> Result<Vec<Case>, Complaint> {
    let mut lines = text.lines().enumerate().peekable();
    let mut cases: Vec<Case> = Vec::new();
    // What stands before the first case goes for all.
    let mut preamble = Vec::new();
    let mut since_all = Since::default();
    let mut order = Order::default();
    while let Some((at, line)) = lines.next() {
        let complain = |text: &str| (at + 1, format!("{text}: {line}"));
        let step = |action| Step {
            line: at + 1,
            action,
        };
        if line.trim().is_empty() || is_comment(line) {
            continue;
        }
        if let Some(title) = line.strip_prefix("== ") {
            cases.push(Case {
                title: title.to_owned(),
                since: since_all.clone(),
                not_of: Vec::new(),
                steps: preamble
                    .iter()
                    .map(|&line| Step {
                        line,
                        action: Action::Resp3,
                    })
                    .collect(),
            });
            continue;
        }
        if let Some(version) = line.strip_prefix("since ") {
            let since = match cases.last_mut() {
                Some(case) => &mut case.since,
                None => &mut since_all,
            };
            let (version, since) = match version.strip_prefix("valkey ") {
                Some(version) => (version, &mut since.valkey),
                None => (version, &mut since.redis),
            };
            *since = Some(parse_version(version).ok_or_else(|| complain("no version"))?);
            continue;
        }
        if let Some(directive) = line.strip_prefix('@') {
            match (parse_directive(directive), cases.last_mut()) {
                (Some(Directive::Order(next)), _) => order = next,
                (Some(Directive::Not(server)), Some(case)) => case.not_of.push(server),
                (Some(Directive::Action(Action::Resp3)), None) => preamble.push(at + 1),
                (Some(Directive::Action(action)), Some(case)) => case.steps.push(step(action)),
                (Some(_), None) => return Err(complain("this stands before the first case")),
                (None, _) => return Err(complain("no such directive")),
            }
            continue;
        }
        let words = match (line.strip_prefix("> "), line) {
            (Some(words), _) => Some(split(words).ok_or_else(|| complain("unbalanced quotes"))?),
            (None, "<") => None,
            _ => return Err(complain("an answer to nothing")),
        };
        let mut replies = Vec::new();
        while let Some((_, line)) = lines.next_if(|(_, line)| is_answer(line)) {
            replies.push(line);
        }
        let answers = Answers {
            expected: Expected::read_all(&replies)
                .map_err(|(offset, text)| (at + 2 + offset, text))?,
            order: std::mem::take(&mut order),
            place: at + 1..at + 1 + replies.len(),
        };
        let Some(case) = cases.last_mut() else {
            return Err(complain("this stands before the first case"));
        };
        case.steps.push(step(match words {
            Some(words) => Action::Send(words, answers),
            None => Action::Read(answers),
        }));
    }
    Ok(cases)
}

fn is_answer(line: &str) -> bool {
    !(line.trim().is_empty()
        || is_comment(line)
        || line.starts_with(['@', '<'])
        || line.starts_with("== ")
        || line.starts_with("> ")
        || line.starts_with("since "))
}

/// Whether the line is a comment: `#t` and `#f` are answers.
fn is_comment(line: &str) -> bool {
    line.starts_with('#') && !matches!(line, "#t" | "#f")
}

enum Directive {
    Not(ServerKind),
    Order(Order),
    Action(Action),
}

fn parse_directive(text: &str) -> Option<Directive> {
    let (name, value) = text.split_once(' ').unwrap_or((text, ""));
    Some(match (name, value.trim()) {
        ("not", "valkey") => Directive::Not(ServerKind::Valkey),
        ("not", "redis8") => Directive::Not(ServerKind::Redis8),
        ("unordered", "") => Directive::Order(Order::Any),
        ("unordered", "pairs") => Directive::Order(Order::AnyOfPairs),
        ("resp3", "") => Directive::Action(Action::Resp3),
        ("client", name) if !name.is_empty() => Directive::Action(Action::Client(name.to_owned())),
        ("pass", time) => Directive::Action(Action::Pass(parse_duration(time)?)),
        _ => return None,
    })
}

pub(super) fn parse_version(text: &str) -> Option<Vec<u32>> {
    text.split('.').map(|part| part.parse().ok()).collect()
}

fn parse_duration(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(number) => number.parse().ok().map(Duration::from_millis),
        None => text
            .strip_suffix('s')?
            .parse()
            .ok()
            .map(Duration::from_secs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_a_transcript_are_named_with_their_line() {
        let complaint = |text: &str| cases(text).unwrap_err();
        assert_eq!(complaint("== a\n> GET a\n*2\n  :1\n").0, 3);
        assert_eq!(complaint("== a\n@nope\n").0, 2);
        assert_eq!(complaint("> GET a\n").0, 1);
        assert_eq!(complaint("== a\n:1\n").0, 2);
    }
}
