//! `gcra.lua` and `gcra_kind.lua`.

use larder_store::{Key, Refusal, Words};

use super::limit::Limit;
use super::{Now, text};

/// The numbers of a limit.
pub(super) struct Rate {
    pub(super) size: f64,
    pub(super) cost: f64,
    flow: f64,
}

impl Rate {
    pub(super) fn read(words: Words<'_>) -> Result<Rate, Refusal> {
        Ok(Rate {
            size: words.number(0)?,
            cost: words.number(1)?,
            flow: words.number(2)?,
        })
    }

    pub(super) fn us(&self, ticks: f64) -> f64 {
        (ticks / self.flow).ceil()
    }

    pub(super) fn free(&self, missing: f64) -> f64 {
        ((self.size * self.cost - missing) / self.cost).floor()
    }
}

/// What is missing now, since when some is, and the permits taken since then.
#[derive(Clone, Copy)]
pub(super) struct State {
    pub(super) missing: f64,
    pub(super) since: f64,
    pub(super) taken: f64,
}

pub(super) fn keep(
    now: &mut Now<'_, '_>,
    key: &Key,
    rate: &Rate,
    missing: f64,
    since: f64,
    taken: f64,
) -> Result<(), Refusal> {
    if missing == 0.0 {
        return now.step.del(key).map(drop);
    }
    let state = text([now.now, missing, rate.flow, since, taken]);
    now.set_until(key, &state, now.now + rate.us(missing))
}

pub(super) fn read(now: &mut Now<'_, '_>, key: &Key, rate: &Rate) -> Result<State, Refusal> {
    let full = State {
        missing: 0.0,
        since: now.now,
        taken: 0.0,
    };
    let Some([at, mut missing, by, since, taken]) = now.numbers(key)? else {
        return Ok(full);
    };
    if by != rate.flow {
        missing = (missing / by * rate.flow).ceil();
    }
    let back = (now.now - at).max(0.0) * rate.flow;
    let missing = (missing.min(rate.size * rate.cost) - back).max(0.0);
    if missing == 0.0 {
        return Ok(full);
    }
    let since = since.min(now.now);
    if at > now.now {
        keep(now, key, rate, missing, since, taken)?;
    }
    Ok(State {
        missing,
        since,
        taken,
    })
}

/// The even flow as one of the kinds.
pub(super) struct Gcra<'k> {
    key: &'k Key,
    rate: Rate,
    state: State,
}

impl<'k> Gcra<'k> {
    pub(super) fn read(
        now: &mut Now<'_, '_>,
        key: &'k Key,
        words: Words<'_>,
    ) -> Result<Gcra<'k>, Refusal> {
        let rate = Rate::read(words)?;
        let state = read(now, key, &rate)?;
        Ok(Gcra { key, rate, state })
    }
}

impl Limit for Gcra<'_> {
    fn free(&self) -> f64 {
        self.rate.free(self.state.missing)
    }

    fn wait(&mut self, _: &mut Now<'_, '_>, count: f64) -> Result<f64, Refusal> {
        let too_many = (count - self.rate.size) * self.rate.cost;
        Ok(self.rate.us(self.state.missing + too_many))
    }

    fn reset(&self, _: f64, count: f64) -> f64 {
        self.rate.us(self.state.missing + count * self.rate.cost)
    }

    fn take(&mut self, now: &mut Now<'_, '_>, count: f64) -> Result<f64, Refusal> {
        let missing = self.state.missing + count * self.rate.cost;
        let taken = self.state.taken + count;
        keep(now, self.key, &self.rate, missing, self.state.since, taken)?;
        Ok(taken)
    }

    fn give(
        &mut self,
        now: &mut Now<'_, '_>,
        count: f64,
        at: f64,
        mark: f64,
    ) -> Result<(), Refusal> {
        let State {
            missing,
            since,
            taken,
        } = self.state;
        let later = taken - mark;
        if at < since || later < 0.0 {
            return Ok(());
        }
        let theirs = (count * self.rate.cost).min(missing - later * self.rate.cost);
        if theirs <= 0.0 {
            return Ok(());
        }
        let taken = if later == 0.0 { taken - count } else { taken };
        keep(now, self.key, &self.rate, missing - theirs, since, taken)
    }
}
