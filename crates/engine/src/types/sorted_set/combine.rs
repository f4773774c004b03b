//! The commands that make one sorted set of several: unions, intersections and differences. Plain
//! sets may take part, as sets whose scores are all 1.

use super::commands::answer_members;
use super::{Score, SortedSet};
use crate::args::Args;
use crate::command::Call;
use crate::error::{Error, Result};
use crate::float::parse_float;
use crate::keyspace::entry::{Kind, Object};
use crate::keyspace::{Expiry, Keyspace};
use crate::types::Limits;
use crate::types::set::Set;

/// How several sets make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// How the scores of one member make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, one: Score, other: Score) -> Score {
        match self {
            // The sum of both infinities is 0.
            Aggregate::Sum => Score::new(one.get() + other.get()).unwrap_or_default(),
            Aggregate::Min => one.min(other),
            Aggregate::Max => one.max(other),
        }
    }
}

/// What one of these commands asks for, behind the keys.
struct Options {
    /// One for each key.
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
}

impl Options {
    /// Reads options for so many keys. `answers` says whether WITHSCORES is one of them.
    fn read(
        args: &mut Args<'_>,
        keys: usize,
        operation: Operation,
        answers: bool,
    ) -> Result<Options> {
        let mut options = Options {
            weights: vec![1.0; keys],
            aggregate: Aggregate::Sum,
            with_scores: false,
        };
        let is_weighted = operation != Operation::Difference;
        while !args.is_empty() {
            if is_weighted && args.option("WEIGHTS") {
                options.weights = read_weights(args, keys)?;
            } else if is_weighted && args.option("AGGREGATE") {
                options.aggregate = match () {
                    () if args.option("SUM") => Aggregate::Sum,
                    () if args.option("MIN") => Aggregate::Min,
                    () if args.option("MAX") => Aggregate::Max,
                    () => return Err(Error::Syntax),
                };
            } else if answers && args.option("WITHSCORES") {
                options.with_scores = true;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }
}

/// The set that is asked for, and whether its scores are. `answers` says whether they can be.
///
/// A key of another type is refused before an option that is wrong, as in Redis.
fn combined(
    call: &mut Call<'_, '_>,
    operation: Operation,
    answers: bool,
) -> Result<(SortedSet, bool)> {
    let keys = read_keys(call)?;
    let sources = read_sources(call.keyspace, &keys)?;
    let options = Options::read(&mut call.args, keys.len(), operation, answers)?;

    let mut sources: Vec<_> = sources.into_iter().zip(options.weights).collect();
    if operation != Operation::Difference {
        // From the smallest on, also because this is the order in which Redis adds scores.
        sources.sort_by_key(|(source, _)| source.len());
    }
    let limits = call.keyspace.limits();
    let set = match operation {
        Operation::Union => union(&sources, options.aggregate, limits),
        Operation::Intersection => intersection(&sources, options.aggregate, limits),
        Operation::Difference => difference(&sources, limits),
    };
    Ok((set, options.with_scores))
}

/// The keys behind their number.
fn read_keys<'a>(call: &mut Call<'a, '_>) -> Result<Vec<&'a [u8]>> {
    let count = call.args.int()?;
    if count < 1 {
        return Err(Error::text(format!(
            "ERR at least 1 input key is needed for '{}' command",
            call.command.full_name()
        )));
    }
    Ok(call.args.take(count as usize)?.iter().collect())
}

fn read_weights(args: &mut Args<'_>, count: usize) -> Result<Vec<f64>> {
    let weights = args.take(count)?.iter().map(parse_float);
    let weights: Option<_> = weights.collect();
    weights.ok_or(Error::text("ERR weight value is not a float"))
}

/// One of the sets that are combined.
#[derive(Clone, Copy)]
enum Source<'k> {
    Missing,
    Plain(&'k Set),
    Sorted(&'k SortedSet),
}

/// A set, and what its scores are multiplied by.
type Weighted<'k> = (Source<'k>, f64);

fn read_sources<'k>(keyspace: &'k Keyspace<'_>, keys: &[&[u8]]) -> Result<Vec<Source<'k>>> {
    let read = |key: &&[u8]| {
        Ok(match keyspace.kind(key) {
            Some(Kind::Set) => keyspace.read(key)?.map(Source::Plain),
            _ => keyspace.read(key)?.map(Source::Sorted),
        }
        .unwrap_or(Source::Missing))
    };
    keys.iter().map(read).collect()
}

impl Source<'_> {
    fn len(self) -> usize {
        match self {
            Source::Missing => 0,
            Source::Plain(set) => set.len(),
            Source::Sorted(set) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<Score> {
        match self {
            Source::Missing => None,
            Source::Plain(set) => set.contains(member).then_some(Score::ONE),
            Source::Sorted(set) => set.score(member),
        }
    }

    /// Calls `visit` with each member, until it answers that it has seen enough.
    fn each(self, mut visit: impl FnMut(&[u8], Score) -> bool) {
        match self {
            Source::Missing => true,
            Source::Plain(set) => set
                .iter()
                .all(|member| member.with_bytes(|member| visit(member, Score::ONE))),
            Source::Sorted(set) => set
                .iter()
                .all(|(member, score)| member.with_bytes(|member| visit(member, score))),
        };
    }
}

/// A score with its weight. Zero times infinity is 0.
fn weighted(score: Score, weight: f64) -> Score {
    Score::new(score.get() * weight).unwrap_or_default()
}

fn union(sources: &[Weighted<'_>], aggregate: Aggregate, limits: &Limits) -> SortedSet {
    let mut result = SortedSet::default();
    for (source, weight) in sources {
        source.each(|member, score| {
            let score = weighted(score, *weight);
            let score = match result.score(member) {
                Some(so_far) => aggregate.of(so_far, score),
                None => score,
            };
            result.insert(member, score, limits);
            true
        });
    }
    result
}

fn intersection(sources: &[Weighted<'_>], aggregate: Aggregate, limits: &Limits) -> SortedSet {
    let mut result = SortedSet::default();
    let Some(((smallest, weight), others)) = sources.split_first() else {
        return result;
    };
    smallest.each(|member, score| {
        let first = weighted(score, *weight);
        let all = others.iter().try_fold(first, |so_far, (other, weight)| {
            let product = Score::new(other.score(member)?.get() * weight);
            Some(match product {
                Some(score) => aggregate.of(so_far, score),
                // Here Redis adds what is not a number, and makes the sum 0.
                None if aggregate == Aggregate::Sum => Score::default(),
                None => so_far,
            })
        });
        if let Some(score) = all {
            result.insert(member, score, limits);
        }
        true
    });
    result
}

fn difference(sources: &[Weighted<'_>], limits: &Limits) -> SortedSet {
    let mut result = SortedSet::default();
    let Some(((first, _), others)) = sources.split_first() else {
        return result;
    };
    first.each(|member, score| {
        if !others
            .iter()
            .any(|(other, _)| other.score(member).is_some())
        {
            result.insert(member, score, limits);
        }
        true
    });
    result
}

// --- the commands -------------------------------------------------------------------------------

fn answer(call: &mut Call<'_, '_>, operation: Operation) -> Result<()> {
    let (set, with_scores) = combined(call, operation, true)?;
    answer_members(call.reply, set.len(), set.iter(), with_scores);
    Ok(())
}

fn store(call: &mut Call<'_, '_>, operation: Operation) -> Result<()> {
    let target = call.args.key()?;
    let (set, _) = combined(call, operation, false)?;
    let len = set.len();
    call.keyspace.put(target, set, Expiry::Clear);
    call.reply.int(len as i64);
    Ok(())
}

pub(super) fn zunion(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, Operation::Union)
}

pub(super) fn zunionstore(call: &mut Call<'_, '_>) -> Result<()> {
    store(call, Operation::Union)
}

pub(super) fn zinter(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, Operation::Intersection)
}

pub(super) fn zinterstore(call: &mut Call<'_, '_>) -> Result<()> {
    store(call, Operation::Intersection)
}

pub(super) fn zdiff(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, Operation::Difference)
}

pub(super) fn zdiffstore(call: &mut Call<'_, '_>) -> Result<()> {
    store(call, Operation::Difference)
}

pub(super) fn zintercard(call: &mut Call<'_, '_>) -> Result<()> {
    let keys = read_keys(call)?;
    let mut sources = read_sources(call.keyspace, &keys)?;
    let mut limit = 0;
    while call.args.option("LIMIT") {
        limit = call
            .args
            .natural_or(Error::text("ERR LIMIT can't be negative"))?;
    }
    call.args.end()?;

    sources.sort_by_key(|source| source.len());
    let mut count = 0;
    if let Some((smallest, others)) = sources.split_first() {
        smallest.each(|member, _| {
            count += u64::from(others.iter().all(|other| other.score(member).is_some()));
            count != limit || limit == 0
        });
    }
    call.reply.int(count as i64);
    Ok(())
}
