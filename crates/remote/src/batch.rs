//! Commands that are sent together: cut by the nodes that own their keys, and put back in order.
//!
//! What stands between MULTI and EXEC goes as one. What was certainly not executed is sent again as long
//! as nothing that came after it, and could have seen it, was: so the commands of a batch happen in
//! their order, or their callers learn that some did not.

use std::ops::Range;
use std::sync::Arc;

use futures_util::future::join_all;
use larder_store::shape::Wait;
use larder_store::{Command, Delivery, Error, Refusal, Value};
use tokio::time::Instant;

use crate::dispatch::Dispatch;
use crate::node::Node;
use crate::topology::{Detour, Route, Suspicion};
use crate::tries::{REDIRECTIONS_MAX, Tries};
use crate::verdict::{Verdict, given};
use crate::wire::Answered;

/// What came of a command.
type Outcome = Result<Answered, Error>;

/// Commands that are sent together.
pub(crate) struct Batch<'a> {
    dispatch: &'a Dispatch,
    commands: &'a [Command],
    delivery: Delivery,
    tries: Tries<'a>,
    own: Option<Instant>,
    /// Until when the caller waits at the latest, however often it is tried.
    last: Instant,
    outcomes: Vec<Option<Outcome>>,
    redirections: u32,
    /// Whether something that is left needs one try more, and not only another way.
    is_retry: bool,
    /// Whether keys of something that is left are on their way to another node.
    is_split: bool,
}

/// A command, or a transaction, that is still to be sent.
#[derive(Clone, Debug)]
struct Unit {
    range: Range<usize>,
    route: Route,
    /// Where the node that was asked last has sent it.
    detour: Option<Detour>,
}

impl Unit {
    /// Whether the node takes it only after ASKING.
    fn asks(&self) -> bool {
        self.detour.as_ref().is_some_and(|detour| detour.asks)
    }
}

/// What goes to one node, in order.
struct Group {
    node: Arc<Node>,
    units: Vec<Unit>,
}

impl<'a> Batch<'a> {
    pub(crate) fn of(dispatch: &'a Dispatch, commands: &'a [Command]) -> Batch<'a> {
        dispatch.budget.call();
        let delivery = Delivery::of_all(commands);
        let own = delivery.within.map(|within| Instant::now() + within);
        let until = own.unwrap_or_else(|| Instant::now() + dispatch.config.response_timeout);
        Batch {
            dispatch,
            commands,
            delivery,
            tries: Tries::of_call(&dispatch.config, &dispatch.budget, until),
            own,
            last: own.unwrap_or(until + dispatch.config.connect_timeout),
            outcomes: vec![None; commands.len()],
            redirections: 0,
            is_retry: false,
            is_split: false,
        }
    }

    /// Sends the commands, and some of them again. The answer has one result for each; it is an error
    /// itself if none of them was answered.
    pub(crate) async fn run(mut self) -> Result<Vec<Result<Value, Error>>, Error> {
        let mut units = self.units();
        while !units.is_empty() {
            let groups = self.group(units).await;
            self.note_nodes(&groups);
            let sent = join_all(groups.iter().map(|group| self.send(group))).await;
            for (group, outcomes) in groups.iter().zip(sent) {
                self.note(group, outcomes);
            }
            units = self.left(&groups);
            if units.is_empty() && self.wait_out().await {
                units = self.units();
            } else if !units.is_empty() && !self.pause().await {
                break;
            }
        }
        let results = self.outcomes.into_iter().map(|outcome| match outcome {
            Some(Ok(answered)) => given(answered),
            Some(Err(error)) => Err(error),
            None => Err(Error::unanswered("the server gave no answer")),
        });
        let results: Vec<Result<Value, Error>> = results.collect();
        match fate(&results) {
            Some(error) => Err(error),
            None => Ok(results),
        }
    }

    /// Waits before what is left is sent again, and says whether time is left. Whoever is only sent elsewhere
    /// goes there at once.
    async fn pause(&mut self) -> bool {
        // What is sent again ends with the caller's time.
        self.own = Some(self.last);
        match (self.is_retry, self.is_split) {
            (true, _) => self.tries.pause().await,
            (false, true) => self.tries.pause_for_keys().await,
            (false, false) => self.tries.pause_on_the_way(self.redirections).await,
        }
    }

    /// Waits until it is worth sending all of it again, if the breaker has refused all of it and the caller
    /// may wait.
    async fn wait_out(&self) -> bool {
        let refused = self.outcomes.iter().map(|outcome| match outcome {
            Some(Err(error)) if error.retry_after().is_some() => Some(error),
            _ => None,
        });
        match refused.collect::<Option<Vec<_>>>().as_deref() {
            Some([first, ..]) => self.dispatch.wait_out(first, self.tries.until()).await,
            _ => false,
        }
    }

    /// The commands and transactions of the batch. Those that can't be sent have their outcome.
    fn units(&mut self) -> Vec<Unit> {
        let mut units = Vec::new();
        let mut start = 0;
        while start < self.commands.len() {
            let mut end = start + 1;
            if is_named(&self.commands[start], "MULTI") {
                let closes =
                    |command: &Command| is_named(command, "EXEC") || is_named(command, "DISCARD");
                let len = self.commands[start..].iter().position(closes);
                end = len.map_or(self.commands.len(), |len| start + len + 1);
            }
            match self.route(start..end) {
                Ok(route) => units.push(Unit {
                    range: start..end,
                    route,
                    detour: None,
                }),
                Err(error) => self.outcomes[start..end].fill(Some(Err(error))),
            }
            start = end;
        }
        units
    }

    /// Where a command or a transaction goes.
    fn route(&self, range: Range<usize>) -> Result<Route, Error> {
        let mut found = Route::Any;
        let part = self.delivery.part.as_ref();
        if let Some(route) = part.and_then(|part| self.dispatch.topology.route_to(part)) {
            return Ok(route);
        }
        if !self.dispatch.topology.is_cluster() {
            return Ok(found);
        }
        for command in &self.commands[range] {
            match self.dispatch.route(command)? {
                Route::Any => {}
                route if found == Route::Any || found == route => found = route,
                _ => {
                    return Err(Error::invalid(
                        "the keys of this transaction are in different slots of a cluster (CROSSSLOT)",
                    ));
                }
            }
        }
        Ok(found)
    }

    /// Puts together what goes to the same node. What has no node has its outcome.
    async fn group(&mut self, units: Vec<Unit>) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        // All have the time of one: where no node is found, each would else wait behind the other.
        let until = self.dispatch.config.connect_by(self.own);
        let from_replica =
            self.delivery.from_replica && self.commands.iter().all(Command::is_read_only);
        for unit in units {
            if let Some(detour) = &unit.detour {
                match self.dispatch.topology.node_on(detour) {
                    Ok(node) => add(&mut groups, node, unit),
                    Err(error) => self.outcomes[unit.range.clone()].fill(Some(Err(error))),
                }
                continue;
            }
            // What has no keys goes where the one before it goes.
            if unit.route == Route::Any
                && let Some(last) = groups.last_mut()
                && !last.units[0].asks()
            {
                last.units.push(unit);
                continue;
            }
            let node = self
                .dispatch
                .topology
                .node(&unit.route, from_replica, Some(until))
                .await;
            match node {
                Ok(node) => add(&mut groups, node, unit),
                Err(error) => self.outcomes[unit.range.clone()].fill(Some(Err(error))),
            }
        }
        groups
    }

    /// Sends what goes to one node.
    async fn send(&self, group: &Group) -> Vec<Outcome> {
        let ranges = || group.units.iter().map(|unit| unit.range.clone());
        let len = ranges().map(|range| range.len()).sum();
        let asks = group.units[0].asks();
        let asking = Command::new("ASKING");
        let mut commands = Vec::with_capacity(len);
        for command in ranges().flat_map(|range| &self.commands[range]) {
            commands.extend(asks.then_some(&asking));
            commands.push(command);
        }
        let sent = match Wait::of_all(commands.iter().copied()) {
            None => group.node.call_all(commands.into_iter(), self.own).await,
            Some(wait) => {
                let commands: Vec<Command> = commands.into_iter().cloned().collect();
                group.node.call_waiting(&commands, wait, self.own).await
            }
        };
        // Each answer to ASKING stands before the one that counts.
        let step = if asks { 2 } else { 1 };
        match sent {
            Ok(answers) => { answers.into_iter().skip(step - 1).step_by(step) }
                .map(Ok)
                .collect(),
            Err(error) => vec![Err(error); len],
        }
    }

    /// Notes who is asked, if anybody wants to know.
    fn note_nodes(&self, groups: &[Group]) {
        match (&self.delivery.trail, groups) {
            (None, _) | (_, []) => {}
            (Some(trail), [group]) => {
                let target = group.node.target();
                trail.asked(&target.address, target.db);
            }
            (Some(trail), _) => trail.asked_several(),
        }
    }

    fn note(&mut self, group: &Group, outcomes: Vec<Outcome>) {
        let places = group.units.iter().flat_map(|unit| unit.range.clone());
        for (place, outcome) in places.zip(outcomes) {
            self.outcomes[place] = Some(outcome);
        }
    }

    /// What is to be sent again.
    fn left(&mut self, groups: &[Group]) -> Vec<Unit> {
        // Each with whether it needs one try more, and not only another way.
        let mut left: Vec<(Unit, bool)> = Vec::new();
        self.is_split = false;
        // From behind: what follows on something that stays undone must be undone as well.
        let mut done: Vec<Range<usize>> = Vec::new();
        let mut all: Vec<(&Group, &Unit)> = groups
            .iter()
            .flat_map(|group| group.units.iter().map(move |unit| (group, unit)))
            .collect();
        all.sort_by_key(|(_, unit)| std::cmp::Reverse(unit.range.start));
        for (group, unit) in all {
            let verdict = self.verdict(unit);
            let is_open = self.is_open(unit, &verdict)
                && !done
                    .iter()
                    .any(|later| self.may_see(later.clone(), unit.range.clone()));
            if !is_open {
                done.push(unit.range.clone());
                continue;
            }
            self.is_split |= verdict == Verdict::Split;
            let mut unit = unit.clone();
            let needs_try = self.prepare(group, &mut unit, verdict);
            left.push((unit, needs_try));
        }
        left.reverse();
        if left.is_empty() {
            return Vec::new();
        }
        self.redirections += u32::from(!self.is_split);
        if self.redirections > REDIRECTIONS_MAX {
            return Vec::new();
        }
        self.is_retry = left.iter().any(|(_, needs_try)| *needs_try);
        if self.is_retry && !self.tries.again() {
            // Who is only sent elsewhere goes there all the same.
            left.retain(|(_, needs_try)| !needs_try);
            self.is_retry = false;
        }
        left.into_iter().map(|(unit, _)| unit).collect()
    }

    /// Whether a unit may be sent again.
    fn is_open(&self, unit: &Unit, verdict: &Verdict) -> bool {
        match verdict {
            Verdict::Final => false,
            Verdict::Unknown => self.commands[unit.range.clone()]
                .iter()
                .all(Command::may_repeat),
            Verdict::NotSent => match &self.outcomes[unit.range.start] {
                // Who is refused by the breaker is refused at once, as is whoever has closed the store.
                Some(Err(error)) => {
                    self.dispatch.topology.has_others()
                        && matches!(error, Error::Away(_))
                        && error.retry_after().is_none()
                }
                _ => true,
            },
            _ => true,
        }
    }

    /// What a verdict asks to be done before the unit is sent again. Answers whether that counts as a try.
    fn prepare(&self, group: &Group, unit: &mut Unit, verdict: Verdict) -> bool {
        let topology = &self.dispatch.topology;
        unit.detour = None;
        match verdict {
            Verdict::Moved(slot, to) => {
                unit.detour = topology.moved(&group.node, slot, &to);
                return unit.detour.is_none();
            }
            // A transaction can't be asked of a node that does not own its slot yet: it has to wait.
            Verdict::Ask(to) if unit.range.len() == 1 => {
                unit.detour = topology.asked(&group.node, &to);
                return unit.detour.is_none();
            }
            Verdict::Split => return false,
            Verdict::Elsewhere => topology.suspect(&group.node, Suspicion::NotMaster),
            Verdict::Stranger => group.node.greet_again(),
            Verdict::NotSent | Verdict::Unknown => topology.suspect(&group.node, Suspicion::Away),
            _ => {}
        }
        true
    }

    /// What came of a command or a transaction.
    fn verdict(&self, unit: &Unit) -> Verdict {
        let verdict = |place: usize| match &self.outcomes[place] {
            Some(Ok(answered)) => Verdict::of(answered),
            _ => Verdict::NotSent,
        };
        let last = unit.range.end - 1;
        if unit.range.len() == 1 {
            return verdict(last);
        }
        let is_aborted = |refusal: &Refusal| refusal.code() == "EXECABORT";
        match &self.outcomes[last] {
            // Nothing of it was executed, since one of its commands was refused.
            Some(Ok(Ok(Value::Error(refusal)))) if is_aborted(refusal) => {
                let verdicts = unit.range.clone().map(verdict);
                verdicts
                    .into_iter()
                    .find(Verdict::is_unexecuted)
                    .unwrap_or(Verdict::Final)
            }
            Some(Ok(Ok(Value::Error(_)))) => {
                let mut verdicts: Vec<Verdict> = unit.range.clone().map(verdict).collect();
                verdicts.pop();
                match verdicts.iter().all(Verdict::is_unexecuted) {
                    true => verdicts.swap_remove(0),
                    false => Verdict::Final,
                }
            }
            _ => verdict(last),
        }
    }

    /// Whether what came later could have seen what was to come before: in a cluster only by their
    /// keys, since nobody keeps an order between nodes.
    fn may_see(&self, later: Range<usize>, earlier: Range<usize>) -> bool {
        if !self.dispatch.topology.is_cluster() {
            return true;
        }
        let keys = |range: Range<usize>| self.commands[range].iter().flat_map(Command::keys);
        keys(later).any(|key| keys(earlier.clone()).any(|other| key == other))
    }
}

/// What came of all of them, if none was answered: that one may have happened outweighs that another was
/// not sent.
fn fate(results: &[Result<Value, Error>]) -> Option<Error> {
    let mut errors = Vec::with_capacity(results.len());
    for result in results {
        match result {
            Ok(_) | Err(Error::Refused(_)) => return None,
            Err(error) => errors.push(error),
        }
    }
    let in_doubt = errors.iter().find(|error| error.is_in_doubt());
    in_doubt.or(errors.first()).copied().cloned()
}

/// Adds a unit to what goes to its node, in order. What is asked of it, and what belongs to it, go apart.
fn add(groups: &mut Vec<Group>, node: Arc<Node>, unit: Unit) {
    let same = |group: &&mut Group| {
        Arc::ptr_eq(&group.node, &node) && group.units[0].asks() == unit.asks()
    };
    match groups.iter_mut().find(same) {
        Some(group) => group.units.push(unit),
        None => groups.push(Group {
            node,
            units: vec![unit],
        }),
    }
}

fn is_named(command: &Command, name: &str) -> bool {
    command.name().eq_ignore_ascii_case(name.as_bytes())
}
