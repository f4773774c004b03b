//! Transcripts: requests and the answers that every store must give, as text.
//!
//! ```text
//! # A remark.
//! == LPOP: one element, or several
//! > RPUSH list a "b c"
//! :2
//! > LPOP list 1
//! *1
//!   "a"
//! > LPOP nokey
//! _
//! ```
//!
//! A case begins with `== ` and its title, on an empty store and a new connection. Behind `> `
//! stands a request; a word with blanks or escapes is quoted. The lines up to the next request are
//! its answer: the lines of RESP, with byte strings quoted, what is inside a container indented,
//! `_` for nothing, and `*-1` for nothing where an array could have been. `...` is any value.
//! A line `since 7.2.0` behind the title says which version of Redis first answers so.
//!
//! The answers in a file are what a real server gave: see [`recorded`].

use std::fmt::Write as _;

use larder_resp::Frame;

/// One case of a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What the case shows.
    pub title: String,
    /// The version of Redis from which on real servers answer so.
    pub since: Option<[u64; 3]>,
    /// The requests, in order.
    pub steps: Vec<Step>,
}

/// One request of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The request as it stands in the file.
    pub line: String,
    /// The request's words.
    pub words: Vec<Vec<u8>>,
    /// The lines of the answer.
    pub answer: Vec<String>,
}

/// Something that answers requests.
pub trait Connection {
    /// Answers one request.
    fn call(&mut self, words: &[Vec<u8>]) -> Frame;
}

/// Reads a transcript.
///
/// # Panics
///
/// If the file is no transcript: then it says in which line.
pub fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        if let Some(title) = line.strip_prefix("== ") {
            cases.push(Case {
                title: title.to_owned(),
                since: None,
                steps: Vec::new(),
            });
            continue;
        }
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let case = cases
            .last_mut()
            .unwrap_or_else(|| panic!("line {number}: no case has begun"));
        if let Some(version) = line.strip_prefix("since ") {
            case.since = Some(version_of(version));
        } else if let Some(request) = line.strip_prefix("> ") {
            let words = words_of(request).unwrap_or_else(|| panic!("line {number}: a bad word"));
            case.steps.push(Step {
                line: line.to_owned(),
                words,
                answer: Vec::new(),
            });
        } else {
            let step = case.steps.last_mut();
            let step = step.unwrap_or_else(|| panic!("line {number}: an answer to nothing"));
            step.answer.push(line.to_owned());
        }
    }
    cases
}

/// The three numbers of a version; what is missing is 0.
pub fn version_of(text: &str) -> [u64; 3] {
    let mut numbers = text
        .trim()
        .split('.')
        .map(|number| number.parse().unwrap_or(0));
    [(); 3].map(|()| numbers.next().unwrap_or(0))
}

impl Case {
    /// Runs the case. Answers what was wrong, if anything was.
    pub fn run(&self, connection: &mut dyn Connection) -> Option<String> {
        self.steps.iter().find_map(|step| {
            let got = render(&connection.call(&step.words));
            (!matches(&step.answer, &got)).then(|| {
                let (wanted, got) = (step.answer.join("\n"), got.join("\n"));
                let title = &self.title;
                format!(
                    "== {title}\n{}\n--- wanted\n{wanted}\n--- got\n{got}\n",
                    step.line
                )
            })
        })
    }
}

/// The text of a transcript with the answers that `connect` gives, for the person who writes one.
/// An answer that holds `...` and matches stays as it is; so do cases that the server is too old
/// for, which `connect` answers with `None`.
pub fn recorded<'c>(
    text: &str,
    mut connect: impl FnMut(&Case) -> Option<Box<dyn Connection + 'c>>,
) -> String {
    let mut cases = parse(text).into_iter();
    let mut steps = Vec::new().into_iter();
    let (mut connection, mut out) = (None, String::new());
    let mut is_answer_kept = true;
    for line in text.lines() {
        if line.starts_with("== ") {
            let case = cases.next().expect("a case for each title");
            connection = connect(&case);
            steps = case.steps.into_iter();
            is_answer_kept = true;
        }
        if line.starts_with("> ") {
            let step: Step = steps.next().expect("a step for each request");
            let got = connection
                .as_mut()
                .map(|connection| render(&connection.call(&step.words)));
            let replacement = got.filter(|got| !matches(&step.answer, got));
            writeln!(out, "{line}").expect("a string can be written to");
            is_answer_kept = replacement.is_none();
            for line in replacement.unwrap_or_default() {
                writeln!(out, "{line}").expect("a string can be written to");
            }
            continue;
        }
        is_answer_kept |= line.is_empty() || line.starts_with('#');
        if is_answer_kept {
            writeln!(out, "{line}").expect("a string can be written to");
        }
    }
    out
}

// --- requests -----------------------------------------------------------------------------------

/// The words of a request. `None` if a quote or an escape is not finished.
fn words_of(request: &str) -> Option<Vec<Vec<u8>>> {
    let mut rest = request.trim_end();
    let mut words = Vec::new();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (word, after) = unquote(quoted)?;
            words.push(word);
            rest = after.trim_start();
        } else {
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            words.push(word.as_bytes().to_vec());
            rest = after.trim_start();
        }
    }
    Some(words)
}

/// The word up to the closing quote, and what stands behind it.
fn unquote(text: &str) -> Option<(Vec<u8>, &str)> {
    let mut word = Vec::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((word, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => word.push(b'\n'),
                'r' => word.push(b'\r'),
                't' => word.push(b'\t'),
                'x' => {
                    let digits = text.get(at + 2..at + 4)?;
                    word.push(u8::from_str_radix(digits, 16).ok()?);
                    chars.nth(1);
                }
                char => word.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            },
            char => word.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    None
}

// --- answers ------------------------------------------------------------------------------------

/// Whether an answer is what is wanted.
fn matches(wanted: &[String], got: &[String]) -> bool {
    let mut got = got.iter().peekable();
    for wanted in wanted {
        let Some(line) = got.next() else { return false };
        if wanted.trim_start() != "..." {
            if wanted != line {
                return false;
            }
            continue;
        }
        let depth = indent_of(wanted);
        if depth != indent_of(line) {
            return false;
        }
        while got.next_if(|line| indent_of(line) > depth).is_some() {}
    }
    got.next().is_none()
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The lines of an answer.
pub fn render(answer: &Frame) -> Vec<String> {
    let mut lines = Vec::new();
    render_at(answer, 0, &mut lines);
    lines
}

fn render_at(frame: &Frame, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let mut line = |text: String| lines.push(format!("{indent}{text}"));
    let (header, items): (String, Vec<&Frame>) = match frame {
        Frame::Status(text) => return line(format!("+{text}")),
        Frame::Error(text) => return line(format!("-{text}")),
        Frame::Integer(number) => return line(format!(":{number}")),
        Frame::Bulk(bytes) => return line(quote(bytes)),
        Frame::Null => return line("_".to_owned()),
        Frame::NullArray => return line("*-1".to_owned()),
        Frame::Double(number) => return line(format!(",{number}")),
        Frame::Boolean(yes) => return line(format!("#{}", if *yes { 't' } else { 'f' })),
        Frame::BigNumber(digits) => return line(format!("({digits}")),
        Frame::Verbatim(format, text) => {
            return line(format!("={format}:{}", quote(text.as_bytes())));
        }
        Frame::Array(items) => (format!("*{}", items.len()), items.iter().collect()),
        Frame::Set(items) => (format!("~{}", items.len()), items.iter().collect()),
        Frame::Push(items) => (format!(">{}", items.len()), items.iter().collect()),
        Frame::Map(pairs) => {
            let items = pairs
                .iter()
                .flat_map(|(name, value)| [name, value])
                .collect();
            (format!("%{}", pairs.len()), items)
        }
    };
    line(header);
    items
        .into_iter()
        .for_each(|item| render_at(item, depth + 1, lines));
}

fn quote(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => write!(out, "\\x{byte:02x}").expect("a string can be written to"),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_reads_as_cases_of_requests_with_answers() {
        let cases =
            parse("# remark\n== one\nsince 7.2\n> SET \"a b\" \"\\x00\\n\"\n+OK\n\n> GET x\n_\n");
        let [case] = &cases[..] else {
            panic!("one case")
        };
        assert_eq!((case.title.as_str(), case.since), ("one", Some([7, 2, 0])));
        let words = [b"SET".to_vec(), b"a b".to_vec(), b"\0\n".to_vec()];
        assert_eq!(case.steps[0].words, words);
        assert_eq!(case.steps[1].answer, ["_"]);
    }

    #[test]
    fn three_dots_stand_for_any_one_value() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<String>>();
        let got = lines("*3\n  :1\n  *2\n    :2\n    :3\n  :4");
        assert!(matches(&lines("*3\n  :1\n  ...\n  :4"), &got));
        assert!(matches(&lines("..."), &got));
        assert!(!matches(&lines("*3\n  :1\n  ..."), &got));
        assert!(!matches(&lines("*3\n  :1\n  ...\n  :4\n  :5"), &got));
    }

    #[test]
    fn an_answer_is_shown_line_by_line() {
        let answer = Frame::Array(vec![
            Frame::Bulk(b"a \"b\"\xff".to_vec()),
            Frame::Map(vec![(Frame::Integer(1), Frame::Null)]),
        ]);
        let lines = ["*2", "  \"a \\\"b\\\"\\xff\"", "  %1", "    :1", "    _"];
        assert_eq!(render(&answer), lines);
    }
}
