//! Answers as text, and whether what came is what was wanted.

use larder_resp::Frame;

use super::words::{quote, unquote};

/// Where something is wrong, as a line number from 1, and what.
pub(super) type Complaint = (usize, String);

/// What is to come on a connection.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expected {
    /// `(waits)`: nothing.
    Nothing,
    /// `(closed)`: the end of the connection.
    Closed,
    /// A value.
    Value(Pattern),
}

/// What a value has to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pattern {
    /// This value, which has no items.
    Exactly(Frame),
    /// `*2` and the like: values in a container of the kind that the sign names. A map's names and
    /// values follow each other.
    Items(char, Vec<Pattern>),
    /// `...`.
    Any,
    /// `...:`: a value of the kind that the sign names.
    AnyOf(char),
}

/// In which order the items of containers have to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// As written.
    #[default]
    AsWritten,
    /// In any.
    Any,
    /// The outermost container holds pairs one behind the other; these come in any order.
    AnyOfPairs,
}

impl Expected {
    /// Reads the lines below a command. A complaint's line is counted from 0 here.
    pub(super) fn read_all(lines: &[&str]) -> Result<Vec<Expected>, Complaint> {
        let mut reader = Reader { lines, at: 0 };
        let mut all = Vec::new();
        while let Some(line) = lines.get(reader.at) {
            all.push(match line.trim_end() {
                "(waits)" => {
                    reader.at += 1;
                    Expected::Nothing
                }
                "(closed)" => {
                    reader.at += 1;
                    Expected::Closed
                }
                _ => Expected::Value(reader.pattern(0)?),
            });
        }
        Ok(all)
    }

    /// Whether what came is this.
    pub(super) fn matches(&self, came: &Came, order: Order) -> bool {
        match (self, came) {
            (Expected::Nothing, Came::Nothing) | (Expected::Closed, Came::Closed) => true,
            (Expected::Value(pattern), Came::Value(frame)) => pattern.matches(frame, order),
            _ => false,
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        match self {
            Expected::Nothing => vec!["(waits)".into()],
            Expected::Closed => vec!["(closed)".into()],
            Expected::Value(pattern) => pattern.lines(),
        }
    }
}

/// What came on a connection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Came {
    Nothing,
    Closed,
    Value(Frame),
}

impl Came {
    pub(super) fn lines(&self) -> Vec<String> {
        match self {
            Came::Nothing => vec!["(waits)".into()],
            Came::Closed => vec!["(closed)".into()],
            Came::Value(frame) => Pattern::from(frame).lines(),
        }
    }
}

impl From<&Frame> for Pattern {
    fn from(frame: &Frame) -> Pattern {
        let all =
            |sign, items: &[Frame]| Pattern::Items(sign, items.iter().map(Pattern::from).collect());
        match frame {
            Frame::Array(items) => all('*', items),
            Frame::Set(items) => all('~', items),
            Frame::Push(items) => all('>', items),
            Frame::Map(pairs) => {
                let both = |(name, value): &(Frame, Frame)| [name.into(), value.into()];
                Pattern::Items('%', pairs.iter().flat_map(both).collect())
            }
            leaf => Pattern::Exactly(leaf.clone()),
        }
    }
}

impl Pattern {
    fn matches(&self, frame: &Frame, order: Order) -> bool {
        match self {
            Pattern::Any => true,
            Pattern::AnyOf(wanted) => sign(frame) == *wanted,
            Pattern::Exactly(wanted) => frame == wanted,
            Pattern::Items(wanted, patterns) => {
                sign(frame) == *wanted && all_match(patterns, &items(frame), *wanted, order)
            }
        }
    }

    /// The value as it is written in a transcript.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        self.write(0, &mut lines);
        lines
    }

    fn write(&self, depth: usize, lines: &mut Vec<String>) {
        let indent = "  ".repeat(depth);
        match self {
            Pattern::Items(sign, items) => {
                let count = if *sign == '%' {
                    items.len() / 2
                } else {
                    items.len()
                };
                lines.push(format!("{indent}{sign}{count}"));
                items.iter().for_each(|item| item.write(depth + 1, lines));
            }
            Pattern::Any => lines.push(format!("{indent}...")),
            Pattern::AnyOf(sign) => lines.push(format!("{indent}...{sign}")),
            Pattern::Exactly(leaf) => lines.push(format!("{indent}{}", write_leaf(leaf))),
        }
    }
}

/// Whether the items match the patterns, in order or in any.
fn all_match(patterns: &[Pattern], items: &[&Frame], sign: char, order: Order) -> bool {
    if patterns.len() != items.len() {
        return false;
    }
    let (step, inner) = match order {
        Order::AsWritten => {
            return patterns
                .iter()
                .zip(items)
                .all(|(pattern, item)| pattern.matches(item, order));
        }
        Order::Any if sign == '%' => (2, Order::Any),
        Order::Any => (1, Order::Any),
        Order::AnyOfPairs => (2, Order::AsWritten),
    };
    let mut left: Vec<&[Pattern]> = patterns.chunks(step).collect();
    items.chunks(step).all(|group| {
        let is_it = |wanted: &&[Pattern]| {
            let mut pairs = wanted.iter().zip(group);
            wanted.len() == group.len() && pairs.all(|(pattern, item)| pattern.matches(item, inner))
        };
        let found = left.iter().position(is_it);
        found.map(|at| left.swap_remove(at)).is_some()
    })
}

fn items(frame: &Frame) -> Vec<&Frame> {
    match frame {
        Frame::Array(items) | Frame::Set(items) | Frame::Push(items) => items.iter().collect(),
        Frame::Map(pairs) => pairs
            .iter()
            .flat_map(|(name, value)| [name, value])
            .collect(),
        _ => Vec::new(),
    }
}

/// The sign by which RESP knows the kind of a value.
fn sign(frame: &Frame) -> char {
    match frame {
        Frame::Status(_) => '+',
        Frame::Error(_) => '-',
        Frame::Integer(_) => ':',
        Frame::Bulk(_) => '$',
        Frame::Null | Frame::NullArray => '_',
        Frame::Array(_) => '*',
        Frame::Map(_) => '%',
        Frame::Set(_) => '~',
        Frame::Push(_) => '>',
        Frame::Double(_) => ',',
        Frame::Boolean(_) => '#',
        Frame::BigNumber(_) => '(',
        Frame::Verbatim(..) => '=',
    }
}

fn write_leaf(frame: &Frame) -> String {
    match frame {
        Frame::Status(text) => format!("+{text}"),
        Frame::Error(text) => format!("-{text}"),
        Frame::Integer(number) => format!(":{number}"),
        Frame::Null => "_".into(),
        Frame::NullArray => "*-1".into(),
        Frame::Double(number) => format!(",{number}"),
        Frame::Boolean(yes) => if *yes { "#t" } else { "#f" }.into(),
        Frame::BigNumber(digits) => format!("({digits}"),
        Frame::Verbatim(format, text) => format!("={format}:{}", quote(text.as_bytes())),
        Frame::Bulk(bytes) => quote(bytes),
        Frame::Array(_) | Frame::Map(_) | Frame::Set(_) | Frame::Push(_) => {
            Pattern::from(frame).lines().join(" ")
        }
    }
}

struct Reader<'a> {
    lines: &'a [&'a str],
    at: usize,
}

impl Reader<'_> {
    /// Reads the value that begins on this line, with its items below it.
    fn pattern(&mut self, depth: usize) -> Result<Pattern, Complaint> {
        let at = self.at;
        let complain = |text: &str| (at, text.to_owned());
        let line = self.lines[at];
        let text = line.trim_start();
        if line.len() - text.len() != 2 * depth {
            return Err(complain(
                "an item is indented by two spaces more than its container",
            ));
        }
        self.at += 1;
        let Some((sign, count)) = container(text) else {
            return read_leaf(text).ok_or_else(|| complain("no value is written so"));
        };
        let mut items = Vec::new();
        while self
            .lines
            .get(self.at)
            .is_some_and(|next| indent(next) > 2 * depth)
        {
            items.push(self.pattern(depth + 1)?);
        }
        match items.len() == count {
            true => Ok(Pattern::Items(sign, items)),
            false => Err((
                at,
                format!("{} values stand below, not {count}", items.len()),
            )),
        }
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The sign of a container and how many values stand in it.
fn container(text: &str) -> Option<(char, usize)> {
    let sign = text.chars().next().filter(|sign| "*%~>".contains(*sign))?;
    let count: usize = text[1..].trim_end().parse().ok()?;
    Some((
        sign,
        if sign == '%' {
            count.checked_mul(2)?
        } else {
            count
        },
    ))
}

fn read_leaf(text: &str) -> Option<Pattern> {
    if text.starts_with('"') {
        return match unquote(text)? {
            (bytes, "") => Some(Pattern::Exactly(Frame::Bulk(bytes))),
            _ => None,
        };
    }
    if let Some(kind) = text.strip_prefix("...") {
        let mut kinds = kind.chars();
        return match (kinds.next(), kinds.next()) {
            (None, _) => Some(Pattern::Any),
            (Some(kind), None) => Some(Pattern::AnyOf(kind)),
            _ => None,
        };
    }
    let rest = text.get(1..)?;
    Some(Pattern::Exactly(match (text.chars().next()?, text) {
        (_, "_") => Frame::Null,
        (_, "*-1") => Frame::NullArray,
        (_, "#t") => Frame::Boolean(true),
        (_, "#f") => Frame::Boolean(false),
        ('+', _) => Frame::Status(rest.to_owned()),
        ('-', _) => Frame::Error(rest.to_owned()),
        (':', _) => Frame::Integer(rest.parse().ok()?),
        (',', _) => Frame::Double(rest.parse().ok()?),
        ('(', _) => Frame::BigNumber(rest.to_owned()),
        ('=', _) => {
            let (format, text) = rest.split_once(':')?;
            let (text, "") = unquote(text)? else {
                return None;
            };
            Frame::Verbatim(format.to_owned(), String::from_utf8(text).ok()?)
        }
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Expected {
        let lines: Vec<&str> = text.lines().collect();
        Expected::read_all(&lines).unwrap().remove(0)
    }

    fn bulk(text: &str) -> Frame {
        Frame::Bulk(text.into())
    }

    #[test]
    fn what_is_written_reads_back() {
        let frames = vec![
            Frame::Map(vec![(bulk("a\n\u{7f}"), Frame::Array(vec![]))]),
            Frame::Push(vec![
                Frame::Null,
                Frame::NullArray,
                Frame::Bulk(vec![0xff, b'x']),
            ]),
            Frame::Set(vec![
                Frame::Double(1.5),
                Frame::Double(f64::INFINITY),
                Frame::Boolean(true),
            ]),
            Frame::Verbatim("txt".into(), "a b".into()),
            Frame::BigNumber("123".into()),
            Frame::Error("ERR no".into()),
        ];
        for frame in frames {
            let came = Came::Value(frame);
            let text = came.lines().join("\n");
            assert!(read(&text).matches(&came, Order::AsWritten), "{text}");
            assert_eq!(read(&text).lines().join("\n"), text);
        }
    }

    #[test]
    fn items_come_in_any_order_where_that_is_said() {
        let came = Came::Value(Frame::Array(vec![
            bulk("b"),
            bulk("1"),
            bulk("a"),
            bulk("2"),
        ]));
        let wanted = read("*4\n  \"a\"\n  \"2\"\n  \"b\"\n  \"1\"");
        assert!(!wanted.matches(&came, Order::AsWritten));
        assert!(wanted.matches(&came, Order::Any));
        assert!(wanted.matches(&came, Order::AnyOfPairs));
        let crossed = read("*4\n  \"a\"\n  \"1\"\n  \"b\"\n  \"2\"");
        assert!(!crossed.matches(&came, Order::AnyOfPairs));
    }

    #[test]
    fn three_dots_stand_for_any_one_value() {
        let matches =
            |text: &str, frame: Frame| read(text).matches(&Came::Value(frame), Order::AsWritten);
        let nested = Frame::Array(vec![Frame::Array(vec![bulk("a")]), bulk("b")]);
        assert!(matches("*2\n  ...\n  \"b\"", nested.clone()));
        assert!(!matches("*2\n  ...\n  \"c\"", nested));
        assert!(matches("...:", Frame::Integer(3)) && !matches("...:", bulk("3")));
    }
}
