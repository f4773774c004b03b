//! Leaderboards: scores and order as a model has them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use larder_testing::{Chance, Fault, Moment, Simulation, World};
use larder_toolkit::Ttl;
use larder_toolkit::leaderboard::{Best, Entry, Leaderboard};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::SEEDS;

const PROCESSES: [&str; 3] = ["ann", "bob", "cid"];

/// What may have become of a member.
#[derive(Clone, Debug)]
struct Known {
    /// Its score, or one of these if nobody knows; `None` if it is not on the board.
    scores: BTreeSet<Option<i64>>,
    /// From when to when it came to its score, if that is known.
    came: Option<(Moment, Moment)>,
}

/// Late requests aside: what arrives behind a later one changes a score that was certain.
fn faults() -> Vec<Fault> {
    let mut faults = [Fault::network(), Fault::refusals()].concat();
    faults.retain(|fault| !matches!(fault, Fault::Late(_)));
    faults.push(Fault::ClockBack(Duration::from_secs(60)));
    faults
}

#[test]
fn scores_ranks_and_order_are_those_of_a_model() {
    hold_to_the_model(Simulation::new().seeds(SEEDS).faults(faults()));
}

#[test]
fn scores_ranks_and_order_are_those_of_a_model_where_parts_go_away_and_slots_move() {
    let faults = [faults(), Fault::parts()].concat();
    hold_to_the_model(Simulation::new().seeds(SEEDS).parts(3).faults(faults));
}

fn hold_to_the_model(simulation: Simulation) {
    simulation.run(async |world| {
        let mut tasks = JoinSet::new();
        for process in PROCESSES {
            tasks.spawn(work(world.clone(), process));
        }
        let members = tasks.join_all().await.into_iter().flatten().collect();
        world.calm().await;
        let all = board(&world, "dan").top(100).await?;
        check(&all, &members);
        Ok(())
    });
}

fn board(world: &World, process: &str) -> Leaderboard {
    let store = world.store(process);
    Leaderboard::new(&store, "game", "today", Best::Highest, Ttl::forever())
}

/// Changes the scores of members that nobody else changes.
async fn work(world: World, process: &str) -> BTreeMap<String, Known> {
    let (mut chance, board) = (world.chance(process), board(&world, process));
    let history = world.history::<(), ()>();
    let mut members = BTreeMap::new();
    for _ in 0..20 {
        sleep(chance.time(&(Duration::ZERO..=Duration::from_millis(20)))).await;
        let member = format!("{process} {}", chance.below(3));
        let asked = history.ask(process, ());
        let known = members.entry(member.clone()).or_insert(Known {
            scores: [None].into(),
            came: None,
        });
        let change = Change::random(&mut chance);
        let told = change.make(&board, &member).await;
        asked.answer(());
        let entry = history.last(1).remove(0);
        let (end, ()) = entry.ended.expect("it was answered");
        known.learn(change, told, (entry.began, end));
    }
    members
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Set(i64),
    Improve(i64),
    Add(i64),
    Remove,
}

impl Change {
    fn random(chance: &mut Chance) -> Change {
        // Few scores, so that many are equal.
        let score = chance.below(4) as i64;
        match chance.below(7) {
            0 | 1 => Change::Set(score),
            2 | 3 => Change::Improve(score),
            4 | 5 => Change::Add(score - 1),
            _ => Change::Remove,
        }
    }

    /// Makes it. Gives the score that the member then has, or nothing if nobody knows.
    async fn make(self, board: &Leaderboard, member: &str) -> Option<Option<i64>> {
        let placed = match self {
            Change::Set(score) => board.set(member, score).await,
            Change::Improve(score) => board.improve(member, score).await,
            Change::Add(by) => board.add(member, by).await,
            Change::Remove => return board.remove(member).await.ok().map(|_| None),
        };
        Some(Some(placed.ok()?.score))
    }

    fn of(self, score: Option<i64>) -> Option<i64> {
        match self {
            Change::Set(score) => Some(score),
            Change::Improve(better) => Some(score.map_or(better, |score| score.max(better))),
            Change::Add(by) => Some(score.unwrap_or(0) + by),
            Change::Remove => None,
        }
    }
}

impl Known {
    fn learn(&mut self, change: Change, told: Option<Option<i64>>, when: (Moment, Moment)) {
        let changed: BTreeSet<_> = self.scores.iter().map(|score| change.of(*score)).collect();
        match told {
            None => {
                self.came = if changed == self.scores {
                    self.came
                } else {
                    None
                };
                self.scores.extend(changed);
            }
            Some(score) => {
                assert!(
                    changed.contains(&score),
                    "{change:?} of {self:?} gave {score:?}"
                );
                let was_there = self.scores == [score].into();
                // Who stays at a score came to it before.
                self.came = if was_there { self.came } else { Some(when) };
                let was_unknown = self.scores.len() > 1 && self.scores.contains(&score);
                self.came = self.came.filter(|_| !was_unknown);
                self.scores = [score].into();
            }
        }
    }
}

fn check(board: &[Entry], members: &BTreeMap<String, Known>) {
    let found: BTreeMap<&str, i64> = { board.iter() }
        .map(|entry| (entry.member.as_str(), entry.score))
        .collect();
    for (member, known) in members {
        let score = found.get(member.as_str()).copied();
        assert!(
            known.scores.contains(&score),
            "{member}: {score:?}, not {known:?}"
        );
    }
    assert!(found.keys().all(|member| members.contains_key(*member)));

    for (place, entry) in board.iter().enumerate() {
        let better = board
            .iter()
            .filter(|other| other.score > entry.score)
            .count();
        assert_eq!(entry.rank, better as u64 + 1, "the rank of {entry:?}");
        for behind in &board[place + 1..] {
            assert!(
                entry.score >= behind.score,
                "{entry:?} is before {behind:?}"
            );
            let (Some(came), Some(other)) =
                (members[&entry.member].came, members[&behind.member].came)
            else {
                continue;
            };
            let is_wrong = entry.score == behind.score && other.1.is_before(&came.0);
            assert!(!is_wrong, "{behind:?} came to its score before {entry:?}");
        }
    }
}
