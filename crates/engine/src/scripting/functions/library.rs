//! A library of functions: its text, and what it says of itself.

use larder_resp::words_of_line;

use crate::error::{Error, Result, shown};
use crate::text::first_line;

/// What the names of libraries and functions must be like.
pub(super) const NAME_RULE: &str = "ERR Library names can only contain letters, numbers, or \
                                    underscores(_) and must be at least one character long";

/// A library.
#[derive(Debug)]
pub(in super::super) struct Library {
    /// One that no other library has.
    number: u64,
    name: Box<str>,
    text: Box<[u8]>,
    /// Where the first line ends.
    code_at: usize,
    functions: Vec<Info>,
}

/// What a library said of a function when it registered it.
#[derive(Debug)]
pub(in super::super) struct Info {
    pub(super) name: Box<str>,
    pub(super) description: Option<Box<[u8]>>,
    pub(super) flags: FunctionFlags,
}

impl Info {
    /// How many bytes it takes, about, with its place in tables.
    pub(super) fn bytes(&self) -> usize {
        let description = self.description.as_ref().map_or(0, |text| text.len());
        2 * self.name.len() + description + 2 * size_of::<Info>() + 64
    }
}

impl Library {
    pub(super) fn new(number: u64, text: &[u8], first: FirstLine, functions: Vec<Info>) -> Library {
        Library {
            number,
            name: first.name.into(),
            text: text.into(),
            code_at: first.len,
            functions,
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The text as it came.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The text without its first line. Line numbers are kept.
    pub(in super::super) fn code(&self) -> &[u8] {
        &self.text[self.code_at..]
    }

    pub(super) fn functions(&self) -> &[Info] {
        &self.functions
    }

    /// How many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let functions: usize = self.functions.iter().map(Info::bytes).sum();
        size_of::<Library>() + self.text.len() + functions
    }
}

/// What the first line of a library says: `#!lua name=counters`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FirstLine {
    pub(super) name: String,
    /// How long the line is, without its end.
    pub(super) len: usize,
}

impl FirstLine {
    /// Reads the first line of a text.
    ///
    /// # Errors
    ///
    /// If it is missing, is of another engine, or does not say the library's name, and that only.
    pub(super) fn read(text: &[u8]) -> Result<FirstLine> {
        if !text.starts_with(b"#!") {
            return Err(Error::text("ERR Missing library metadata"));
        }
        let invalid = || Error::text("ERR Invalid library metadata");
        let line = first_line(text).ok_or_else(invalid)?;
        let words = words_of_line(line).ok_or_else(invalid)?;
        let (engine, options) = words.split_first().ok_or_else(invalid)?;
        let name = name_among(options)?;
        let engine = engine.get(2..).unwrap_or_default();
        let name = verify_name(&name)?.to_owned();
        if !engine.eq_ignore_ascii_case(b"lua") {
            let engine = larder_resp::text_of(engine);
            return Err(Error::text(format!("ERR Engine '{engine}' not found")));
        }
        Ok(FirstLine {
            name,
            len: line.len(),
        })
    }
}

/// The name that one of these options says.
fn name_among(options: &[Vec<u8>]) -> Result<Vec<u8>> {
    const OPTION: &[u8] = b"name=";
    let mut name = None;
    for option in options {
        let Some((begin, value)) = option
            .split_at_checked(OPTION.len())
            .filter(|(begin, _)| begin.eq_ignore_ascii_case(OPTION))
        else {
            let option = shown(option);
            let text = format!("ERR Invalid metadata value given: {option}");
            return Err(Error::text(text));
        };
        debug_assert_eq!(begin.len(), OPTION.len());
        if name.replace(value.to_vec()).is_some() {
            return Err(Error::text(
                "ERR Invalid metadata value, name argument was given multiple times",
            ));
        }
    }
    name.ok_or_else(|| Error::text("ERR Library name was not given"))
}

/// A name as it may be: letters, digits and underscores.
pub(super) fn verify_name(name: &[u8]) -> Result<&str> {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let is_name = !name.is_empty() && name.iter().all(is_of_name);
    let name = is_name.then(|| std::str::from_utf8(name).ok()).flatten();
    name.ok_or_else(|| Error::text(NAME_RULE))
}

/// What a function may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct FunctionFlags(u8);

/// The flags by their names, in the order in which Redis lists them.
const FLAGS: &[&str] = &[
    "no-writes",
    "allow-oom",
    "allow-stale",
    "no-cluster",
    "allow-cross-slot-keys",
];

impl FunctionFlags {
    /// Sets the flag with this name. False if there is none.
    pub(super) fn set(&mut self, name: &[u8]) -> bool {
        let place = FLAGS
            .iter()
            .position(|flag| flag.as_bytes().eq_ignore_ascii_case(name));
        self.0 |= place.map_or(0, |place| 1 << place);
        place.is_some()
    }

    /// The names of those that are set.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        let places = FLAGS.iter().enumerate();
        places.filter_map(move |(place, name)| (self.0 >> place & 1 == 1).then_some(*name))
    }

    /// Whether it writes nothing.
    pub(super) fn is_readonly(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether it may take memory where there is none left.
    pub(super) fn allows_oom(self) -> bool {
        self.0 & 2 != 0
    }

    /// Whether the function is refused as a whole where there is no memory left.
    pub(super) fn takes_memory(self) -> bool {
        !self.is_readonly() && !self.allows_oom()
    }
}
