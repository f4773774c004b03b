//! The way of one command to the node that owns its keys, and on to others.

use std::sync::Arc;

use larder_store::{Command, Error, Value};
use tokio::time::Instant;

use crate::dispatch::Dispatch;
use crate::node::Node;
use crate::topology::{Detour, Route, Suspicion};
use crate::tries::{REDIRECTIONS_MAX, Tries};
use crate::verdict::{Verdict, given};
use crate::wire::{Answered, Failure, Loss};

/// The way of one command.
pub(crate) struct Trip<'a> {
    dispatch: &'a Dispatch,
    command: &'a Command,
    route: Route,
    from_replica: bool,
    tries: Tries<'a>,
    /// Until when the caller waits, if he has said so.
    own: Option<Instant>,
    /// Until when he waits at the latest, however often it is tried.
    last: Instant,
    /// The node that was asked last.
    node: Option<Arc<Node>>,
    /// Where the one that was asked last has sent it.
    detour: Option<Detour>,
    redirections: u32,
}

/// What follows from what came.
enum Next {
    Done,
    Again,
}

impl<'a> Trip<'a> {
    /// The way of a command that was not sent yet.
    ///
    /// # Errors
    ///
    /// If the store can't be used, or the command can't be sent anywhere.
    pub(crate) fn of(dispatch: &'a Dispatch, command: &'a Command) -> Result<Trip<'a>, Error> {
        dispatch.refuse_if_unusable()?;
        dispatch.budget.call();
        let delivery = command.delivery();
        let begun = Instant::now();
        let own = delivery.within.map(|within| begun + within);
        let usual = begun + dispatch.config.response_timeout;
        Ok(Trip {
            route: dispatch.route(command)?,
            from_replica: delivery.from_replica && command.is_read_only(),
            tries: Tries::of_call(&dispatch.config, &dispatch.budget, own.unwrap_or(usual)),
            own,
            last: own.unwrap_or(usual + dispatch.config.connect_timeout),
            node: None,
            detour: None,
            redirections: 0,
            dispatch,
            command,
        })
    }

    /// Runs the command, again if it was certainly not executed and may be soon, or if it is harmless
    /// that it happens twice.
    pub(crate) async fn run(mut self) -> Result<Value, Error> {
        loop {
            let outcome = self.go().await?;
            match self.next(Verdict::of(&outcome)).await {
                Next::Again => {}
                Next::Done => return given(outcome),
            }
        }
    }

    /// Sends the command to the node that is the right one now.
    async fn go(&mut self) -> Result<Answered, Error> {
        loop {
            let (node, asks) = match self.detour.take() {
                Some(detour) => (self.dispatch.topology.node_on(&detour)?, detour.asks),
                None => (self.find_node().await?, false),
            };
            let first = asks.then_some(&["ASKING"][..]);
            if let Some(trail) = &self.command.delivery().trail {
                trail.asked(&node.target().address, node.target().db);
            }
            let sent = match self.command.waits() {
                None => node.call(first, self.command, self.until()).await,
                Some(wait) => {
                    let asking = first.map(|_| Command::new("ASKING"));
                    let commands: Vec<_> =
                        asking.into_iter().chain([self.command.clone()]).collect();
                    let answers = node.call_waiting(&commands, wait, self.own).await;
                    answers.map(|mut answers| answers.pop().unwrap_or_else(no_answer))
                }
            };
            self.node = Some(Arc::clone(&node));
            match sent {
                Ok(answered) => return Ok(answered),
                Err(error) => self.bear(&node, error).await?,
            }
        }
    }

    /// Until when the next answer is waited for: as long as any may take, but what is tried again ends with
    /// the caller's time.
    fn until(&self) -> Option<Instant> {
        let is_first = self.tries.retries() == 0 && self.redirections == 0;
        match is_first {
            true => self.own,
            false => Some(self.last),
        }
    }

    /// The node that is the right one now. Who does not find it in the time that making a connection may
    /// take looks no longer: nobody would be there to tell.
    async fn find_node(&mut self) -> Result<Arc<Node>, Error> {
        let until = self.dispatch.config.connect_by(None);
        loop {
            let found = self
                .dispatch
                .topology
                .node(&self.route, self.from_replica, self.own);
            match found.await {
                Err(error @ Error::Away(_)) => {
                    let may = self.dispatch.topology.has_others()
                        && Instant::now() < until
                        && self.tries.again();
                    if !may || !self.tries.pause().await {
                        return Err(error);
                    }
                }
                found => return found,
            }
        }
    }

    /// A node could not be asked. Another may be by now, if there are others.
    async fn bear(&mut self, node: &Arc<Node>, error: Error) -> Result<(), Error> {
        let topology = &self.dispatch.topology;
        if self.dispatch.is_closed() {
            return Err(Error::Closed);
        }
        if !error.is_away() {
            return Err(error);
        }
        topology.suspect(node, Suspicion::Away);
        if self.dispatch.wait_out(&error, self.tries.until()).await {
            return Ok(());
        }
        // Who is refused by the breaker is refused at once: that is what it is for.
        if error.retry_after().is_some() || !topology.has_others() || !self.tries.again() {
            return Err(error);
        }
        match self.tries.pause().await {
            true => Ok(()),
            false => Err(error),
        }
    }

    /// Goes where it was sent, if there is a way and time left.
    async fn follow(&mut self, detour: Option<Detour>) -> Next {
        self.redirections += 1;
        self.detour = detour;
        let may = self.detour.is_some() && self.tries.pause_on_the_way(self.redirections).await;
        if may { Next::Again } else { Next::Done }
    }

    /// What follows from what came.
    async fn next(&mut self, verdict: Verdict) -> Next {
        let Some(node) = self.node.clone() else {
            return Next::Done;
        };
        let topology = &self.dispatch.topology;
        match verdict {
            Verdict::Final => return Next::Done,
            Verdict::Moved(..) | Verdict::Ask(_) if self.redirections >= REDIRECTIONS_MAX => {
                return Next::Done;
            }
            Verdict::Moved(slot, to) => {
                return self.follow(topology.moved(&node, slot, &to)).await;
            }
            Verdict::Ask(to) => return self.follow(topology.asked(&node, &to)).await,
            Verdict::Split => {
                let may = self.tries.pause_for_keys().await;
                return if may { Next::Again } else { Next::Done };
            }
            Verdict::Elsewhere => topology.suspect(&node, Suspicion::NotMaster),
            Verdict::Stranger => node.greet_again(),
            Verdict::NotSent => topology.suspect(&node, Suspicion::Away),
            Verdict::Unknown => {
                topology.suspect(&node, Suspicion::Away);
                if !self.command.may_repeat() {
                    return Next::Done;
                }
            }
            Verdict::Later => {}
        }
        let may = self.tries.again() && self.tries.pause().await;
        if may { Next::Again } else { Next::Done }
    }
}

fn no_answer() -> Answered {
    Err(Failure::Unanswered(Loss::GivenUp(
        "the server gave no answer",
    )))
}
