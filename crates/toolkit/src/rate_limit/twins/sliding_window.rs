//! `sliding_window.lua`.

use bytes::Bytes;
use larder_store::{Key, Refusal, ToArgument, Words};

use super::limit::Limit;
use super::{Now, text, whole};

pub(super) struct SlidingWindow<'k> {
    key: &'k Key,
    size: f64,
    window: f64,
    grain: f64,
    used: f64,
    /// The newest entry, and its time.
    newest: Option<(Bytes, f64)>,
    free: f64,
}

/// The time of an entry, and its permits.
fn entry(entry: &[u8]) -> Option<(f64, f64)> {
    let (time, permits) = entry.split_at_checked(entry.iter().position(|&byte| byte == b' ')?)?;
    Some((whole(time)?, whole(&permits[1..])?))
}

fn permits(bytes: &[u8]) -> Result<f64, Refusal> {
    let permits = entry(bytes).map(|(_, permits)| permits);
    permits.ok_or_else(|| Refusal::new("ERR the state holds what is no entry"))
}

impl<'k> SlidingWindow<'k> {
    pub(super) fn read(
        now: &mut Now<'_, '_>,
        key: &'k Key,
        words: Words<'_>,
    ) -> Result<SlidingWindow<'k>, Refusal> {
        let used: Option<f64> = now.step.call("ZSCORE", key, &[&"used"])?;
        let mut limit = SlidingWindow {
            key,
            size: words.number(0)?,
            window: words.number(1)?,
            grain: words.number(2)?,
            used: -used.unwrap_or(0.0),
            newest: None,
            free: 0.0,
        };
        if limit.used > 0.0 {
            limit.bring_up_to(now)?;
        }
        limit.free = (limit.size - limit.used).max(0.0);
        Ok(limit)
    }

    /// Lets go of what has left the window, and takes what is ahead of the clock for taken now.
    fn bring_up_to(&mut self, now: &mut Now<'_, '_>) -> Result<(), Refusal> {
        let gone = self.remove(now, &"(0", &((now.now - self.window) as i64))?;
        if gone > 0.0 {
            now.step
                .call::<()>("ZINCRBY", self.key, &[&(gone as i64), &"used"])?;
            self.used -= gone;
        }
        self.find_newest(now)?;
        if self
            .newest
            .as_ref()
            .is_some_and(|(_, time)| *time > now.now)
        {
            let after = format!("({}", now.now as i64);
            let ahead = self.remove(now, &after, &"+inf")?;
            self.find_newest(now)?;
            self.add(now, ahead)?;
        }
        Ok(())
    }

    fn remove(
        &self,
        now: &mut Now<'_, '_>,
        from: &dyn ToArgument,
        to: &dyn ToArgument,
    ) -> Result<f64, Refusal> {
        let entries: Vec<Bytes> = now.step.call("ZRANGE", self.key, &[from, to, &"BYSCORE"])?;
        let mut sum = 0.0;
        for entry in &entries {
            sum += permits(entry)?;
        }
        if sum > 0.0 {
            now.step
                .call::<()>("ZREMRANGEBYSCORE", self.key, &[from, to])?;
        }
        Ok(sum)
    }

    fn find_newest(&mut self, now: &mut Now<'_, '_>) -> Result<(), Refusal> {
        let last: Vec<Bytes> = now.step.call("ZRANGE", self.key, &[&-1, &-1])?;
        self.newest = last.into_iter().next().and_then(|newest| {
            let (time, _) = entry(&newest)?;
            Some((newest, time))
        });
        Ok(())
    }

    fn add(&mut self, now: &mut Now<'_, '_>, count: f64) -> Result<(), Refusal> {
        let mut count = count;
        let grain = |time: f64| (time / self.grain).floor();
        if let Some((newest, time)) = &self.newest
            && grain(*time) == grain(now.now)
        {
            now.step.call::<()>("ZREM", self.key, &[newest])?;
            count += permits(newest)?;
        }
        let added = text([now.now, count]);
        now.step
            .call::<()>("ZADD", self.key, &[&(now.now as i64), &added])?;
        let at_ms = ((now.now + self.window) / 1000.0).ceil() as i64;
        now.step.call::<()>("PEXPIREAT", self.key, &[&at_ms])?;
        self.newest = Some((Bytes::from(added), now.now));
        Ok(())
    }
}

impl Limit for SlidingWindow<'_> {
    fn free(&self) -> f64 {
        self.free
    }

    fn wait(&mut self, now: &mut Now<'_, '_>, count: f64) -> Result<f64, Refusal> {
        let mut missing = self.used + count - self.size;
        let range: [&dyn ToArgument; 3] = [&1, &(missing as i64), &"WITHSCORES"];
        let oldest: Vec<Bytes> = now.step.call("ZRANGE", self.key, &range)?;
        for pair in oldest.chunks_exact(2) {
            missing -= permits(&pair[0])?;
            if missing <= 0.0 {
                let time = entry(&pair[0]).map_or(now.now, |(time, _)| time);
                return Ok(time + self.window - now.now);
            }
        }
        Ok(self.window)
    }

    fn reset(&self, now: f64, count: f64) -> f64 {
        let newest = self.newest.as_ref().map(|(_, time)| *time);
        let newest = if count > 0.0 { Some(now) } else { newest };
        newest.map_or(0.0, |newest| newest + self.window - now)
    }

    fn take(&mut self, now: &mut Now<'_, '_>, count: f64) -> Result<f64, Refusal> {
        self.add(now, count)?;
        now.step
            .call::<()>("ZINCRBY", self.key, &[&(-count as i64), &"used"])?;
        Ok(now.now)
    }

    fn give(
        &mut self,
        now: &mut Now<'_, '_>,
        count: f64,
        _: f64,
        mark: f64,
    ) -> Result<(), Refusal> {
        let range: [&dyn ToArgument; 6] = [&(mark as i64), &"+inf", &"BYSCORE", &"LIMIT", &0, &1];
        let found: Vec<Bytes> = now.step.call("ZRANGE", self.key, &range)?;
        let Some(found) = found.first() else {
            return Ok(());
        };
        let Some((at, held)) = entry(found) else {
            return Ok(());
        };
        if (at / self.grain).floor() != (mark / self.grain).floor() {
            return Ok(());
        }
        let count = count.min(held);
        now.step.call::<()>("ZREM", self.key, &[found])?;
        if held > count {
            let rest = text([at, held - count]);
            now.step
                .call::<()>("ZADD", self.key, &[&(at as i64), &rest])?;
        }
        match self.used > count {
            true => now
                .step
                .call("ZINCRBY", self.key, &[&(count as i64), &"used"]),
            false => now.step.del(self.key).map(drop),
        }
    }
}
