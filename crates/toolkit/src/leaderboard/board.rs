//! The board.

use std::ops::RangeInclusive;

use bytes::Bytes;
use larder_store::{Command, Error, FromValue, Key, Keys, Kind, Script, ScriptCall, Store};
use serde::Serialize;

use super::score::{Best, SCORE_MAX, Ties};
use super::twins;
use crate::Ttl;

/// A script that stands on the part that all share.
macro_rules! script {
    ($part:literal) => {
        script!(new $part)
    };
    ($kind:ident $part:literal) => {
        Script::$kind(concat!(include_str!("common.lua"), include_str!($part)))
            .named(concat!("leaderboard/", $part))
    };
}

pub(super) static WRITE: Script = script!("write.lua").with_twin(twins::write);
pub(super) static WINDOW: Script = script!(read_only "window.lua").with_twin(twins::window);
pub(super) static RANGE: Script = script!(read_only "range.lua").with_twin(twins::range);
pub(super) static REMOVE: Script = script!("remove.lua").with_twin(twins::remove);
pub(super) static MEND: Script = script!("mend.lua").with_twin(twins::mend).repeatable();

/// Of how many members what was lost is made again in a call.
const MEND_LEN: u64 = 1000;

/// The digits of an arrival, before the member's name.
const ARRIVAL_LEN: usize = 16;

/// The most members that one call answers, so that positions stay exact in Lua. It is more than
/// [`Leaderboard::around`] can ask for.
const LIMIT_MAX: u64 = 1 << 40;

/// A member on the board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What the caller calls it.
    pub member: String,
    /// Its score.
    pub score: i64,
    /// Its rank, from 1.
    pub rank: u64,
}

/// Where a write left a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// The score that it has now; on a bounded board that it did not make, the one that it would
    /// have.
    pub score: i64,
    /// Its rank, from 1; `None` if the board is bounded and the member did not make it.
    pub rank: Option<u64>,
    /// Whether the score is another than before.
    pub changed: bool,
}

/// Members ranked by score. Cloning it is cheap and shares the board.
#[derive(Clone, Debug)]
pub struct Leaderboard {
    store: Store,
    key: Key,
    best: Best,
    ties: Ties,
    /// How many members stay, 0 for all.
    size_max: u64,
    ttl: Ttl,
    is_renewed: bool,
}

impl Leaderboard {
    /// The board of this name, with [`Ties::Competition`] and unbounded, which lasts this long from the
    /// first score on it on: a day, as a board with the day in its name; or [`Ttl::forever`].
    ///
    /// `best` and the ties are part of what the board is: all who use it must agree on them.
    pub fn new(store: &Store, namespace: &str, name: &str, best: Best, ttl: Ttl) -> Leaderboard {
        Leaderboard {
            store: store.clone(),
            key: Keys::new(namespace, "leaderboard").of(name),
            best,
            ties: Ties::default(),
            size_max: 0,
            ttl,
            is_renewed: false,
        }
    }

    /// The same board with these ranks for equal scores.
    #[must_use]
    pub fn ties(mut self, ties: Ties) -> Leaderboard {
        self.ties = ties;
        self
    }

    /// The same board, of which only the best `members` are kept. Of equal scores, the earlier stay.
    ///
    /// Who is behind them is not on the board. From a board that had many more they are removed bit by
    /// bit, a thousand with each write. A bound above 2^40 is none.
    ///
    /// # Panics
    ///
    /// If `members` is 0.
    #[must_use]
    pub fn keep_top(mut self, members: u64) -> Leaderboard {
        assert!(members > 0, "a board keeps at least one member");
        self.size_max = if members > LIMIT_MAX { 0 } else { members };
        self
    }

    /// The same board, whose time to live begins anew with each score that is sent to it.
    #[must_use]
    pub fn renewed(mut self) -> Leaderboard {
        self.is_renewed = true;
        self
    }

    /// Gives a member this score, better or worse than what it had.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a score that is not between minus [`SCORE_MAX`] and [`SCORE_MAX`], or if the
    /// board is kept for other ties; and those of the store.
    pub async fn set(&self, member: &str, score: i64) -> Result<Placed, Error> {
        self.write("set", member, self.best.points(score)?).await
    }

    /// Gives a member this score if it is better than what it had, or if it had none.
    ///
    /// Better is higher or lower, as the board has it. A retry is harmless.
    ///
    /// # Errors
    ///
    /// Those of [`Leaderboard::set`].
    pub async fn improve(&self, member: &str, score: i64) -> Result<Placed, Error> {
        self.write("improve", member, self.best.points(score)?)
            .await
    }

    /// Adds to the score of a member; one that is not on the board begins at zero.
    ///
    /// # Errors
    ///
    /// Those of [`Leaderboard::set`], with nothing changed if the sum would be no score. After
    /// [`Error::Unanswered`] it may have been added: a retry may add twice.
    pub async fn add(&self, member: &str, by: i64) -> Result<Placed, Error> {
        self.write("add", member, self.best.points(by)?).await
    }

    /// The best `n` members, best first. None for `n` of 0.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the board is kept for other ties; and those of the store.
    pub async fn top(&self, n: usize) -> Result<Vec<Entry>, Error> {
        self.page(0, n).await
    }

    /// `n` members, best first, leaving out the best `offset`.
    ///
    /// # Errors
    ///
    /// Those of [`Leaderboard::top`].
    pub async fn page(&self, offset: u64, n: usize) -> Result<Vec<Entry>, Error> {
        if n == 0 {
            return Ok(Vec::new());
        }
        self.window(offset.min(LIMIT_MAX).cast_signed(), n as u64, None)
            .await
    }

    /// A member with its score and its rank, or `None` if it is not on the board.
    ///
    /// # Errors
    ///
    /// Those of [`Leaderboard::top`].
    pub async fn rank(&self, member: &str) -> Result<Option<Entry>, Error> {
        Ok(self.window(0, 1, Some(member)).await?.pop())
    }

    /// A member between up to `above` that are ahead of it and up to `below` that are behind it,
    /// best first. Empty if the member is not on the board.
    ///
    /// # Errors
    ///
    /// Those of [`Leaderboard::top`].
    pub async fn around(&self, member: &str, above: u32, below: u32) -> Result<Vec<Entry>, Error> {
        let n = u64::from(above) + 1 + u64::from(below);
        self.window(-i64::from(above), n, Some(member)).await
    }

    /// Up to `limit` members with scores in this range, best first.
    ///
    /// # Errors
    ///
    /// Those of [`Leaderboard::top`].
    pub async fn between(
        &self,
        scores: RangeInclusive<i64>,
        limit: usize,
    ) -> Result<Vec<Entry>, Error> {
        let (lowest, highest) = (
            (*scores.start()).max(-SCORE_MAX),
            (*scores.end()).min(SCORE_MAX),
        );
        if limit == 0 || lowest > highest {
            return Ok(Vec::new());
        }
        let (one, other) = (self.best.turn(lowest), self.best.turn(highest));
        let limit = (limit as u64).min(LIMIT_MAX);
        let call = || {
            let call = self.on_keys(&RANGE).arg(self.ties.name());
            call.arg(one.min(other)).arg(one.max(other)).arg(limit)
        };
        self.entries(self.ask(call).await?)
    }

    /// Takes a member off the board. `false` if it was not on it.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn remove(&self, member: &str) -> Result<bool, Error> {
        self.ask(|| self.on_keys(&REMOVE).arg(member)).await
    }

    /// How many members are on the board. O(1).
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn len(&self) -> Result<u64, Error> {
        let command = Command::new("ZCARD").arg(&self.key);
        let len = self.store.run(command).await?;
        Ok(if self.size_max > 0 {
            self.size_max.min(len)
        } else {
            len
        })
    }

    /// Whether nobody is on the board.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len().await? == 0)
    }

    /// Takes everyone off the board. It may be kept with other ties after that.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn clear(&self) -> Result<(), Error> {
        let command = Command::new("UNLINK").args(self.keys());
        self.store.run(command).await
    }

    fn keys(&self) -> [Key; 3] {
        [
            self.key.clone(),
            self.key.part("arrivals"),
            self.key.part("distinct"),
        ]
    }

    fn on_keys(&self, script: &'static Script) -> ScriptCall<'_> {
        let keys = self.keys().into_iter();
        keys.fold(script.on(&self.store), ScriptCall::key)
    }

    async fn write(&self, how: &str, member: &str, points: i64) -> Result<Placed, Error> {
        let ttl_ms = self.ttl.draw_ms().unwrap_or(0);
        let from = if self.is_renewed { "last" } else { "first" };
        let call = || {
            let call = self.on_keys(&WRITE).arg(how).arg(member).arg(points);
            let call = call.arg(self.ties.name()).arg(self.size_max);
            call.arg(ttl_ms).arg(from)
        };
        let (changed, points, rank): (bool, i64, u64) = self.ask(call).await?;
        Ok(Placed {
            score: self.best.turn(points),
            rank: (rank > 0).then_some(rank),
            changed,
        })
    }

    async fn window(&self, first: i64, n: u64, member: Option<&str>) -> Result<Vec<Entry>, Error> {
        let n = n.min(LIMIT_MAX);
        let call = || {
            let call = self.on_keys(&WINDOW).arg(self.ties.name());
            call.arg(first).arg(n).args(member)
        };
        self.entries(self.ask(call).await?)
    }

    /// Runs a script, and once more if it found a part of the board lost and that was made again.
    async fn ask<'a, T: FromValue>(&self, call: impl Fn() -> ScriptCall<'a>) -> Result<T, Error> {
        let answer = match call().run().await {
            Err(error) if error.is_refusal("LOST") => {
                self.mend().await?;
                call().run().await
            }
            answer => answer,
        };
        answer.map_err(|error| self.known(error))
    }

    /// Makes the part again that a full store has evicted, bit by bit.
    async fn mend(&self) -> Result<(), Error> {
        for from in (0..).step_by(MEND_LEN as usize) {
            let call = self.on_keys(&MEND).arg(from).arg(MEND_LEN);
            let mended: u64 = call.run().await?;
            if mended < MEND_LEN {
                break;
            }
        }
        Ok(())
    }

    /// Ranks what a script found: it tells the rank of the first, and the others follow from it.
    fn entries(
        &self,
        (first, first_rank, found): (u64, u64, Vec<Bytes>),
    ) -> Result<Vec<Entry>, Error> {
        let mut entries: Vec<Entry> = Vec::with_capacity(found.len() / 2);
        for (position, pair) in (first..).zip(found.chunks_exact(2)) {
            if self.size_max > 0 && position >= self.size_max {
                break;
            }
            let score = self.best.turn(points(&pair[1])?);
            let rank = match entries.last() {
                Some(last) => self.ties.next(last.rank, position, last.score == score),
                None => first_rank,
            };
            entries.push(Entry {
                member: member(&pair[0])?,
                score,
                rank,
            });
        }
        Ok(entries)
    }

    /// Tells the scripts' refusals from the store's.
    fn known(&self, error: Error) -> Error {
        if error.is_refusal("TIES") {
            let ties = self.ties;
            return Error::invalid(format_args!(
                "the board is kept for other ties than {ties:?}"
            ));
        }
        if error.is_refusal("RANGE") {
            return Error::invalid(format_args!(
                "a sum is a score only between -{SCORE_MAX} and {SCORE_MAX}"
            ));
        }
        error
    }
}

/// The member of an entry, without its arrival.
fn member(entry: &Bytes) -> Result<String, Error> {
    entry
        .get(ARRIVAL_LEN..)
        .and_then(|member| String::from_utf8(member.to_vec()).ok())
        .ok_or(unexpected("an arrival and a member"))
}

fn points(text: &Bytes) -> Result<i64, Error> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(unexpected("an integer score"))
}

/// Somebody else has written to the board's keys.
fn unexpected(wanted: &'static str) -> Error {
    Error::Unexpected {
        wanted,
        got: Kind::Bytes,
    }
}
