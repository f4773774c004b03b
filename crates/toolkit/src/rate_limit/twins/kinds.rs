//! `kinds.lua` and `limits.lua`.

use larder_store::{Key, Refusal, Words};

use super::Now;
use super::fixed_window::FixedWindow;
use super::gcra::Gcra;
use super::limit::Limit;
use super::sliding_counter::SlidingCounter;
use super::sliding_window::SlidingWindow;

/// The limits with these states, of which the words say four things each.
pub(super) fn read_limits<'k>(
    now: &mut Now<'_, '_>,
    keys: &'k [Key],
    words: Words<'_>,
) -> Result<Vec<Box<dyn Limit + 'k>>, Refusal> {
    let mut limits: Vec<Box<dyn Limit + 'k>> = Vec::with_capacity(keys.len());
    for (place, key) in keys.iter().enumerate() {
        let (kind, words) = (words.bytes(4 * place)?, words.from(4 * place + 1));
        limits.push(match kind {
            b"gcra" => Box::new(Gcra::read(now, key, words)?),
            b"fixed-window" => Box::new(FixedWindow::read(now, key, words)?),
            b"sliding-window" => Box::new(SlidingWindow::read(now, key, words)?),
            b"sliding-counter" => Box::new(SlidingCounter::read(now, key, words)?),
            _ => return Err(Refusal::new("ERR there is no such kind of limit")),
        });
    }
    Ok(limits)
}
