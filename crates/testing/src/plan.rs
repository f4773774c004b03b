//! What goes wrong, and when.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use larder_store::Command;

use crate::calls::Calls;
use crate::chance::Chance;
use crate::fault::Fault;

/// What goes wrong, and when: rules, each with the calls that it is for.
///
/// A plan is data: it can be printed, compared and made by chance. By default requests and answers take
/// no time at all, and each lets other tasks have a turn.
///
/// # Examples
///
/// ```
/// use larder_testing::{Calls, Fault, Plan, Refuse};
///
/// let plan = Plan::new()
///     .with(Calls::named("INCR").nth(2), Fault::LoseAnswer)
///     .with(Calls::all().numbers(5..=9), Fault::Away)
///     .with(Calls::writes().one_in(20), Fault::Refuse(Refuse::Oom));
/// assert_eq!(
///     plan.to_string(),
///     "the 2nd INCR: the answer is lost\n\
///      the 5th to 9th call: the store is away\n\
///      1 in 20 of every call that may write: refused with Oom\n",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    rules: Vec<(Calls, Fault)>,
    latency: RangeInclusive<Duration>,
    patience: Duration,
}

impl Plan {
    /// Nothing goes wrong.
    pub fn new() -> Plan {
        Plan {
            rules: Vec::new(),
            latency: Duration::ZERO..=Duration::ZERO,
            patience: Duration::ZERO,
        }
    }

    /// The same plan, and this happens to those calls, or just before them.
    ///
    /// Where two faults would answer the same call, the rule that was added first has its way.
    #[must_use]
    pub fn with(mut self, calls: Calls, fault: Fault) -> Plan {
        self.rules.push((calls, fault));
        self
    }

    /// The same plan; each request, and each answer, takes a time within this range, by chance, in whole
    /// milliseconds. So the calls of different tasks overtake each other, and those of one task never do.
    #[must_use]
    pub fn latency(mut self, range: RangeInclusive<Duration>) -> Plan {
        self.latency = range;
        self
    }

    /// The same plan; a caller whose answer is lost is told so after this time. By default at once, as
    /// when the connection was cut.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Plan {
        self.patience = time;
        self
    }

    /// A plan by chance: many of these faults or few, each rarely or often. The times of the faults are
    /// the longest that they take.
    ///
    /// That plans leave faults out finds more than plans with all of them: what happens often hides what
    /// happens after it.
    ///
    /// Source: A. Groce et al., "Swarm Testing", ISSTA 2012.
    pub fn random(seed: u64, faults: &[Fault]) -> Plan {
        let mut chance = Chance::of(seed, "plan");
        let latency = Duration::from_millis([0, 1, 5, 50][chance.below(4) as usize]);
        let patience = Duration::from_millis([0, 0, 500, 5000][chance.below(4) as usize]);
        let mut plan = Plan::new()
            .latency(Duration::ZERO..=latency)
            .patience(patience);
        let scarcity = [2, 4, 12][chance.below(3) as usize];
        for fault in faults {
            if chance.one_in(scarcity) {
                // A store fails as a whole less often than the calls of it do.
                let rates = match fault.is_of_store() {
                    true => [20, 100, 500],
                    false => [5, 20, 100],
                };
                let calls = Calls::all().one_in(rates[chance.below(3) as usize]);
                plan = plan.with(calls, shortened(fault.clone(), &mut chance));
            }
        }
        plan
    }

    /// Whether a fault of it needs a store whose clock and whose copies are ours.
    pub(crate) fn needs_memory(&self) -> bool {
        self.rules.iter().any(|(_, fault)| fault.needs_memory())
    }
}

/// The same fault, that takes as long or not.
fn shortened(fault: Fault, chance: &mut Chance) -> Fault {
    let mut up_to = |most: Duration| chance.time(&(Duration::ZERO..=most));
    match fault {
        Fault::Late(by) => Fault::Late(up_to(by)),
        Fault::SlowRequest(by) => Fault::SlowRequest(up_to(by)),
        Fault::SlowAnswer(by) => Fault::SlowAnswer(up_to(by)),
        Fault::CutOff(lasts) => Fault::CutOff(up_to(lasts)),
        Fault::PartAway(lasts) => Fault::PartAway(up_to(lasts)),
        Fault::MoveSlot(lasts) => Fault::MoveSlot(up_to(lasts)),
        Fault::ClockForward(by) => Fault::ClockForward(up_to(by)),
        Fault::ClockBack(by) => Fault::ClockBack(up_to(by)),
        Fault::Down { lasts, data } => Fault::Down {
            lasts: up_to(lasts),
            data,
        },
        Fault::FailOver { lost, behind } => Fault::FailOver {
            behind: up_to(behind),
            lost: chance.below(lost as u64 + 1) as usize,
        },
        other => other,
    }
}

impl Default for Plan {
    fn default() -> Plan {
        Plan::new()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.latency.end().is_zero() {
            let (least, most) = (self.latency.start(), self.latency.end());
            writeln!(f, "requests and answers take {least:?} to {most:?}")?;
        }
        if !self.patience.is_zero() {
            writeln!(f, "callers wait {:?} for a lost answer", self.patience)?;
        }
        for (calls, fault) in &self.rules {
            writeln!(f, "{calls}: {fault}")?;
        }
        Ok(())
    }
}

/// A plan that is being followed.
#[derive(Debug)]
pub(crate) struct Course {
    plan: Plan,
    /// How many calls each rule was for, up to now.
    counts: Vec<u64>,
    chance: Chance,
}

/// What becomes of the calls of a pipeline.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fate {
    /// What happens to the store before it is sent.
    pub(crate) before: Vec<Fault>,
    /// What happens to one of its commands, by its place.
    pub(crate) fault: Option<(usize, Fault)>,
    pub(crate) request: Duration,
    pub(crate) answer: Duration,
    pub(crate) patience: Duration,
}

impl Course {
    pub(crate) fn new(plan: Plan, chance: Chance) -> Course {
        Course {
            counts: vec![0; plan.rules.len()],
            plan,
            chance,
        }
    }

    /// Follows another plan from here on.
    pub(crate) fn follow(&mut self, plan: Plan) {
        self.counts = vec![0; plan.rules.len()];
        self.plan = plan;
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    /// What becomes of these commands of a client.
    pub(crate) fn next(&mut self, client: &str, commands: &[Command]) -> Fate {
        let mut fate = Fate {
            request: self.chance.time(&self.plan.latency),
            answer: self.chance.time(&self.plan.latency),
            patience: self.plan.patience,
            ..Fate::default()
        };
        for (place, command) in commands.iter().enumerate() {
            for ((calls, fault), count) in self.plan.rules.iter().zip(&mut self.counts) {
                if !calls.match_command(client, command) {
                    continue;
                }
                *count += 1;
                if calls.take(*count, |times| self.chance.one_in(times)) {
                    fate.add(place, fault);
                }
            }
        }
        fate
    }
}

impl Fate {
    fn add(&mut self, place: usize, fault: &Fault) {
        match fault {
            Fault::SlowRequest(by) => self.request += *by,
            Fault::SlowAnswer(by) => self.answer += *by,
            fault if fault.is_of_store() => self.before.push(fault.clone()),
            fault if self.fault.is_none() => self.fault = Some((place, fault.clone())),
            _ => {}
        }
    }
}
