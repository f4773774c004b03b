//! The board.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use larder_store::{Command, Key, Keys, Kind, Script, Store};

use super::{Best, SCORE_MAX, Ties};

static WRITE: Script = Script::new(include_str!("write.lua"));
static WINDOW: Script = Script::new(include_str!("window.lua"));
static RANGE: Script = Script::new(include_str!("range.lua"));
static REMOVE: Script = Script::new(include_str!("remove.lua"));

/// The digits of an arrival, before the member's name.
const ARRIVAL_LEN: usize = 16;

/// The most members that one call answers, so that positions stay exact in Lua. It is more than
/// [`Leaderboard::around`] can ask for.
const LIMIT_MAX: u64 = 1 << 40;

/// Why a board did not do what was asked. Nothing was changed, unless the store gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The score is not between minus [`SCORE_MAX`] and [`SCORE_MAX`], within which integers are
    /// exact.
    #[error("the score {score} is not between -{SCORE_MAX} and {SCORE_MAX}")]
    Score {
        /// What was wanted.
        score: i64,
    },

    /// Adding would lead to a score that is out of the range of scores.
    #[error("adding {by} would lead to a score that is not between -{SCORE_MAX} and {SCORE_MAX}")]
    Sum {
        /// What was to be added.
        by: i64,
    },

    /// The board is kept with ranks that are dense, and asked for others; or the other way around.
    #[error("the board is kept for other ties than {ties:?}")]
    Ties {
        /// What was wanted.
        ties: Ties,
    },

    /// A time to last of zero, or longer than a store can hold.
    #[error("a board can't last {0:?}")]
    Lasting(Duration),

    /// The store gave no answer. What was asked of it may have happened.
    #[error(transparent)]
    Store(#[from] larder_store::Error),
}

/// How long a board lasts before the store forgets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lasting {
    /// Until it is cleared.
    #[default]
    Forever,
    /// This long from the first score on it, as for the board of a day.
    FromFirst(Duration),
    /// This long from the last score that was sent to it.
    FromLast(Duration),
}

/// A member on the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the caller calls it.
    pub member: String,
    /// Its score.
    pub score: i64,
    /// Its rank, from 1.
    pub rank: u64,
}

/// Where a write left a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    lasting: Lasting,
}

impl Leaderboard {
    /// The longest that a bounded time to last may be.
    const LASTING_MAX: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

    /// The board of this name, with [`Ties::Competition`], unbounded and lasting forever.
    ///
    /// `best` is part of what the board is: all who use it must agree on it. It is not stored.
    pub fn new(store: &Store, namespace: &str, name: &str, best: Best) -> Leaderboard {
        Leaderboard {
            store: store.clone(),
            key: Keys::new(namespace, "leaderboard").of(name),
            best,
            ties: Ties::default(),
            size_max: 0,
            lasting: Lasting::default(),
        }
    }

    /// The same board with these ranks for equal scores.
    #[must_use]
    pub fn ties(mut self, ties: Ties) -> Leaderboard {
        self.ties = ties;
        self
    }

    /// The same board, on which each write leaves only the best `members`. Of equal scores, the
    /// earlier stay.
    #[must_use]
    pub fn keep_top(mut self, members: NonZeroU64) -> Leaderboard {
        self.size_max = members.get();
        self
    }

    /// The same board, which lasts this long. It is told to the store with the next write.
    ///
    /// # Errors
    ///
    /// [`Error::Lasting`] if the time is under a millisecond or over a hundred years.
    pub fn lasting(mut self, lasting: Lasting) -> Result<Leaderboard, Error> {
        if let Lasting::FromFirst(time) | Lasting::FromLast(time) = lasting
            && !(Duration::from_millis(1)..=Leaderboard::LASTING_MAX).contains(&time)
        {
            return Err(Error::Lasting(time));
        }
        self.lasting = lasting;
        Ok(self)
    }

    /// Gives a member this score, better or worse than what it had.
    ///
    /// # Errors
    ///
    /// [`Error::Score`], [`Error::Ties`], [`Error::Store`].
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
    /// Those of [`Leaderboard::set`], and [`Error::Sum`]. After [`larder_store::Error::Unanswered`]
    /// it may have been added: a retry may add twice.
    pub async fn add(&self, member: &str, by: i64) -> Result<Placed, Error> {
        match self.write("add", member, self.best.points(by)?).await {
            Err(Error::Store(error)) if error.is_refusal("RANGE") => Err(Error::Sum { by }),
            placed => placed,
        }
    }

    /// The best `n` members, best first. None for `n` of 0.
    ///
    /// # Errors
    ///
    /// [`Error::Ties`], [`Error::Store`].
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
        let found = RANGE
            .on(&self.store)
            .key(self.key.clone())
            .key(self.key.part("distinct"))
            .arg(self.ties.name())
            .arg(one.min(other))
            .arg(one.max(other))
            .arg((limit as u64).min(LIMIT_MAX))
            .run()
            .await;
        self.entries(found)
    }

    /// Takes a member off the board. `false` if it was not on it.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn remove(&self, member: &str) -> Result<bool, Error> {
        let mut call = REMOVE.on(&self.store);
        for key in self.keys() {
            call = call.key(key);
        }
        Ok(call.arg(member).run().await?)
    }

    /// How many members are on the board. O(1).
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn len(&self) -> Result<u64, Error> {
        let command = Command::new("ZCARD").arg(&self.key);
        Ok(self.store.run(command).await?)
    }

    /// Whether nobody is on the board.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len().await? == 0)
    }

    /// Takes everyone off the board. It may be kept with other ties after that.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn clear(&self) -> Result<(), Error> {
        let command = Command::new("UNLINK").args(self.keys());
        Ok(self.store.run(command).await?)
    }

    fn keys(&self) -> [Key; 4] {
        [
            self.key.clone(),
            self.key.part("arrivals"),
            self.key.part("distinct"),
            self.key.part("counter"),
        ]
    }

    async fn write(&self, how: &str, member: &str, points: i64) -> Result<Placed, Error> {
        let (ttl, from) = match self.lasting {
            Lasting::Forever => (Duration::ZERO, "last"),
            Lasting::FromFirst(ttl) => (ttl, "first"),
            Lasting::FromLast(ttl) => (ttl, "last"),
        };
        let mut call = WRITE.on(&self.store);
        for key in self.keys() {
            call = call.key(key);
        }
        let placed = call
            .arg(how)
            .arg(member)
            .arg(points)
            .arg(self.ties.name())
            .arg(self.size_max)
            .arg(ttl)
            .arg(from)
            .run()
            .await;
        let (changed, points, rank): (bool, i64, u64) = self.known(placed)?;
        Ok(Placed {
            score: self.best.turn(points),
            rank: (rank > 0).then_some(rank),
            changed,
        })
    }

    async fn window(&self, first: i64, n: u64, member: Option<&str>) -> Result<Vec<Entry>, Error> {
        let found = WINDOW
            .on(&self.store)
            .key(self.key.clone())
            .key(self.key.part("arrivals"))
            .key(self.key.part("distinct"))
            .arg(self.ties.name())
            .arg(first)
            .arg(n.min(LIMIT_MAX))
            .args(member)
            .run()
            .await;
        self.entries(found)
    }

    /// Ranks what a script found: it tells the rank of the first, and the others follow from it.
    fn entries(
        &self,
        found: Result<(u64, u64, Vec<Bytes>), larder_store::Error>,
    ) -> Result<Vec<Entry>, Error> {
        let (first, first_rank, found) = self.known(found)?;
        let mut entries: Vec<Entry> = Vec::with_capacity(found.len() / 2);
        for (position, pair) in (first..).zip(found.chunks_exact(2)) {
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
    fn known<T>(&self, answer: Result<T, larder_store::Error>) -> Result<T, Error> {
        answer.map_err(|error| match error.is_refusal("TIES") {
            true => Error::Ties { ties: self.ties },
            false => Error::Store(error),
        })
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
    Error::Store(larder_store::Error::Unexpected {
        wanted,
        got: Kind::Bytes,
    })
}
