//! Files: all that a store holds, as Redis keeps it on disk.
//!
//! ```text
//! REDIS0010  facts (AUX)  libraries (FUNCTION2)  { database (SELECTDB)  { expiry  form  key  value } }  EOF  checksum
//! ```
//!
//! What is written is what Redis 7.0 and all later servers read, but for hashes of which fields expire, which
//! are known since Redis 7.4. A database may be begun more than once. What is read are the files of all
//! versions of Redis, and of Valkey.

use std::io::{self, Read as _};

use super::crc64::crc64_behind;
use super::value::{self, Value};
use super::{Malformed, Reader, Writer};
use crate::keyspace::DATABASES;
use crate::keyspace::entry::Entry;
use crate::types::Limits;

/// The version that is written.
const WRITTEN: &[u8] = b"REDIS0010";

/// How long the line is with which a file begins.
const FIRST_LEN: usize = 9;

/// The newest version that is read: that of Valkey 9, which counts on from 80. What a version has more than
/// those before it are parts, and one that is not known is refused where it stands.
const READ_MAX: u32 = 80;

/// From which version on a file ends with a checksum.
const SUMMED_FROM: u32 = 5;

// What stands before each part.
const SLOT_INFO: u8 = 244;
pub(crate) const FUNCTION: u8 = 245;
pub(crate) const FUNCTION_OF_PREVIEW: u8 = 246;
const MODULE_AUX: u8 = 247;
const IDLE: u8 = 248;
const FREQ: u8 = 249;
const AUX: u8 = 250;
const SIZES: u8 = 251;
const EXPIRY_MS: u8 = 252;
const EXPIRY_S: u8 = 253;
const DATABASE: u8 = 254;
const END: u8 = 255;

/// Values of modules, which have forms of their own.
const MODULE_VALUES: [u8; 2] = [6, 7];

/// How many bytes are read at once at least.
const READ_LEN: usize = 1 << 20;

/// The beginning of a file, with these facts about it.
pub(crate) fn write_start(facts: &[(&str, String)], writer: &mut Writer) {
    writer.raw(WRITTEN);
    for (name, value) in facts {
        writer.byte(AUX);
        writer.string(name.as_bytes());
        writer.string(value.as_bytes());
    }
}

/// A library of functions.
#[cfg(feature = "lua")]
pub(crate) fn write_library(text: &[u8], writer: &mut Writer) {
    writer.byte(FUNCTION);
    writer.string(text);
}

/// What follows is in this database.
pub(crate) fn write_database(number: usize, writer: &mut Writer) {
    writer.byte(DATABASE);
    writer.length(number as u64);
}

/// A key, with its value and when it expires.
pub(crate) fn write_record(entry: &Entry, writer: &mut Writer) {
    if let Some(at_ms) = entry.expires_at() {
        writer.byte(EXPIRY_MS);
        writer.time_ms(at_ms.cast_signed());
    }
    value::write_with_key(entry, writer);
}

/// The end of a file. Its checksum follows.
pub(crate) fn write_end(writer: &mut Writer) {
    writer.byte(END);
}

/// Why a file can't be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file can't be had.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is none, or damaged.
    #[error("byte {at}: {what}")]
    Malformed {
        /// Where what is wrong begins.
        at: u64,
        /// What is wrong there.
        what: String,
    },
}

/// A part of a file.
pub(crate) enum Part {
    /// A fact about the file, or a hint, that changes nothing.
    Hint,
    Library(Vec<u8>),
    Key {
        db: usize,
        key: Vec<u8>,
        value: Value,
        expires_at: Option<u64>,
    },
}

/// A file that is read from its beginning.
pub(crate) struct FileReader<'r> {
    from: &'r mut dyn io::Read,
    /// What has been read from the file and not from here, from `begun` on.
    window: Vec<u8>,
    begun: usize,
    /// Where in the file what was read ends, and the checksum up to there.
    at: u64,
    sum: u64,
    is_at_end: bool,
    version: u32,
    db: usize,
}

impl<'r> FileReader<'r> {
    /// Reads the first line.
    pub(crate) fn new(from: &'r mut dyn io::Read) -> Result<FileReader<'r>, LoadError> {
        let mut reader = FileReader {
            from,
            window: Vec::new(),
            begun: 0,
            at: 0,
            sum: 0,
            is_at_end: false,
            version: 0,
            db: 0,
        };
        let first = reader.part(|reader| reader.raw(FIRST_LEN).map(<[u8]>::to_vec));
        let wrong = |what: String| LoadError::Malformed { at: 0, what };
        let none = || wrong("this is no RDB file".to_owned());
        let first = first.map_err(|error| match error {
            LoadError::Malformed { .. } => none(),
            error => error,
        })?;
        let mut names = [&b"REDIS"[..], b"VALKEY"].into_iter();
        let digits = names.find_map(|name| first.strip_prefix(name));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let version = digits.and_then(|digits| digits.parse().ok());
        reader.version = version.ok_or_else(none)?;
        if !(1..=READ_MAX).contains(&reader.version) {
            let version = reader.version;
            return Err(wrong(format!("version {version} of RDB is not known")));
        }
        Ok(reader)
    }

    /// The next part. `None` at the end, when the checksum has been found to be right.
    pub(crate) fn next(&mut self, limits: &Limits) -> Result<Option<Part>, LoadError> {
        let kind = self.byte()?;
        if kind == END {
            return self.check_sum().map(|()| None);
        }
        self.part_of(kind, limits).map(Some)
    }

    fn part_of(&mut self, kind: u8, limits: &Limits) -> Result<Part, LoadError> {
        match kind {
            AUX => self.part(|reader| {
                reader.string()?;
                reader.string()?;
                Ok(Part::Hint)
            }),
            SIZES => self.skip_lengths(2),
            SLOT_INFO => self.skip_lengths(3),
            DATABASE => {
                let number = self.length()?;
                let number = usize::try_from(number).unwrap_or(usize::MAX);
                if number >= DATABASES {
                    let what = format!("there is no database {number}, but {DATABASES} of them");
                    return Err(self.wrong(&what));
                }
                self.db = number;
                Ok(Part::Hint)
            }
            FUNCTION => self.part(|reader| Ok(Part::Library(reader.string()?.into_owned()))),
            FUNCTION_OF_PREVIEW => Err(self.wrong("it holds functions of a preview of Redis 7")),
            MODULE_AUX => Err(self.wrong("it holds data of a module")),
            form => self.key(form, limits),
        }
    }

    /// Numbers that are only hints.
    fn skip_lengths(&mut self, count: usize) -> Result<Part, LoadError> {
        self.part(|reader| {
            for _ in 0..count {
                reader.length()?;
            }
            Ok(Part::Hint)
        })
    }

    /// A key, with what stands before it.
    fn key(&mut self, mut form: u8, limits: &Limits) -> Result<Part, LoadError> {
        let mut expires_at = None;
        loop {
            match form {
                EXPIRY_MS => expires_at = Some(self.time_ms()?),
                EXPIRY_S => {
                    let seconds = self.part(|reader| reader.raw(4).map(<[u8]>::to_vec))?;
                    let seconds = seconds.try_into().map_or(0, i32::from_le_bytes);
                    expires_at = Some(i64::from(seconds) * 1000);
                }
                IDLE => drop(self.length()?),
                FREQ => drop(self.byte()?),
                _ => break,
            }
            form = self.byte()?;
        }
        if MODULE_VALUES.contains(&form) {
            return Err(self.wrong("it holds a value of a module"));
        }
        let (key, value) = self.part(|reader| {
            let key = reader.string()?.into_owned();
            Ok((key, value::read_form(form, reader, limits)?))
        })?;
        // Redis wrote some by mistake, and passes them over as well.
        if value.is_empty() {
            return Ok(Part::Hint);
        }
        Ok(Part::Key {
            db: self.db,
            key,
            value,
            expires_at: expires_at.map(|at| at.max(1).cast_unsigned()),
        })
    }

    fn check_sum(&mut self) -> Result<(), LoadError> {
        if self.version < SUMMED_FROM {
            return Ok(());
        }
        let summed = self.sum;
        let said = self.time_ms()?.cast_unsigned();
        // A server that was told not to sum writes 0.
        match said == 0 || said == summed {
            true => Ok(()),
            false => Err(self.wrong("the checksum is not that of the file: it is damaged")),
        }
    }

    fn byte(&mut self) -> Result<u8, LoadError> {
        let of = |reader: &mut Reader<'_>| reader.byte();
        self.part(of)
    }

    fn length(&mut self) -> Result<u64, LoadError> {
        let of = |reader: &mut Reader<'_>| reader.length();
        self.part(of)
    }

    fn time_ms(&mut self) -> Result<i64, LoadError> {
        let of = |reader: &mut Reader<'_>| reader.time_ms();
        self.part(of)
    }

    /// Reads something, of which more is read from the file until all of it is there.
    fn part<T>(
        &mut self,
        read: impl Fn(&mut Reader<'_>) -> Result<T, Malformed>,
    ) -> Result<T, LoadError> {
        loop {
            let window = &self.window[self.begun..];
            let mut reader = Reader::new(window);
            if let Ok(part) = read(&mut reader) {
                let taken = window.len() - reader.len();
                self.sum = crc64_behind(self.sum, &window[..taken]);
                self.begun += taken;
                self.at += taken as u64;
                return Ok(part);
            }
            if self.is_at_end {
                return Err(self.wrong("what stands there is cut off or damaged"));
            }
            self.fill()?;
        }
    }

    /// Reads as much again as is there, so that a long value is not begun too often.
    fn fill(&mut self) -> io::Result<()> {
        self.window.drain(..self.begun);
        self.begun = 0;
        let more = self.window.len().max(READ_LEN) as u64;
        let read = (&mut *self.from).take(more).read_to_end(&mut self.window)?;
        self.is_at_end = (read as u64) < more;
        Ok(())
    }

    /// What is wrong where the next part begins.
    pub(crate) fn wrong(&self, what: &str) -> LoadError {
        LoadError::Malformed {
            at: self.at,
            what: what.to_owned(),
        }
    }
}
