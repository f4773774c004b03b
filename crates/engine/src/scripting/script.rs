//! A script: its text, and what its text says of it.

use std::borrow::Cow;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use sha1_smol::Sha1;

use super::guards::TEXT_LEN_MAX;
use super::{BOUNDED, scope};
use crate::error::{Error, Result};
use crate::text::first_line;

/// The SHA-1 of a script's text, in hexadecimal.
pub(crate) type Digest = [u8; 40];

/// A script.
#[derive(Debug)]
pub(crate) struct Script {
    /// One that no other script has.
    pub(super) number: u64,
    pub(crate) digest: Digest,
    pub(super) text: Box<[u8]>,
    shebang: Option<Shebang>,
    /// Whether it touches only the keys that it declares.
    pub(crate) is_bounded: bool,
    is_known: AtomicBool,
    stays: AtomicBool,
    /// How many scripts had become known when it was used last.
    used_at: AtomicU64,
}

impl Script {
    /// Reads a text, which need not be Lua.
    ///
    /// # Errors
    ///
    /// If it is too long, or has a shebang that is not one.
    pub(super) fn read(text: &[u8], number: u64) -> Result<Script> {
        if text.len() > TEXT_LEN_MAX {
            return Err(Error::text("ERR script text is too long"));
        }
        let shebang = Shebang::read(text)?;
        Ok(Script {
            number,
            digest: digest_of(text),
            text: text.into(),
            shebang,
            is_bounded: text.starts_with(BOUNDED) || scope::touches_only_its_keys(text),
            is_known: AtomicBool::new(false),
            stays: AtomicBool::new(false),
            used_at: AtomicU64::new(0),
        })
    }

    /// The text without its first line, if that is a shebang. Line numbers are kept.
    pub(super) fn body(&self) -> &[u8] {
        let len = self.shebang.as_ref().map_or(0, |shebang| shebang.len);
        &self.text[len..]
    }

    /// What its first line says of it, if it says something.
    pub(super) fn shebang(&self) -> Option<&Shebang> {
        self.shebang.as_ref()
    }

    /// The digest as a text.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        larder_resp::text_of(&self.digest)
    }

    /// Whether it can be run by its digest.
    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Relaxed)
    }

    pub(super) fn set_known(&self, is_known: bool) {
        self.is_known.store(is_known, Relaxed);
    }

    /// Whether it is known until SCRIPT FLUSH.
    pub(super) fn stays(&self) -> bool {
        self.stays.load(Relaxed)
    }

    pub(super) fn set_stays(&self) {
        self.stays.store(true, Relaxed);
    }

    pub(super) fn used_at(&self) -> u64 {
        self.used_at.load(Relaxed)
    }

    pub(super) fn set_used_at(&self, used_at: u64) {
        self.used_at.store(used_at, Relaxed);
    }
}

/// The SHA-1 of a text, in hexadecimal.
fn digest_of(text: &[u8]) -> Digest {
    let digest = Sha1::from(text).hexdigest();
    std::array::from_fn(|place| digest.as_bytes()[place])
}

/// What a script says of itself in its first line: `#!lua flags=no-writes`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shebang {
    /// How long the line is, without its end.
    len: usize,
    /// `no-writes`: it writes nothing.
    pub(super) is_readonly: bool,
    /// `allow-oom`: it may take memory where there is none left.
    pub(super) allows_oom: bool,
}

impl Shebang {
    /// Reads the first line of a text. `None` if it is like any other line.
    ///
    /// # Errors
    ///
    /// If it is of another engine, or says what is not known.
    fn read(text: &[u8]) -> Result<Option<Shebang>> {
        if !text.starts_with(b"#!") {
            return Ok(None);
        }
        let line = first_line(text).ok_or_else(|| Error::text("ERR Invalid script shebang"))?;
        let len = line.len();
        let line = larder_resp::text_of(line);
        let mut words = line.split_ascii_whitespace();
        let engine = words.next().unwrap_or_default();
        if engine != "#!lua" {
            let text = format!("ERR Unexpected engine in script shebang: {engine}");
            return Err(Error::text(text));
        }
        let mut shebang = Shebang {
            len,
            ..Shebang::default()
        };
        for word in words {
            let Some(flags) = word.strip_prefix("flags=") else {
                let text = format!("ERR Unknown lua shebang option: {word}");
                return Err(Error::text(text));
            };
            if !flags.is_empty() {
                flags.split(',').try_for_each(|flag| shebang.set(flag))?;
            }
        }
        Ok(Some(shebang))
    }

    fn set(&mut self, flag: &str) -> Result<()> {
        match flag {
            "no-writes" => self.is_readonly = true,
            "allow-oom" => self.allows_oom = true,
            // They say something of replicas and clusters, of which there are none.
            "allow-stale" | "no-cluster" | "allow-cross-slot-keys" => {}
            _ => {
                let text = format!("ERR Unexpected flag in script shebang: {flag}");
                return Err(Error::text(text));
            }
        }
        Ok(())
    }

    /// Whether the script is refused as a whole where there is no memory left.
    pub(super) fn takes_memory(&self) -> bool {
        !self.is_readonly && !self.allows_oom
    }
}
