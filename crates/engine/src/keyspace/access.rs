//! When entries were used, and how often: what an eviction goes by.
//!
//! An entry has 25 bits for it. Under most policies they are the time of its last use, in tenths of a
//! second. Under an LFU policy eight are a logarithmic count of uses, which fades with time, and the
//! 16 above them the minute in which it was looked at last. Both are as in Redis, and so are the
//! figures that OBJECT IDLETIME and OBJECT FREQ answer:
//! <https://redis.io/docs/latest/develop/reference/eviction/>.
//!
//! Redis dates a use by the second. Where a cache's keys are all replaced within a few seconds, that
//! tells hardly any of them from another, and costs three hits of a hundred. So where keys are evicted
//! by their last use, it is dated by the tenth. Elsewhere the second will do, and an entry that is read
//! all the time is written once a second.
//!
//! The time is that of the last tick, so that a read need not ask for it.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::entry::{CLOCK_MASK, Entry};
use crate::engine::Now;
use crate::per_thread::PerThread;
use crate::random::Random;

/// The count that a new entry begins with, so that it is not evicted before it can be used again.
const COUNT_NEW: u8 = 5;

/// Set in a stamp under which uses are counted. No entry's clock has it.
const COUNTS_USES: u32 = 1 << 31;

/// How many steps of the access clock make a second: as many as there are ticks.
const TENTHS: u64 = 10;

/// What is beyond this is taken for a clock that was put back, by up to 58 hours.
const IDLE_MAX: u32 = CLOCK_MASK / 16 * 15;

/// What is noted of a use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// Its second.
    Second,
    /// Its tenth of a second.
    Tenth,
    /// That it is one more.
    Count,
}

/// How uses are noted.
#[derive(Debug)]
pub(crate) struct Access {
    /// What an entry that is used now remembers, as far as it is the same for all.
    stamp: AtomicU32,
    /// The tenth of a second of the last tick, since 1970.
    now: AtomicU64,
    /// The more, the more uses it takes to be counted: `lfu-log-factor`.
    pub(crate) log_factor: AtomicU64,
    /// In how many minutes a count loses one: `lfu-decay-time`. Never, if it is 0.
    pub(crate) decay_min: AtomicU64,
    random: PerThread<Random>,
}

impl Default for Access {
    fn default() -> Access {
        Access {
            stamp: AtomicU32::new(0),
            now: AtomicU64::new(0),
            log_factor: AtomicU64::new(10),
            decay_min: AtomicU64::new(1),
            random: PerThread::default(),
        }
    }
}

impl Access {
    /// It is this time now, and this is noted of uses.
    pub(crate) fn set(&self, now: Now, noted: Noted) {
        let now = now.unix_ms() / (1000 / TENTHS);
        self.now.store(now, Relaxed);
        self.note(noted);
    }

    /// Has this noted of uses from here on.
    pub(crate) fn note(&self, noted: Noted) {
        let now = self.now.load(Relaxed);
        let minute = now / (60 * TENTHS);
        let stamp = match noted {
            Noted::Second => (now - now % TENTHS) as u32 & CLOCK_MASK,
            Noted::Tenth => now as u32 & CLOCK_MASK,
            Noted::Count => COUNTS_USES | (minute as u32 & 0xffff) << 8,
        };
        self.stamp.store(stamp, Relaxed);
    }

    /// Whether uses are counted, and not only the last one noted.
    pub(crate) fn counts_uses(&self) -> bool {
        self.stamp.load(Relaxed) & COUNTS_USES != 0
    }

    /// Notes that an entry is used. It writes only where there is something new, so that reading a
    /// key again and again writes no memory.
    #[inline]
    pub(crate) fn touch(&self, entry: &Entry) {
        let stamp = self.stamp.load(Relaxed);
        if entry.clock() == stamp {
            return;
        }
        match stamp & COUNTS_USES {
            0 => entry.set_clock(stamp),
            _ => self.count(entry),
        }
    }

    /// For how many seconds an entry has not been used; see [`Access::idle`].
    pub(crate) fn idle_s(&self, entry: &Entry) -> u32 {
        self.idle(entry) / TENTHS as u32
    }

    /// For how many tenths of a second an entry has not been used, up to 36 days: what lies further
    /// back can't be told from a clock that was put back, and that makes nothing idle.
    pub(crate) fn idle(&self, entry: &Entry) -> u32 {
        let idle = self.stamp.load(Relaxed).wrapping_sub(entry.clock()) & CLOCK_MASK;
        match idle > IDLE_MAX {
            true => 0,
            false => idle,
        }
    }

    /// The logarithmic count of an entry's uses, as it is now.
    pub(crate) fn uses(&self, entry: &Entry) -> u8 {
        let clock = entry.clock();
        if clock == 0 {
            return COUNT_NEW;
        }
        let (minute, count) = ((clock >> 8) as u16, clock as u8);
        let now = (self.stamp.load(Relaxed) >> 8) as u16;
        let passed_min = u64::from(now.wrapping_sub(minute));
        let periods = passed_min.checked_div(self.decay_min.load(Relaxed));
        let lost = u8::try_from(periods.unwrap_or(0)).unwrap_or(u8::MAX);
        count.saturating_sub(lost)
    }

    /// Has an entry not been used for so many seconds.
    pub(crate) fn set_idle_s(&self, entry: &Entry, idle_s: u32) {
        let idle = idle_s.saturating_mul(TENTHS as u32).min(IDLE_MAX);
        entry.set_clock(self.stamp.load(Relaxed).wrapping_sub(idle) & CLOCK_MASK);
    }

    /// Has an entry been used so often, as a logarithmic count.
    pub(crate) fn set_uses(&self, entry: &Entry, count: u8) {
        let stamp = self.stamp.load(Relaxed);
        entry.set_clock(stamp & CLOCK_MASK & !0xff | u32::from(count));
    }

    #[cold]
    fn count(&self, entry: &Entry) {
        let is_new = entry.clock() == 0;
        let mut count = self.uses(entry);
        let beyond = u64::from(count.saturating_sub(COUNT_NEW));
        let chance = beyond * self.log_factor.load(Relaxed) + 1;
        if !is_new && count < u8::MAX && self.random.own().next().is_multiple_of(chance) {
            count += 1;
        }
        let minute = self.stamp.load(Relaxed) & !COUNTS_USES & !0xff;
        entry.set_clock(minute | u32::from(count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_US: u64 = 60_000_000;

    #[test]
    fn a_clock_that_is_put_back_makes_nothing_idle() {
        let access = Access::default();
        let entry = Entry::string(b"key", b"value");
        access.set(Now::from_unix_us(1_000 * MINUTE_US), Noted::Second);
        access.touch(&entry);
        access.set(Now::from_unix_us(1_001 * MINUTE_US), Noted::Second);
        assert_eq!(access.idle_s(&entry), 60);
        access.set(Now::from_unix_us(900 * MINUTE_US), Noted::Second);
        assert_eq!(access.idle_s(&entry), 0);
    }

    #[test]
    fn a_use_is_dated_as_exactly_as_is_wanted() {
        for (noted, wanted) in [(Noted::Second, [10, 10, 0]), (Noted::Tenth, [10, 1, 0])] {
            let access = Access::default();
            let entries = [0, 900_000, 1_000_000].map(|us| {
                let entry = Entry::string(b"key", b"value");
                access.set(Now::from_unix_us(1_000 * MINUTE_US + us), noted);
                access.touch(&entry);
                entry
            });
            assert_eq!(entries.map(|entry| access.idle(&entry)), wanted);
        }
    }

    #[test]
    fn an_entry_is_known_to_be_idle_for_36_days() {
        const DAY_US: u64 = 24 * 60 * MINUTE_US;
        let access = Access::default();
        let entry = Entry::string(b"key", b"value");
        access.set(Now::from_unix_us(1_000 * DAY_US), Noted::Second);
        access.touch(&entry);
        access.set(Now::from_unix_us(1_036 * DAY_US), Noted::Second);
        assert_eq!(access.idle_s(&entry), 36 * 24 * 60 * 60);
    }

    #[test]
    fn uses_are_counted_by_logarithms_and_fade() {
        let access = Access::default();
        let entry = Entry::string(b"key", b"value");
        access.set(Now::from_unix_us(1_000 * MINUTE_US), Noted::Count);
        access.touch(&entry);
        assert_eq!(access.uses(&entry), COUNT_NEW);
        // With a factor of 10, a hundred uses count some ten, a hundred thousand some 140.
        (0..100).for_each(|_| access.touch(&entry));
        assert!((7..=14).contains(&access.uses(&entry)));
        (0..100_000).for_each(|_| access.touch(&entry));
        let many = access.uses(&entry);
        assert!((120..=165).contains(&many), "{many}");
        access.set(Now::from_unix_us(1_030 * MINUTE_US), Noted::Count);
        assert_eq!(access.uses(&entry), many - 30);
        access.set(Now::from_unix_us(9_000 * MINUTE_US), Noted::Count);
        assert_eq!(access.uses(&entry), 0);
    }
}
