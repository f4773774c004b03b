//! Commands on sorted sets: their rows, and the functions of those that are about members.
//!
//! Ranges are in `ranges`, taking from an end is in `ends`, and making one set of several is in
//! `combine`.

use larder_resp::write_double;
use smallvec::SmallVec;

use super::{Inserted, Score, SortedSet, combine, ends, ranges};
use crate::args::Args;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};
use crate::generic::commands::ScanOptions;
use crate::keyspace::entry::{Object, Str};
use crate::reply::Reply;
use crate::types::sample::{self, Wanted};
use crate::types::{cursor, scaled};

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = READ.and(Flags::FAST);
const ADD: Flags = Flags::WRITE.and(Flags::DENY_OOM).and(Flags::FAST);
const TAKE: Flags = Flags::WRITE;
const TAKE_FAST: Flags = TAKE.and(Flags::FAST);
const BLOCKING: Flags = TAKE_FAST.and(Flags::BLOCKING);
const STORE: Flags = Flags::WRITE.and(Flags::DENY_OOM);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "ZADD",
        run: zadd,
        arity: Arity::AtLeast(4),
        keys: KeySpec::First,
        flags: ADD,
        syntax: "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
        summary: "Gives members their scores, and answers how many members are new.",
        complexity: "O(log n) for each member.",
        since: "1.2.0",
    },
    Row {
        name: "ZINCRBY",
        run: zincrby,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: ADD,
        syntax: "key increment member",
        summary: "Adds to a member's score, and adds the member if it is new.",
        complexity: "O(log n)",
        since: "1.2.0",
    },
    Row {
        name: "ZREM",
        run: zrem,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: TAKE_FAST,
        syntax: "key member [member ...]",
        summary: "Removes members, and answers how many there were.",
        complexity: "O(log n) for each member.",
        since: "1.2.0",
    },
    Row {
        name: "ZSCORE",
        run: zscore,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: READ_FAST,
        syntax: "key member",
        summary: "Gives the score of a member.",
        complexity: "O(1)",
        since: "1.2.0",
    },
    Row {
        name: "ZMSCORE",
        run: zmscore,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: READ_FAST,
        syntax: "key member [member ...]",
        summary: "Gives the scores of several members.",
        complexity: "O(n), n the number of members asked for.",
        since: "6.2.0",
    },
    Row {
        name: "ZCARD",
        run: zcard,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: READ_FAST,
        syntax: "key",
        summary: "Counts the members.",
        complexity: "O(1)",
        since: "1.2.0",
    },
    Row {
        name: "ZCOUNT",
        run: ranges::zcount,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: READ_FAST,
        syntax: "key min max",
        summary: "Counts the members whose scores are in a range.",
        complexity: "O(log n)",
        since: "2.0.0",
    },
    Row {
        name: "ZLEXCOUNT",
        run: ranges::zlexcount,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: READ_FAST,
        syntax: "key min max",
        summary: "Counts the members in a range of bytes, where all scores are equal.",
        complexity: "O(log n)",
        since: "2.8.9",
    },
    Row {
        name: "ZRANK",
        run: zrank,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: READ_FAST,
        syntax: "key member [WITHSCORE]",
        summary: "Says how many members come before a member.",
        complexity: "O(log n)",
        since: "2.0.0",
    },
    Row {
        name: "ZREVRANK",
        run: zrevrank,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: READ_FAST,
        syntax: "key member [WITHSCORE]",
        summary: "Says how many members come after a member.",
        complexity: "O(log n)",
        since: "2.0.0",
    },
    Row {
        name: "ZRANGE",
        run: ranges::zrange,
        arity: Arity::AtLeast(4),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
        summary: "Gives the members of a range of ranks, of scores or of bytes.",
        complexity: "O(log n + m), m the number of members given.",
        since: "1.2.0",
    },
    Row {
        name: "ZRANGESTORE",
        run: ranges::zrangestore,
        arity: Arity::AtLeast(5),
        keys: KeySpec::FirstTwo,
        flags: STORE,
        syntax: "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
        summary: "Stores the members of a range of ranks, of scores or of bytes.",
        complexity: "O(log n + m log m), m the number of members stored.",
        since: "6.2.0",
    },
    Row {
        name: "ZREVRANGE",
        run: ranges::zrevrange,
        arity: Arity::AtLeast(4),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key start stop [WITHSCORES]",
        summary: "Gives the members of a range of ranks, counted from the highest score.",
        complexity: "O(log n + m), m the number of members given.",
        since: "1.2.0",
    },
    Row {
        name: "ZRANGEBYSCORE",
        run: ranges::zrangebyscore,
        arity: Arity::AtLeast(4),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key min max [WITHSCORES] [LIMIT offset count]",
        summary: "Gives the members whose scores are in a range.",
        complexity: "O(log n + m), m the number of members given.",
        since: "1.0.5",
    },
    Row {
        name: "ZREVRANGEBYSCORE",
        run: ranges::zrevrangebyscore,
        arity: Arity::AtLeast(4),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key max min [WITHSCORES] [LIMIT offset count]",
        summary: "Gives the members whose scores are in a range, the highest first.",
        complexity: "O(log n + m), m the number of members given.",
        since: "2.2.0",
    },
    Row {
        name: "ZRANGEBYLEX",
        run: ranges::zrangebylex,
        arity: Arity::AtLeast(4),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key min max [LIMIT offset count]",
        summary: "Gives the members in a range of bytes, where all scores are equal.",
        complexity: "O(log n + m), m the number of members given.",
        since: "2.8.9",
    },
    Row {
        name: "ZREVRANGEBYLEX",
        run: ranges::zrevrangebylex,
        arity: Arity::AtLeast(4),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key max min [LIMIT offset count]",
        summary: "Gives the members in a range of bytes, where all scores are equal, backwards.",
        complexity: "O(log n + m), m the number of members given.",
        since: "2.8.9",
    },
    Row {
        name: "ZREMRANGEBYRANK",
        run: ranges::zremrangebyrank,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: TAKE,
        syntax: "key start stop",
        summary: "Removes the members of a range of ranks.",
        complexity: "O(m log n), m the number of members removed.",
        since: "2.0.0",
    },
    Row {
        name: "ZREMRANGEBYSCORE",
        run: ranges::zremrangebyscore,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: TAKE,
        syntax: "key min max",
        summary: "Removes the members whose scores are in a range.",
        complexity: "O(m log n), m the number of members removed.",
        since: "1.2.0",
    },
    Row {
        name: "ZREMRANGEBYLEX",
        run: ranges::zremrangebylex,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: TAKE,
        syntax: "key min max",
        summary: "Removes the members in a range of bytes, where all scores are equal.",
        complexity: "O(m log n), m the number of members removed.",
        since: "2.8.9",
    },
    Row {
        name: "ZPOPMIN",
        run: ends::zpopmin,
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: TAKE_FAST,
        syntax: "key [count]",
        summary: "Takes out the members with the lowest scores.",
        complexity: "O(m log n), m the number of members taken.",
        since: "5.0.0",
    },
    Row {
        name: "ZPOPMAX",
        run: ends::zpopmax,
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: TAKE_FAST,
        syntax: "key [count]",
        summary: "Takes out the members with the highest scores.",
        complexity: "O(m log n), m the number of members taken.",
        since: "5.0.0",
    },
    Row {
        name: "ZMPOP",
        run: ends::zmpop,
        arity: Arity::AtLeast(4),
        keys: KeySpec::Counted(1),
        flags: TAKE,
        syntax: "numkeys key [key ...] <MIN | MAX> [COUNT count]",
        summary: "Takes members from an end of the first of several sets that is not empty.",
        complexity: "O(k + m log n), k the number of keys, m of members taken.",
        since: "7.0.0",
    },
    Row {
        name: "BZPOPMIN",
        run: ends::bzpopmin,
        arity: Arity::AtLeast(3),
        keys: KeySpec::AllButLast,
        flags: BLOCKING,
        syntax: "key [key ...] timeout",
        summary: "Takes the member with the lowest score, and waits for one if there is none.",
        complexity: "O(log n)",
        since: "5.0.0",
    },
    Row {
        name: "BZPOPMAX",
        run: ends::bzpopmax,
        arity: Arity::AtLeast(3),
        keys: KeySpec::AllButLast,
        flags: BLOCKING,
        syntax: "key [key ...] timeout",
        summary: "Takes the member with the highest score, and waits for one if there is none.",
        complexity: "O(log n)",
        since: "5.0.0",
    },
    Row {
        name: "BZMPOP",
        run: ends::bzmpop,
        arity: Arity::AtLeast(5),
        keys: KeySpec::Counted(2),
        flags: TAKE.and(Flags::BLOCKING),
        syntax: "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
        summary: "Takes members from an end of the first set that has some, and waits for them.",
        complexity: "O(k + m log n), k the number of keys, m of members taken.",
        since: "7.0.0",
    },
    Row {
        name: "ZRANDMEMBER",
        run: zrandmember,
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key [count [WITHSCORES]]",
        summary: "Gives members chosen at random: a negative count allows repetition.",
        complexity: "O(m log n), m the number of members asked for.",
        since: "6.2.0",
    },
    Row {
        name: "ZSCAN",
        run: zscan,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key cursor [MATCH pattern] [COUNT count] [NOSCORES]",
        summary: "Walks over the members and their scores, some at a time.",
        complexity: "O(1) for each call, O(n) for a whole walk.",
        since: "2.8.0",
    },
    Row {
        name: "ZUNION",
        run: combine::zunion,
        arity: Arity::AtLeast(3),
        keys: KeySpec::Counted(1),
        flags: READ,
        syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] \
                 [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
        summary: "Gives the members of all of several sets.",
        complexity: "O(n log n), n the members of all the sets.",
        since: "6.2.0",
    },
    Row {
        name: "ZUNIONSTORE",
        run: combine::zunionstore,
        arity: Arity::AtLeast(4),
        keys: KeySpec::FirstAndCounted(2),
        flags: STORE,
        syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] \
                 [AGGREGATE <SUM | MIN | MAX>]",
        summary: "Stores the members of all of several sets.",
        complexity: "O(n log n), n the members of all the sets.",
        since: "2.0.0",
    },
    Row {
        name: "ZINTER",
        run: combine::zinter,
        arity: Arity::AtLeast(3),
        keys: KeySpec::Counted(1),
        flags: READ,
        syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] \
                 [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
        summary: "Gives the members that several sets have in common.",
        complexity: "O(n*k + m log m), n the members of the smallest of k sets, m those given.",
        since: "6.2.0",
    },
    Row {
        name: "ZINTERSTORE",
        run: combine::zinterstore,
        arity: Arity::AtLeast(4),
        keys: KeySpec::FirstAndCounted(2),
        flags: STORE,
        syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] \
                 [AGGREGATE <SUM | MIN | MAX>]",
        summary: "Stores the members that several sets have in common.",
        complexity: "O(n*k + m log m), n the members of the smallest of k sets, m those stored.",
        since: "2.0.0",
    },
    Row {
        name: "ZINTERCARD",
        run: combine::zintercard,
        arity: Arity::AtLeast(3),
        keys: KeySpec::Counted(1),
        flags: READ,
        syntax: "numkeys key [key ...] [LIMIT limit]",
        summary: "Counts the members that several sets have in common, up to a limit.",
        complexity: "O(n*k), n the members of the smallest of k sets.",
        since: "7.0.0",
    },
    Row {
        name: "ZDIFF",
        run: combine::zdiff,
        arity: Arity::AtLeast(3),
        keys: KeySpec::Counted(1),
        flags: READ,
        syntax: "numkeys key [key ...] [WITHSCORES]",
        summary: "Gives the members that the first set has and the others have not.",
        complexity: "O(n*k + m log m), n the members of the first of k sets, m those given.",
        since: "6.2.0",
    },
    Row {
        name: "ZDIFFSTORE",
        run: combine::zdiffstore,
        arity: Arity::AtLeast(4),
        keys: KeySpec::FirstAndCounted(2),
        flags: STORE,
        syntax: "destination numkeys key [key ...]",
        summary: "Stores the members that the first set has and the others have not.",
        complexity: "O(n*k + m log m), n the members of the first of k sets, m those stored.",
        since: "6.2.0",
    },
];

impl Args<'_> {
    /// The next word, as a score.
    pub(super) fn score(&mut self) -> Result<Score> {
        Score::new(self.float()?).ok_or(Error::NotAFloat)
    }
}

/// Answers members: with their scores if these are wanted, in pairs where the protocol has pairs.
pub(super) fn answer_members<'s>(
    reply: &mut dyn Reply,
    len: usize,
    members: impl Iterator<Item = (Str<'s>, Score)>,
    with_scores: bool,
) {
    let nests = with_scores && reply.is_resp3();
    reply.array(if with_scores && !nests { len * 2 } else { len });
    // From within the iterator, which does not have to find out for each where it stands.
    members.for_each(|(member, score)| {
        if nests {
            reply.array(2);
        }
        member.write(reply);
        if with_scores {
            reply.double(score.get());
        }
    });
}

// --- adding and removing ------------------------------------------------------------------------

/// When ZADD and GEOADD give a member a score.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Condition {
    pub(crate) nx: bool,
    pub(crate) xx: bool,
    gt: bool,
    lt: bool,
}

impl Condition {
    /// Whether a member with the score `old`, or a new one, may get the score `new`.
    fn allows(self, old: Option<Score>, new: Score) -> bool {
        match old {
            None => !self.xx,
            Some(_) if self.nx => false,
            Some(old) if self.gt => new > old,
            Some(old) if self.lt => new < old,
            Some(_) => true,
        }
    }
}

/// The options of ZADD.
#[derive(Clone, Copy, Debug, Default)]
struct AddOptions {
    condition: Condition,
    /// Whether members that moved count.
    counts_moved: bool,
    increments: bool,
}

impl AddOptions {
    fn read(args: &mut Args<'_>) -> AddOptions {
        let mut options = AddOptions::default();
        loop {
            match () {
                () if args.option("NX") => options.condition.nx = true,
                () if args.option("XX") => options.condition.xx = true,
                () if args.option("GT") => options.condition.gt = true,
                () if args.option("LT") => options.condition.lt = true,
                () if args.option("CH") => options.counts_moved = true,
                () if args.option("INCR") => options.increments = true,
                () => return options,
            }
        }
    }

    /// Refuses options that contradict each other, or these with so many pairs.
    fn check(self, pairs: usize) -> Result<()> {
        let Condition { nx, xx, gt, lt } = self.condition;
        if nx && xx {
            return Err(Error::text(
                "ERR XX and NX options at the same time are not compatible",
            ));
        }
        if (nx && (gt || lt)) || (gt && lt) {
            return Err(Error::text(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.increments && pairs > 1 {
            return Err(Error::text(
                "ERR INCR option supports a single increment-element pair",
            ));
        }
        Ok(())
    }
}

fn zadd(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let options = AddOptions::read(&mut call.args);
    if call.args.is_empty() || !call.args.len().is_multiple_of(2) {
        return Err(Error::Syntax);
    }
    options.check(call.args.len() / 2)?;
    let mut pairs: SmallVec<[(Score, &[u8]); 4]> = SmallVec::new();
    while !call.args.is_empty() {
        pairs.push((call.args.score()?, call.args.bytes()?));
    }

    match pairs.as_slice() {
        [(increment, member)] if options.increments => {
            match increment_by(call, key, member, *increment, options.condition)? {
                Some(score) => call.reply.double(score.get()),
                None => call.reply.null(),
            }
        }
        pairs => {
            let (added, moved) = add(call, key, pairs, options.condition)?;
            let count = if options.counts_moved {
                added + moved
            } else {
                added
            };
            call.reply.int(count);
        }
    }
    Ok(())
}

/// Gives members their scores. Answers how many are new, and how many others have moved.
pub(crate) fn add(
    call: &mut Call<'_, '_>,
    key: &[u8],
    pairs: &[(Score, &[u8])],
    condition: Condition,
) -> Result<(i64, i64)> {
    let limits = call.keyspace.limits();
    let mut guard = call.keyspace.write::<SortedSet>(key)?;
    let set = &mut *guard;
    let is_conditional = condition.nx || condition.xx || condition.gt || condition.lt;
    let (mut added, mut moved) = (0, 0);
    for (score, member) in pairs {
        if is_conditional && !condition.allows(set.score(member), *score) {
            continue;
        }
        match set.insert(member, *score, limits) {
            Inserted::Added => added += 1,
            Inserted::Moved => moved += 1,
            Inserted::Unchanged => {}
        }
    }
    if added + moved == 0 {
        guard.unchanged();
    }
    Ok((added, moved))
}

fn zincrby(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, increment, member) = (call.args.key()?, call.args.score()?, call.args.bytes()?);
    if let Some(score) = increment_by(call, key, member, increment, Condition::default())? {
        call.reply.double(score.get());
    }
    Ok(())
}

/// Adds to a member's score, if the condition allows it. Answers the new score.
fn increment_by(
    call: &mut Call<'_, '_>,
    key: &[u8],
    member: &[u8],
    increment: Score,
    condition: Condition,
) -> Result<Option<Score>> {
    let limits = call.keyspace.limits();
    let mut set = call.keyspace.write::<SortedSet>(key)?;
    set.event("zincr");
    let old = set.score(member);
    let new = match old {
        Some(old) => old.checked_add(increment)?,
        None => increment,
    };
    if !condition.allows(old, new) {
        return Ok(None);
    }
    if set.insert(member, new, limits) == Inserted::Unchanged {
        set.unchanged();
    }
    Ok(Some(new))
}

fn zrem(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let mut removed = 0;
    if let Some(mut guard) = call.keyspace.write_existing::<SortedSet>(key)? {
        let set = &mut *guard;
        let members = call.args.rest();
        removed = members
            .filter(|member| set.remove(member).is_some())
            .count();
        if removed == 0 {
            guard.unchanged();
        }
    }
    call.reply.int(removed as i64);
    Ok(())
}

// --- asking for members -------------------------------------------------------------------------

fn answer_score(reply: &mut dyn Reply, score: Option<Score>) {
    match score {
        Some(score) => reply.double(score.get()),
        None => reply.null(),
    }
}

fn zscore(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, member) = (call.args.key()?, call.args.bytes()?);
    let set = call.keyspace.read::<SortedSet>(key)?;
    answer_score(call.reply, set.and_then(|set| set.score(member)));
    Ok(())
}

fn zmscore(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let set = call.keyspace.read::<SortedSet>(key)?;
    let members = call.args.rest();
    call.reply.array(members.len());
    for member in members {
        answer_score(call.reply, set.and_then(|set| set.score(member)));
    }
    Ok(())
}

fn zcard(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let len = call
        .keyspace
        .read::<SortedSet>(key)?
        .map_or(0, SortedSet::len);
    call.reply.int(len as i64);
    Ok(())
}

fn zrank(call: &mut Call<'_, '_>) -> Result<()> {
    answer_rank(call, |rank, _| rank)
}

fn zrevrank(call: &mut Call<'_, '_>) -> Result<()> {
    answer_rank(call, |rank, len| len - 1 - rank)
}

fn answer_rank(call: &mut Call<'_, '_>, counted: fn(usize, usize) -> usize) -> Result<()> {
    let (key, member) = (call.args.key()?, call.args.bytes()?);
    if call.args.len() > 1 {
        return Err(Error::WrongArity(call.command.full_name()));
    }
    let with_score = call.args.option("WITHSCORE");
    call.args.end()?;

    let set = call.keyspace.read::<SortedSet>(key)?;
    let found = set.and_then(|set| Some((set.rank(member)?, set.len())));
    match found {
        None if with_score => call.reply.null_array(),
        None => call.reply.null(),
        Some(((rank, score), len)) => {
            if with_score {
                call.reply.array(2);
            }
            call.reply.int(counted(rank, len) as i64);
            if with_score {
                call.reply.double(score.get());
            }
        }
    }
    Ok(())
}

fn zrandmember(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let (wanted, with_scores) = Wanted::read_with(&mut call.args, "WITHSCORES")?;

    let mut random = sample::randoms(call.engine);
    let Some(set) = call.keyspace.read::<SortedSet>(key)? else {
        match wanted {
            Wanted::One => call.reply.null(),
            _ => call.reply.array(0),
        }
        return Ok(());
    };
    let len = set.len();
    let at_random = |random| scaled(random, len);
    let member = |rank| set.range(rank..rank + 1).next();
    match wanted {
        Wanted::One => {
            let found = member(at_random(random()));
            Str::write_or_null(found.map(|(member, _)| member), call.reply);
        }
        Wanted::Distinct(count) => {
            let one = |random| Some(at_random(random));
            let ranks = sample::distinct(count, len, random, one, 0..len);
            let members = ranks.iter().filter_map(|rank| member(*rank));
            answer_members(call.reply, ranks.len(), members, with_scores);
        }
        Wanted::Repeated(count) => {
            let members = (0..count).filter_map(|_| member(at_random(random())));
            answer_members(call.reply, count, members, with_scores);
        }
    }
    Ok(())
}

fn zscan(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, at) = cursor::arguments(&mut call.args)?;
    let Some(set) = call.keyspace.read::<SortedSet>(key)? else {
        cursor::answer(call.reply, 0, &[]);
        return Ok(());
    };
    let (mut options, mut with_scores) = (ScanOptions::new(), true);
    while !call.args.is_empty() {
        if call.args.option("NOSCORES") {
            with_scores = false;
        } else if !options.read(&mut call.args)? {
            return Err(Error::Syntax);
        }
    }

    let mut found = Vec::new();
    let at = cursor::walk(at, options.count, |at, visited| {
        set.scan(at, &mut |member, score| {
            *visited += 1;
            if member.with_bytes(|member| options.allows(member)) {
                found.push(member.to_vec());
                if with_scores {
                    let mut text = Vec::new();
                    write_double(&mut text, score.get());
                    found.push(text);
                }
            }
        })
    });
    cursor::answer(call.reply, at, &found);
    Ok(())
}
