//! The commands about ranges of ranks, of scores and of bytes.

use std::ops::Range;

use super::commands::answer_members;
use super::{Cut, Score, Side, SortedSet};
use crate::args::{Args, parse_int};
use crate::command::Call;
use crate::error::{Error, Result};
use crate::float::strtod;
use crate::keyspace::Expiry;
use crate::keyspace::entry::Object;
use crate::text::c_text;

/// What the two bounds of a range are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// From which end members are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// Two bounds, as they were given.
#[derive(Clone, Copy, Debug)]
enum Bounds<'a> {
    /// First and last rank; negative ones count from the end.
    Ranks(i64, i64),
    Cuts(Cut<'a>, Cut<'a>),
}

impl<'a> Bounds<'a> {
    fn read(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Bounds<'a>> {
        let rank = |word| parse_int(word).ok_or(Error::NotAnInteger);
        Ok(match by {
            By::Rank => Bounds::Ranks(rank(min)?, rank(max)?),
            By::Score => {
                let (min, max) = (score_bound(min)?, score_bound(max)?);
                Bounds::Cuts(min.cut(Side::Before), max.cut(Side::After))
            }
            By::Lex => {
                let (min, max) = (lex_bound(min)?, lex_bound(max)?);
                Bounds::Cuts(min.cut(Side::Before), max.cut(Side::After))
            }
        })
    }

    /// The ranks that lie between the bounds. Ranks are counted from the end that `direction`
    /// begins at.
    fn ranks(self, set: &SortedSet, direction: Direction) -> Range<usize> {
        let (first, last) = match self {
            Bounds::Cuts(from, until) => return set.ranks(from, until),
            Bounds::Ranks(first, last) => (first, last),
        };
        let len = set.len() as i64;
        let counted = |rank: i64| {
            if rank < 0 {
                rank.saturating_add(len)
            } else {
                rank
            }
        };
        let (start, end) = (counted(first).max(0), counted(last).min(len - 1) + 1);
        if start >= end {
            return 0..0;
        }
        let (start, end) = (start as usize, end as usize);
        match direction {
            Direction::Forward => start..end,
            Direction::Backward => set.len() - end..set.len() - start,
        }
    }
}

/// One bound of scores or of bytes.
#[derive(Clone, Copy, Debug)]
enum Bound<'a> {
    Score(Score, bool),
    Lex(&'a [u8], bool),
    Start,
    End,
}

impl<'a> Bound<'a> {
    /// The cut that has what the bound names on the inner side, or on the outer side if the bound
    /// excludes it. `outer` is the side where the range does not go on.
    fn cut(self, outer: Side) -> Cut<'a> {
        let side = |excludes| match (outer, excludes) {
            (Side::Before, false) | (Side::After, true) => Side::Before,
            (Side::After, false) | (Side::Before, true) => Side::After,
        };
        match self {
            Bound::Score(score, excludes) => Cut::Score(side(excludes), score),
            Bound::Lex(member, excludes) => Cut::Lex(side(excludes), member),
            Bound::Start => Cut::Start,
            Bound::End => Cut::End,
        }
    }
}

/// `5`, `(5`, `-inf`, `+inf`. As in C, a zero byte ends it.
fn score_bound(word: &[u8]) -> Result<Bound<'_>> {
    let (number, excludes) = match word.strip_prefix(b"(") {
        Some(number) => (number, true),
        None => (word, false),
    };
    let score = strtod(c_text(number)).and_then(Score::new);
    score
        .map(|score| Bound::Score(score, excludes))
        .ok_or(Error::RangeNotFloat)
}

/// `[member`, `(member`, `-`, `+`.
fn lex_bound(word: &[u8]) -> Result<Bound<'_>> {
    match word {
        b"-" => Ok(Bound::Start),
        b"+" => Ok(Bound::End),
        [b'[', member @ ..] => Ok(Bound::Lex(member, false)),
        [b'(', member @ ..] => Ok(Bound::Lex(member, true)),
        _ => Err(Error::text("ERR min or max not valid string range item")),
    }
}

/// What ZRANGE and its older forms ask for.
struct Query<'a> {
    bounds: Bounds<'a>,
    direction: Direction,
    /// How many members of the range are passed over, and how many are given then; -1 is all.
    limit: (i64, i64),
    with_scores: bool,
}

/// What a command leaves open, and its options say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Everything.
    Range,
    /// Everything but whether scores are given: they are stored.
    Store,
    /// One of the older commands.
    Fixed(By, Direction),
}

impl<'a> Query<'a> {
    fn read(args: &mut Args<'a>, form: Form) -> Result<Query<'a>> {
        let (first, second) = (args.bytes()?, args.bytes()?);
        let is_open = !matches!(form, Form::Fixed(..));
        let (mut by, mut direction) = match form {
            Form::Fixed(by, direction) => (by, direction),
            _ => (By::Rank, Direction::Forward),
        };
        let (mut limit, mut with_scores) = ((0, -1), false);
        while !args.is_empty() {
            match () {
                () if form != Form::Store && args.option("WITHSCORES") => with_scores = true,
                () if args.len() > 2 && args.option("LIMIT") => limit = (args.int()?, args.int()?),
                () if is_open && direction == Direction::Forward && args.option("REV") => {
                    direction = Direction::Backward;
                }
                () if is_open && by == By::Rank && args.option("BYSCORE") => by = By::Score,
                () if is_open && by == By::Rank && args.option("BYLEX") => by = By::Lex,
                () => return Err(Error::Syntax),
            }
        }
        if limit.1 != -1 && by == By::Rank {
            return Err(Error::text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or \
                 BYLEX",
            ));
        }
        if by == By::Rank {
            limit = (0, -1);
        }
        if with_scores && by == By::Lex {
            return Err(Error::text(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let is_swapped = direction == Direction::Backward && by != By::Rank;
        let (min, max) = if is_swapped {
            (second, first)
        } else {
            (first, second)
        };
        let bounds = Bounds::read(by, min, max)?;
        Ok(Query {
            bounds,
            direction,
            limit,
            with_scores,
        })
    }

    fn ranks(&self, set: &SortedSet) -> Range<usize> {
        let ranks = self.bounds.ranks(set, self.direction);
        let (offset, count) = self.limit;
        let Ok(offset) = usize::try_from(offset) else {
            return 0..0;
        };
        let len = ranks.len().saturating_sub(offset);
        let len = usize::try_from(count).map_or(len, |count| count.min(len));
        match self.direction {
            Direction::Forward => {
                let start = ranks.start.saturating_add(offset).min(ranks.end);
                start..start + len
            }
            Direction::Backward => {
                let end = ranks.end.saturating_sub(offset).max(ranks.start);
                end - len..end
            }
        }
    }
}

fn answer(call: &mut Call<'_, '_>, form: Form) -> Result<()> {
    let key = call.args.key()?;
    let query = Query::read(&mut call.args, form)?;

    let Some(set) = call.keyspace.read::<SortedSet>(key)? else {
        call.reply.array(0);
        return Ok(());
    };
    let ranks = query.ranks(set);
    let (len, members) = (ranks.len(), set.range(ranks));
    match query.direction {
        Direction::Forward => answer_members(call.reply, len, members, query.with_scores),
        Direction::Backward => answer_members(call.reply, len, members.rev(), query.with_scores),
    }
    Ok(())
}

pub(super) fn zrange(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, Form::Range)
}

pub(super) fn zrevrange(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, Form::Fixed(By::Rank, Direction::Backward))
}

pub(super) fn zrangebyscore(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, Form::Fixed(By::Score, Direction::Forward))
}

pub(super) fn zrevrangebyscore(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, Form::Fixed(By::Score, Direction::Backward))
}

pub(super) fn zrangebylex(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, Form::Fixed(By::Lex, Direction::Forward))
}

pub(super) fn zrevrangebylex(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, Form::Fixed(By::Lex, Direction::Backward))
}

pub(super) fn zrangestore(call: &mut Call<'_, '_>) -> Result<()> {
    let (target, source) = (call.args.key()?, call.args.key()?);
    let query = Query::read(&mut call.args, Form::Store)?;

    let (mut found, limits) = (SortedSet::default(), call.keyspace.limits());
    if let Some(set) = call.keyspace.read::<SortedSet>(source)? {
        for (member, score) in set.range(query.ranks(set)) {
            member.with_bytes(|member| found.insert(member, score, limits));
        }
    }
    let len = found.len();
    call.keyspace.put(target, found, Expiry::Clear);
    call.reply.int(len as i64);
    Ok(())
}

// --- counting and removing ----------------------------------------------------------------------

fn count(call: &mut Call<'_, '_>, by: By) -> Result<()> {
    let key = call.args.key()?;
    let bounds = Bounds::read(by, call.args.bytes()?, call.args.bytes()?)?;
    let set = call.keyspace.read::<SortedSet>(key)?;
    let len = set.map_or(0, |set| bounds.ranks(set, Direction::Forward).len());
    call.reply.int(len as i64);
    Ok(())
}

pub(super) fn zcount(call: &mut Call<'_, '_>) -> Result<()> {
    count(call, By::Score)
}

pub(super) fn zlexcount(call: &mut Call<'_, '_>) -> Result<()> {
    count(call, By::Lex)
}

fn remove(call: &mut Call<'_, '_>, by: By) -> Result<()> {
    let key = call.args.key()?;
    let bounds = Bounds::read(by, call.args.bytes()?, call.args.bytes()?)?;
    let mut len = 0;
    if let Some(mut set) = call.keyspace.write_existing::<SortedSet>(key)? {
        let ranks = bounds.ranks(&set, Direction::Forward);
        len = ranks.len();
        if len > 0 {
            set.remove_ranks(ranks);
        }
    }
    call.reply.int(len as i64);
    Ok(())
}

pub(super) fn zremrangebyrank(call: &mut Call<'_, '_>) -> Result<()> {
    remove(call, By::Rank)
}

pub(super) fn zremrangebyscore(call: &mut Call<'_, '_>) -> Result<()> {
    remove(call, By::Score)
}

pub(super) fn zremrangebylex(call: &mut Call<'_, '_>) -> Result<()> {
    remove(call, By::Lex)
}
