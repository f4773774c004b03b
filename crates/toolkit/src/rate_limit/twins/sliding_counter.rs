//! `sliding_counter.lua`.

use larder_store::{Key, Refusal, Words};

use super::limit::Limit;
use super::{Now, text};

pub(super) struct SlidingCounter<'k> {
    key: &'k Key,
    size: f64,
    window: f64,
    slice: f64,
    used: f64,
    before: f64,
    /// The number of the window.
    number: f64,
    /// How many slices a window has.
    slices: f64,
    free: f64,
}

impl<'k> SlidingCounter<'k> {
    pub(super) fn read(
        now: &mut Now<'_, '_>,
        key: &'k Key,
        words: Words<'_>,
    ) -> Result<SlidingCounter<'k>, Refusal> {
        let (window, slice): (f64, f64) = (words.number(1)?, words.number(2)?);
        let mut limit = SlidingCounter {
            key,
            size: words.number(0)?,
            window,
            slice,
            used: 0.0,
            before: 0.0,
            number: (now.now / window).floor(),
            slices: (window / slice).ceil(),
            free: 0.0,
        };
        if let Some([at, used, before]) = now.numbers(key)? {
            let (used, before) = (used.min(limit.size), before.min(limit.size));
            let ahead = (at / window).floor() - limit.number;
            if ahead > 0.0 {
                let counted = (before * limit.slices_left(at) / limit.slices).ceil();
                limit.used = (used + counted).min(limit.size);
                limit.keep(now)?;
            } else if ahead == 0.0 {
                (limit.used, limit.before) = (used, before);
            } else if ahead == -1.0 {
                limit.before = used;
            }
        }
        let free = (limit.size - limit.used) * limit.slices;
        let free = free - limit.before * limit.slices_left(now.now);
        limit.free = (free / limit.slices).floor().max(0.0);
        Ok(limit)
    }

    fn keep(&self, now: &mut Now<'_, '_>) -> Result<(), Refusal> {
        if self.used == 0.0 && self.before == 0.0 {
            return now.step.del(self.key).map(drop);
        }
        let windows = if self.used > 0.0 { 2.0 } else { 1.0 };
        let state = text([now.now, self.used, self.before]);
        now.set_until(self.key, &state, (self.number + windows) * self.window)
    }

    fn slices_left(&self, moment: f64) -> f64 {
        ((self.window - moment % self.window) / self.slice).ceil()
    }

    fn moment_of_room(&self, before: f64, room: f64) -> f64 {
        let slices = (room * self.slices / before).floor();
        (self.window - slices * self.slice).max(0.0)
    }
}

impl Limit for SlidingCounter<'_> {
    fn free(&self) -> f64 {
        self.free
    }

    fn wait(&mut self, now: &mut Now<'_, '_>, count: f64) -> Result<f64, Refusal> {
        let elapsed = now.now % self.window;
        let room = self.size - self.used - count;
        if room >= 0.0 {
            return Ok(self.moment_of_room(self.before, room) - elapsed);
        }
        Ok(self.window - elapsed + self.moment_of_room(self.used, self.size - count))
    }

    fn reset(&self, now: f64, count: f64) -> f64 {
        let left = self.window - now % self.window;
        match () {
            () if self.used + count > 0.0 => left + self.window,
            () if self.before > 0.0 => left,
            () => 0.0,
        }
    }

    fn take(&mut self, now: &mut Now<'_, '_>, count: f64) -> Result<f64, Refusal> {
        self.used += count;
        self.keep(now)?;
        Ok(self.number)
    }

    fn give(
        &mut self,
        now: &mut Now<'_, '_>,
        count: f64,
        _: f64,
        mark: f64,
    ) -> Result<(), Refusal> {
        if mark == self.number {
            self.used = (self.used - count).max(0.0);
        } else if mark == self.number - 1.0 {
            self.before = (self.before - count).max(0.0);
        } else {
            return Ok(());
        }
        self.keep(now)
    }
}
