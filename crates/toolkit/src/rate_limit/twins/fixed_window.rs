//! `fixed_window.lua`.

use larder_store::{Key, Refusal, Words};

use super::limit::Limit;
use super::{Now, text};

pub(super) struct FixedWindow<'k> {
    key: &'k Key,
    size: f64,
    window: f64,
    begin: f64,
    used: f64,
    free: f64,
}

impl<'k> FixedWindow<'k> {
    pub(super) fn read(
        now: &mut Now<'_, '_>,
        key: &'k Key,
        words: Words<'_>,
    ) -> Result<FixedWindow<'k>, Refusal> {
        let mut limit = FixedWindow {
            key,
            size: words.number(0)?,
            window: words.number(1)?,
            begin: now.now,
            used: 0.0,
            free: 0.0,
        };
        if let Some([begin, used]) = now.numbers(key)?
            && begin + limit.window > now.now
        {
            limit.begin = begin.min(now.now);
            limit.used = used.min(limit.size);
            if begin > now.now {
                limit.keep(now)?;
            }
        }
        limit.free = limit.size - limit.used;
        Ok(limit)
    }

    fn keep(&self, now: &mut Now<'_, '_>) -> Result<(), Refusal> {
        if self.used == 0.0 {
            return now.step.del(self.key).map(drop);
        }
        let state = text([self.begin, self.used]);
        now.set_until(self.key, &state, self.begin + self.window)
    }
}

impl Limit for FixedWindow<'_> {
    fn free(&self) -> f64 {
        self.free
    }

    fn wait(&mut self, now: &mut Now<'_, '_>, _: f64) -> Result<f64, Refusal> {
        Ok(self.begin + self.window - now.now)
    }

    fn reset(&self, now: f64, count: f64) -> f64 {
        match self.used + count > 0.0 {
            true => self.begin + self.window - now,
            false => 0.0,
        }
    }

    fn take(&mut self, now: &mut Now<'_, '_>, count: f64) -> Result<f64, Refusal> {
        self.used += count;
        self.keep(now)?;
        Ok(self.begin)
    }

    fn give(
        &mut self,
        now: &mut Now<'_, '_>,
        count: f64,
        _: f64,
        mark: f64,
    ) -> Result<(), Refusal> {
        if mark != self.begin {
            return Ok(());
        }
        self.used = (self.used - count).max(0.0);
        self.keep(now)
    }
}
