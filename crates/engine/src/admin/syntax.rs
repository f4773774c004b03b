//! The arguments of a command, read from the syntax in its row.
//!
//! The notation is that of Redis's documentation: `[x]` may be left out, `<a | b>` is a choice,
//! `key [key ...]` may be repeated, capitals are written as they stand and name the word that
//! follows them. `COMMAND DOCS` answers arguments as a tree, from which redis-cli makes its hints.

/// An argument of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The word that announces it.
    pub(crate) token: Option<String>,
    pub(crate) is_optional: bool,
    pub(crate) is_multiple: bool,
    /// Whether the word that announces it is repeated with it.
    pub(crate) repeats_token: bool,
    /// The arguments that it is made of, or the choices that it gives.
    pub(crate) parts: Vec<Argument>,
}

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Key,
    Pattern,
    UnixTime,
    Integer,
    Double,
    String,
    /// A word that is written as it stands.
    Token,
    /// One of the parts.
    OneOf,
    /// All parts, in order.
    Block,
}

impl Kind {
    /// The kind in Redis's words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Key => "key",
            Kind::Pattern => "pattern",
            Kind::UnixTime => "unix-time",
            Kind::Integer => "integer",
            Kind::Double => "double",
            Kind::String => "string",
            Kind::Token => "pure-token",
            Kind::OneOf => "oneof",
            Kind::Block => "block",
        }
    }

    /// What an argument of this name is.
    fn of(name: &str) -> Kind {
        let is_key = |name: &str| {
            name.ends_with("key")
                || matches!(
                    name,
                    "source" | "src" | "destination" | "dst" | "key1" | "key2"
                )
        };
        match name {
            name if is_key(name) => Kind::Key,
            name if name.starts_with("unix-time") => Kind::UnixTime,
            "pattern" => Kind::Pattern,
            name if INTEGERS.contains(&name) => Kind::Integer,
            "height" | "latitude" | "longitude" | "radius" | "score" | "timeout" | "width" => {
                Kind::Double
            }
            _ => Kind::String,
        }
    }
}

/// Arguments that are whole numbers, wherever they stand.
const INTEGERS: &[&str] = &[
    "bit",
    "bits",
    "client-id",
    "count",
    "cursor",
    "db",
    "decrement",
    "destination-db",
    "end",
    "entries-added",
    "entries-read",
    "frequency",
    "index",
    "index1",
    "index2",
    "len",
    "limit",
    "milliseconds",
    "min-idle-time",
    "ms",
    "num-matches",
    "numkeys",
    "offset",
    "protover",
    "rank",
    "seconds",
    "start",
    "stop",
    "timestamp",
    "ttl",
    "weight",
];

/// The arguments that a syntax describes.
pub(crate) fn arguments(syntax: &str) -> Vec<Argument> {
    let spaced = ["[", "]", "<", ">", "|"]
        .iter()
        .fold(syntax.to_owned(), |text, mark| {
            text.replace(mark, &format!(" {mark} "))
        });
    let words: Vec<&str> = spaced.split_whitespace().collect();
    Parser {
        words: &words,
        next: 0,
    }
    .sequence()
}

struct Parser<'a> {
    words: &'a [&'a str],
    next: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.next).copied()
    }

    /// Arguments up to the end of the choice or of the bracket that they stand in.
    fn sequence(&mut self) -> Vec<Argument> {
        let mut items: Vec<Argument> = Vec::new();
        while let Some(word) = self.peek() {
            self.next += 1;
            match word {
                "]" | ">" | "|" => {
                    self.next -= 1;
                    break;
                }
                "[" => match self.repetition(&items) {
                    Some(repeated) => repeat(&mut items, &repeated),
                    None => items.push(Argument {
                        is_optional: true,
                        ..self.choice()
                    }),
                },
                "<" => items.push(self.choice()),
                word => items.push(self.argument(word)),
            }
        }
        items
    }

    /// Reads `x y ...]` if the last items are `x y`.
    fn repetition(&mut self, items: &[Argument]) -> Option<Repeated> {
        let rest = self.words.get(self.next..)?;
        let len = rest.iter().position(|word| *word == "]")?;
        let (ellipsis, words) = rest.get(..len)?.split_last()?;
        let written: Vec<&str> = items.iter().flat_map(Argument::words).collect();
        if *ellipsis != "..." || !written.ends_with(words) {
            return None;
        }
        self.next += len + 1;
        let mut missing = words.len();
        let from_end = items.iter().rev().take_while(|item| {
            let is_wanted = missing > 0;
            missing = missing.saturating_sub(item.words().count());
            is_wanted
        });
        Some(Repeated {
            items: from_end.count(),
            with_token: words.first().is_some_and(|word| is_literal(word)),
        })
    }

    /// The choices up to the closing bracket, as one argument.
    fn choice(&mut self) -> Argument {
        let mut choices = vec![self.sequence()];
        while self.peek() == Some("|") {
            self.next += 1;
            choices.push(self.sequence());
        }
        self.next += 1;
        let mut choices: Vec<Argument> = choices.into_iter().map(block).collect();
        match choices.len() {
            1 => choices.remove(0),
            _ => Argument::group(Kind::OneOf, choices),
        }
    }

    fn argument(&mut self, word: &str) -> Argument {
        if !is_literal(word) {
            return Argument::named(word, None);
        }
        match self.peek() {
            Some(name) if !is_literal(name) && !"[]<>|...".contains(name) => {
                self.next += 1;
                Argument::named(name, Some(word))
            }
            _ => Argument {
                kind: Kind::Token,
                ..Argument::named(&word.to_ascii_lowercase(), Some(word))
            },
        }
    }
}

/// What may be repeated.
struct Repeated {
    /// How many of the last items.
    items: usize,
    /// Whether the word that announces them is repeated as well.
    with_token: bool,
}

/// Whether a word is written as it stands.
fn is_literal(word: &str) -> bool {
    !word.chars().any(|c| c.is_ascii_lowercase()) && word != "..."
}

/// Arguments as one.
fn block(mut items: Vec<Argument>) -> Argument {
    match items.len() {
        1 => items.remove(0),
        _ => Argument::group(Kind::Block, items),
    }
}

/// Makes the last arguments one that may be repeated.
fn repeat(items: &mut Vec<Argument>, repeated: &Repeated) {
    let last = items.split_off(items.len() - repeated.items);
    items.push(Argument {
        is_multiple: true,
        repeats_token: repeated.with_token,
        ..block(last)
    });
}

impl Argument {
    fn named(name: &str, token: Option<&str>) -> Argument {
        Argument {
            name: name.to_owned(),
            kind: Kind::of(name),
            token: token.map(str::to_owned),
            is_optional: false,
            is_multiple: false,
            repeats_token: false,
            parts: Vec::new(),
        }
    }

    fn group(kind: Kind, parts: Vec<Argument>) -> Argument {
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        Argument {
            name: names.join("-"),
            kind,
            token: None,
            is_optional: false,
            is_multiple: false,
            repeats_token: false,
            parts,
        }
    }

    /// The words of a plain argument, as they stand in the syntax.
    fn words(&self) -> impl Iterator<Item = &str> {
        let name = (self.kind != Kind::Token).then_some(self.name.as_str());
        self.token.as_deref().into_iter().chain(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(arguments: &[Argument]) -> String {
        let shown = arguments.iter().map(|argument| {
            let parts = shown(&argument.parts);
            let inner = match argument.kind {
                Kind::OneOf => format!("oneof({parts})"),
                Kind::Block => format!("block({parts})"),
                _ => argument.words().collect::<Vec<_>>().join(":"),
            };
            let optional = if argument.is_optional { "?" } else { "" };
            let multiple = match (argument.is_multiple, argument.repeats_token) {
                (false, _) => "",
                (true, false) => "*",
                (true, true) => "**",
            };
            format!("{inner}{optional}{multiple}")
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_syntax_is_read_into_a_tree() {
        for (syntax, wanted) in [
            ("", ""),
            ("key [key ...]", "key*"),
            ("key value [key value ...]", "block(key value)*"),
            ("[channel [channel ...]]", "channel?*"),
            ("[GET pattern [GET pattern ...]]", "GET:pattern?**"),
            ("[ID client-id [client-id ...]]", "ID:client-id?*"),
            (
                "key [NX | XX] [EX seconds | KEEPTTL]",
                "key oneof(NX XX)? oneof(EX:seconds KEEPTTL)?",
            ),
            ("[AUTH username password]", "block(AUTH:username password)?"),
            (
                "key <LEFT | RIGHT> element",
                "key oneof(LEFT RIGHT) element",
            ),
            (
                "key [<MAXLEN | MINID> [= | ~] threshold]",
                "key block(oneof(MAXLEN MINID) oneof(= ~)? threshold)?",
            ),
        ] {
            assert_eq!(shown(&arguments(syntax)), wanted, "{syntax}");
        }
    }

    #[test]
    fn every_syntax_in_the_table_has_its_brackets_closed() {
        for (_, command) in crate::commands() {
            for (open, close) in [('[', ']'), ('<', '>')] {
                let count = |mark| command.syntax.matches(mark).count();
                assert_eq!(count(open), count(close), "{}", command.name);
            }
        }
    }
}
