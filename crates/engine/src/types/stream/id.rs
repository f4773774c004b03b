//! Entry ids: a time in milliseconds, and a number that orders the entries of one millisecond.

use std::fmt;

/// The id of an entry, `ms-seq`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    pub(crate) ms: u64,
    pub(crate) seq: u64,
}

/// The longest text that is read as an id.
const TEXT_MAX: usize = 127;

impl Id {
    /// `0-0`, which no entry has.
    pub(crate) const MIN: Id = Id { ms: 0, seq: 0 };
    /// The last possible id.
    pub(crate) const MAX: Id = Id {
        ms: u64::MAX,
        seq: u64::MAX,
    };

    /// The id after this one.
    pub(crate) fn next(self) -> Option<Id> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => Some(Id {
                ms: self.ms.checked_add(1)?,
                seq: 0,
            }),
        }
    }

    /// The id before this one.
    pub(crate) fn previous(self) -> Option<Id> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => Some(Id {
                ms: self.ms.checked_sub(1)?,
                seq: u64::MAX,
            }),
        }
    }

    /// The id as 16 bytes whose order is that of ids.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// The id that these bytes stand for, as [`Id::to_bytes`] gives them.
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Id {
        let number = u128::from_be_bytes(bytes);
        Id {
            ms: (number >> 64) as u64,
            seq: number as u64,
        }
    }

    /// Reads `ms-seq`, or `ms` alone, which stands for `ms-seq_if_missing`.
    pub(crate) fn parse(text: &[u8], seq_if_missing: u64) -> Option<Id> {
        if text.len() > TEXT_MAX {
            return None;
        }
        match text.iter().position(|&byte| byte == b'-') {
            None => Some(Id {
                ms: parse_number(text)?,
                seq: seq_if_missing,
            }),
            Some(dash) => {
                let (ms, seq) = (
                    parse_number(&text[..dash])?,
                    parse_number(&text[dash + 1..])?,
                );
                Some(Id { ms, seq })
            }
        }
    }

    /// Reads an id, or `-` for the first possible one, or `+` for the last.
    pub(crate) fn parse_or_extreme(text: &[u8], seq_if_missing: u64) -> Option<Id> {
        match text {
            b"-" => Some(Id::MIN),
            b"+" => Some(Id::MAX),
            _ => Id::parse(text, seq_if_missing),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// A number as Redis reads it in an id: what `strtoull` reads whole.
fn parse_number(text: &[u8]) -> Option<u64> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let blanks = text.iter().take_while(|byte| blank(byte)).count();
    std::str::from_utf8(&text[blanks..]).ok()?.parse().ok()
}

/// The id that a new entry is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewId {
    /// `*`: the time now, or the id after the last one.
    Auto,
    /// `ms-*`: the next number in this millisecond.
    AutoSeq(u64),
    /// `ms-seq`, or `ms` for `ms-0`.
    Given(Id),
}

impl NewId {
    /// Reads `*`, `ms-*` or an id.
    pub(crate) fn parse(text: &[u8]) -> Option<NewId> {
        if text == b"*" {
            return Some(NewId::Auto);
        }
        match text.strip_suffix(b"-*") {
            Some(ms) if text.len() <= TEXT_MAX => parse_number(ms).map(NewId::AutoSeq),
            _ => Id::parse(text, 0).map(NewId::Given),
        }
    }
}

/// Which end of a range a text names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Start,
    End,
}

/// Why a text is no bound of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoBound {
    /// It is no id.
    NotAnId,
    /// It excludes the last id that there is in its direction.
    Nothing,
}

impl Bound {
    /// Reads the bound of a range: an id, `-`, `+`, or an id to exclude behind `(`. Where the
    /// number is missing, the bound takes the whole millisecond in.
    pub(crate) fn parse(self, text: &[u8]) -> Result<Id, NoBound> {
        let missing = match self {
            Bound::Start => 0,
            Bound::End => u64::MAX,
        };
        let Some(excluded) = text.strip_prefix(b"(") else {
            return Id::parse_or_extreme(text, missing).ok_or(NoBound::NotAnId);
        };
        let id = Id::parse(excluded, missing).ok_or(NoBound::NotAnId)?;
        let inside = match self {
            Bound::Start => id.next(),
            Bound::End => id.previous(),
        };
        inside.ok_or(NoBound::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64, seq: u64) -> Option<Id> {
        Some(Id { ms, seq })
    }

    #[test]
    fn an_id_is_read_as_redis_reads_it() {
        assert_eq!(Id::parse(b"5-3", 0), id(5, 3));
        assert_eq!(Id::parse(b"5", 7), id(5, 7));
        assert_eq!(Id::parse(b"18446744073709551615-0", 0), id(u64::MAX, 0));
        assert_eq!(Id::parse(b"007-01", 0), id(7, 1));
        assert_eq!(Id::parse_or_extreme(b"-", 0), Some(Id::MIN));
        assert_eq!(Id::parse_or_extreme(b"+", 0), Some(Id::MAX));
        for text in [
            "",
            "-",
            "+",
            "5-",
            "-5",
            "5-3-1",
            "5-x",
            "x",
            "18446744073709551616",
            "5-*",
        ] {
            assert_eq!(Id::parse(text.as_bytes(), 0), None, "{text:?}");
        }
        assert_eq!(Id::parse(&[b'0'; 128], 0), None);
    }

    #[test]
    fn a_new_id_may_leave_all_or_the_number_to_the_stream() {
        assert_eq!(NewId::parse(b"*"), Some(NewId::Auto));
        assert_eq!(NewId::parse(b"5-*"), Some(NewId::AutoSeq(5)));
        assert_eq!(NewId::parse(b"5"), id(5, 0).map(NewId::Given));
        assert_eq!(NewId::parse(b"-*"), None);
        assert_eq!(NewId::parse(b"*-1"), None);
    }

    #[test]
    fn a_bound_may_exclude_its_id() {
        assert_eq!(Bound::Start.parse(b"5").ok(), id(5, 0));
        assert_eq!(Bound::End.parse(b"5").ok(), id(5, u64::MAX));
        assert_eq!(Bound::Start.parse(b"(5-3").ok(), id(5, 4));
        assert_eq!(
            Bound::Start.parse(b"(5-18446744073709551615").ok(),
            id(6, 0)
        );
        assert_eq!(Bound::End.parse(b"(5-0").ok(), id(4, u64::MAX));
        assert_eq!(Bound::End.parse(b"(0-0"), Err(NoBound::Nothing));
        assert_eq!(Bound::Start.parse(b"(+"), Err(NoBound::NotAnId));
    }
}
