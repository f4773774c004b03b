//! A script: its text, and what its text says of it.

use std::borrow::Cow;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use sha1::{Digest as _, Sha1};

use super::guards::TEXT_LEN_MAX;
use super::{BOUNDED, scope};
use crate::error::{Error, Result};

/// The SHA-1 of a script's text, in hexadecimal.
pub(crate) type Digest = [u8; 40];

/// A script.
#[derive(Debug)]
pub(crate) struct Script {
    /// One that no other script has.
    pub(super) number: u64,
    pub(crate) digest: Digest,
    pub(super) text: Box<[u8]>,
    /// How long its first line is, if that is a shebang.
    shebang_len: usize,
    /// Whether it touches only the keys that it declares.
    pub(crate) is_bounded: bool,
    /// Whether it said that it writes nothing.
    pub(crate) is_readonly: bool,
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
        let (shebang_len, is_readonly) = shebang(text)?;
        let mut digest = [0; 40];
        hex::encode_to_slice(Sha1::digest(text), &mut digest).map_err(|_| Error::Internal)?;
        Ok(Script {
            number,
            digest,
            text: text.into(),
            shebang_len,
            is_bounded: text.starts_with(BOUNDED) || scope::touches_only_its_keys(text),
            is_readonly,
            is_known: AtomicBool::new(false),
            stays: AtomicBool::new(false),
            used_at: AtomicU64::new(0),
        })
    }

    /// The text without its first line, if that is a shebang. Line numbers are kept.
    pub(super) fn body(&self) -> &[u8] {
        &self.text[self.shebang_len..]
    }

    /// Whether its first line says what it does.
    pub(super) fn has_shebang(&self) -> bool {
        self.shebang_len > 0
    }

    /// The digest as a text.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.digest)
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

/// Reads a first line such as `#!lua flags=no-writes`. Answers how long it is, and whether the
/// script writes nothing.
fn shebang(text: &[u8]) -> Result<(usize, bool)> {
    if !text.starts_with(b"#!") {
        return Ok((0, false));
    }
    let end = text.iter().position(|&byte| byte == b'\n');
    let end = end.ok_or_else(|| Error::text("ERR Invalid script shebang"))?;
    let line = String::from_utf8_lossy(&text[..end]);
    let mut words = line.split_ascii_whitespace();
    match words.next() {
        Some("#!lua") => {}
        engine => {
            let engine = engine.unwrap_or_default();
            let text = format!("ERR Unexpected engine in script shebang: {engine}");
            return Err(Error::text(text));
        }
    }
    let mut is_readonly = false;
    for word in words {
        let Some(flags) = word.strip_prefix("flags=") else {
            return Err(Error::text(format!(
                "ERR Unknown lua shebang option: {word}"
            )));
        };
        for flag in flags.split(',').filter(|flag| !flag.is_empty()) {
            match flag {
                "no-writes" => is_readonly = true,
                "allow-oom" | "allow-stale" | "no-cluster" | "allow-cross-slot-keys" => {}
                _ => {
                    let text = format!("ERR Unexpected flag in script shebang: {flag}");
                    return Err(Error::text(text));
                }
            }
        }
    }
    Ok((end, is_readonly))
}
