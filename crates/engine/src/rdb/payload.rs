//! A payload: bytes with a footer that says in which version they are, and a checksum.

use super::Malformed;
use super::crc64::crc64;
use crate::admin::config::Config;

/// The version that is written: that of Redis 7.0, which all later servers read.
const WRITTEN: u16 = 10;

/// The newest version that is read: that of Valkey 9, which counts on from 80. What a version has more
/// than those before it are forms of values, and one that is not known is refused where it stands.
const READ_MAX: u16 = 80;

/// How long the version and the checksum are.
const VERSION_LEN: usize = 2;
const CHECKSUM_LEN: usize = 8;

/// What is made of checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sums {
    Checked,
    /// They may be anything: for tests of what lies behind them.
    Skipped,
}

impl Sums {
    /// What the configuration says.
    pub(crate) fn of(config: &Config) -> Sums {
        match config.skips_checksums() {
            true => Sums::Skipped,
            false => Sums::Checked,
        }
    }
}

/// Puts the footer behind a body.
pub(crate) fn seal(mut body: Vec<u8>) -> Vec<u8> {
    body.extend_from_slice(&WRITTEN.to_le_bytes());
    let checksum = crc64(&body);
    body.extend_from_slice(&checksum.to_le_bytes());
    body
}

/// The body of a payload.
///
/// # Errors
///
/// If its version is not known, or its checksum is not that of its bytes.
pub(crate) fn open(payload: &[u8], sums: Sums) -> Result<&[u8], Malformed> {
    let (signed, checksum) = payload
        .split_last_chunk::<CHECKSUM_LEN>()
        .ok_or(Malformed)?;
    let (body, version) = signed.split_last_chunk::<VERSION_LEN>().ok_or(Malformed)?;
    let checksum = u64::from_le_bytes(*checksum);
    let is_known = u16::from_le_bytes(*version) <= READ_MAX;
    match is_known && (sums == Sums::Skipped || checksum == crc64(signed)) {
        true => Ok(body),
        false => Err(Malformed),
    }
}
